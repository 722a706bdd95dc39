#include "engine/injection/header_facts.h"

#include <algorithm>

#include "net/mime/address_domains.h"

namespace sluice::injection {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// Behind the colon, with everything up to the end of the field.
std::string_view raw_body(const net::HeaderField& field) {
  return field.whole.substr(field.whole.find(':') + 1);
}

}  // namespace

void HeaderFacts::reset() {
  virtual_mta = job = job_header = env_id = schedule = std::nullopt;
  hops = 0;
  has_date = has_message_id = too_large = begins_with_text = false;
  cuts.clear();
  froms.clear();
  auth_results.clear();
  for_patterns.clear();
  accounted.clear();
}

void HeaderFacts::read(const HeaderTable& table, std::string_view text) {
  net::HeaderScan scan(text);
  net::HeaderField field;
  if (scan.front_bytes() > 0) cuts.push_back({0, scan.front_bytes(), {}});
  bool known = false;
  while (scan.next(field)) {
    const HeaderTable::Entry* entry = table.find(field.name);
    if (entry == nullptr) continue;
    known = true;
    using U = HeaderUse;
    const std::uint32_t use = entry->use;
    if ((use & U::kReceived) != 0) ++hops;
    // Of control headers the first counts, as of all headers that may stand only once.
    if ((use & U::kVirtualMta) != 0 && !virtual_mta) virtual_mta = field.value;
    if ((use & U::kJob) != 0 && !job) job = field.value;
    if ((use & U::kJobHeader) != 0 && !job_header) job_header = field.value;
    if ((use & U::kEnvelopeId) != 0 && !env_id) env_id = field.value;
    if ((use & U::kSchedule) != 0 && !schedule) schedule = field.value;
    if ((use & U::kDate) != 0) has_date = true;
    if ((use & U::kMessageId) != 0) has_message_id = true;
    if ((use & U::kFrom) != 0 && (use & U::kRemove) == 0) froms.push_back(field);
    if ((use & U::kAuthResults) != 0 && (use & U::kRemove) == 0) auth_results.push_back(field);
    if ((use & U::kPattern) != 0) for_patterns.push_back({entry->name, raw_body(field)});
    if ((use & U::kAccounted) != 0 && accounted.size() < spool::MessageDraft::kHeadersMax) {
      accounted.emplace_back(entry->accounted, field.value);
    }
    if ((use & U::kRemove) != 0) cuts.push_back({field.offset, field.whole.size(), {}});
  }
  too_large = scan.ended() == net::HeaderScan::Ended::TooLarge;
  using First = net::HeaderScan::FirstLine;
  // Text above headers that mean something to us is a bad line among headers, not the body.
  begins_with_text = scan.first_line() == First::Folded || (scan.first_line() == First::Text && !known);
}

std::string HeaderFacts::rewritten(const identity::RewriteList& list, std::string_view field) {
  std::string out;
  std::size_t copied = 0;
  const std::size_t body = field.find(':') + 1;
  for (const std::string_view domain : net::address_domains(field.substr(body))) {
    const std::string_view instead = list.from_domain(domain);
    if (instead.empty()) continue;
    const auto at = static_cast<std::size_t>(domain.data() - field.data());
    out += field.substr(copied, at - copied);
    out += instead;
    copied = at + domain.size();
  }
  if (!out.empty()) out += field.substr(copied);
  return out;
}

void HeaderFacts::append_pieces(std::string_view text, std::vector<std::span<const std::byte>>& pieces) {
  std::ranges::sort(cuts, {}, &Cut::offset);
  std::size_t copied = 0;
  for (const Cut& cut : cuts) {
    if (cut.offset > copied) pieces.push_back(bytes_of(text.substr(copied, cut.offset - copied)));
    if (!cut.instead.empty()) pieces.push_back(bytes_of(cut.instead));
    copied = cut.offset + cut.size;
  }
  if (copied < text.size()) pieces.push_back(bytes_of(text.substr(copied)));
}

}  // namespace sluice::injection
