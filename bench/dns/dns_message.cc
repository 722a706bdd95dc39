#include "bench/dns/dns_message.h"

#include <algorithm>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kHeaderBytes = 12;
constexpr std::size_t kNameBytesMax = 255;
constexpr std::size_t kLabelBytesMax = 63;
constexpr std::size_t kPlacesMax = 64;
constexpr std::size_t kPointerReachMax = 0x3fff;
constexpr char kDotInLabel = '\x01';
// What this server is ready to send over UDP (DNS flag day 2020).
constexpr std::uint16_t kUdpBytesOwn = 1232;

class Wire {
 public:
  explicit Wire(std::span<const std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }
  [[nodiscard]] std::size_t at() const { return at_; }
  std::uint8_t get8() { return static_cast<std::uint8_t>(bytes_[at_++]); }
  std::uint16_t get16() {
    const unsigned high = get8();
    return static_cast<std::uint16_t>(high << 8 | get8());
  }
  void skip(std::size_t count) { at_ += count; }
  [[nodiscard]] std::string_view text(std::size_t from, std::size_t size) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + from, size};
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

// A question's name; pointers make no sense in the first name of a message and are refused.
bool read_name(Wire& wire, DnsQuestion& out) {
  const std::size_t start = wire.at();
  for (;;) {
    if (wire.left() == 0) return false;
    const std::size_t size = wire.get8();
    if (size == 0) break;
    if (size > kLabelBytesMax || wire.left() < size || wire.at() - start + size > kNameBytesMax) return false;
    if (!out.name.empty()) out.name += '.';
    for (const char c : wire.text(wire.at(), size)) out.name += c == '.' ? kDotInLabel : to_lower(c);
    wire.skip(size);
  }
  out.wire_name = wire.text(start, wire.at() - start);
  return true;
}

// EDNS: only an OPT record directly behind the question is looked for, which is what every stub resolver sends.
void read_edns(Wire& wire, DnsQuestion& out) {
  if (wire.left() < 11 || wire.get8() != 0) return;
  if (wire.get16() != static_cast<std::uint16_t>(RecordType::Opt)) return;
  out.edns = true;
  out.udp_bytes_max = std::max<std::uint16_t>(512, wire.get16());
  wire.skip(2);
  out.dnssec_ok = (wire.get16() & 0x8000U) != 0;
}

void store16(std::string& bytes, std::size_t at, std::size_t value) {
  bytes[at] = static_cast<char>(value >> 8 & 0xff);
  bytes[at + 1] = static_cast<char>(value & 0xff);
}

}  // namespace

std::optional<DnsQuestion> parse_dns_question(std::span<const std::byte> bytes) {
  if (bytes.size() < kHeaderBytes + 5) return std::nullopt;
  Wire wire(bytes);
  DnsQuestion out;
  out.id = wire.get16();
  const std::uint16_t flags = wire.get16();
  if ((flags & 0x8000U) != 0) return std::nullopt;
  out.opcode = static_cast<std::uint8_t>(flags >> 11 & 0xfU);
  out.recursion_desired = (flags & 0x0100U) != 0;
  const std::uint16_t questions = wire.get16();
  const std::uint16_t answers = wire.get16();
  const std::uint16_t authorities = wire.get16();
  const std::uint16_t additionals = wire.get16();
  if (questions != 1) return std::nullopt;
  if (!read_name(wire, out) || wire.left() < 4) return std::nullopt;
  out.type = wire.get16();
  out.klass = wire.get16();
  if (answers == 0 && authorities == 0 && additionals != 0) read_edns(wire, out);
  return out;
}

DnsResponse::DnsResponse(const DnsQuestion& question) : question_(question) {
  bytes_.assign(kHeaderBytes, '\0');
  // The question's own name is the first place to point at.
  std::string_view suffix = question.name;
  std::size_t at = kHeaderBytes;
  while (!suffix.empty()) {
    places_.emplace_back(suffix, static_cast<std::uint16_t>(at));
    const std::size_t dot = suffix.find('.');
    if (dot == std::string_view::npos) break;
    at += dot + 1;
    suffix.remove_prefix(dot + 1);
  }
  bytes_ += question.wire_name;
  put16(question.type);
  put16(question.klass);
  question_end_ = bytes_.size();
}

void DnsResponse::put16(std::uint16_t value) {
  bytes_ += static_cast<char>(value >> 8);
  bytes_ += static_cast<char>(value & 0xff);
}

void DnsResponse::put32(std::uint32_t value) {
  put16(static_cast<std::uint16_t>(value >> 16));
  put16(static_cast<std::uint16_t>(value & 0xffff));
}

void DnsResponse::put_name(std::string_view name) {
  while (!name.empty()) {
    const auto known =
        std::ranges::find(places_, name, [](const auto& place) { return std::string_view(place.first); });
    if (known != places_.end()) {
      put16(static_cast<std::uint16_t>(0xc000U | known->second));
      return;
    }
    if (places_.size() < kPlacesMax && bytes_.size() <= kPointerReachMax) {
      places_.emplace_back(name, static_cast<std::uint16_t>(bytes_.size()));
    }
    const std::size_t dot = name.find('.');
    const std::string_view label = name.substr(0, std::min(dot, kLabelBytesMax));
    bytes_ += static_cast<char>(label.size());
    for (const char c : label) bytes_ += c == kDotInLabel ? '.' : c;
    if (dot == std::string_view::npos) break;
    name.remove_prefix(dot + 1);
  }
  bytes_ += '\0';
}

void DnsResponse::begin_record(Section section, std::string_view owner, RecordType type, std::uint32_t ttl) {
  SLUICE_ASSERT(section >= section_);
  section_ = section;
  record_start_ = bytes_.size();
  put_name(owner);
  put16(static_cast<std::uint16_t>(type));
  put16(1);
  put32(ttl);
  length_at_ = bytes_.size();
  put16(0);
}

void DnsResponse::end_record() {
  store16(bytes_, length_at_, bytes_.size() - length_at_ - 2);
  // An OPT record may still have to follow.
  if (bytes_.size() + 11 > kBytesMax) {
    bytes_.resize(record_start_);
    std::erase_if(places_, [this](const auto& place) { return place.second >= record_start_; });
    overflowed_ = true;
    return;
  }
  ++counts_[static_cast<std::size_t>(section_)];
}

void DnsResponse::add_address(Section section, std::string_view owner, std::uint32_t ttl,
                              const IpAddress& address) {
  begin_record(section, owner, address.is_v4() ? RecordType::A : RecordType::Aaaa, ttl);
  bytes_.append(reinterpret_cast<const char*>(address.octets().data()), address.is_v4() ? 4 : 16);
  end_record();
}

void DnsResponse::add_mx(std::string_view owner, std::uint32_t ttl, std::uint16_t preference,
                         std::string_view host) {
  begin_record(Section::Answer, owner, RecordType::Mx, ttl);
  put16(preference);
  put_name(host);
  end_record();
}

void DnsResponse::add_name(Section section, RecordType type, std::string_view owner, std::uint32_t ttl,
                           std::string_view target) {
  begin_record(section, owner, type, ttl);
  put_name(target);
  end_record();
}

void DnsResponse::add_text(std::string_view owner, std::uint32_t ttl, std::string_view text) {
  begin_record(Section::Answer, owner, RecordType::Txt, ttl);
  do {
    const std::string_view part = text.substr(0, 255);
    bytes_ += static_cast<char>(part.size());
    bytes_ += part;
    text.remove_prefix(part.size());
  } while (!text.empty());
  end_record();
}

void DnsResponse::add_raw(RecordType type, std::string_view owner, std::uint32_t ttl, std::string_view data) {
  begin_record(Section::Answer, owner, type, ttl);
  bytes_ += data;
  end_record();
}

void DnsResponse::add_soa(Section section, std::string_view owner, std::uint32_t ttl,
                          std::uint32_t negative_ttl) {
  begin_record(section, owner, RecordType::Soa, ttl);
  put_name("ns.sink.invalid");
  put_name("hostmaster.sink.invalid");
  put32(1);
  put32(3600);
  put32(600);
  put32(86400);
  put32(negative_ttl);
  end_record();
}

std::string DnsResponse::finish(std::size_t bytes_max) const {
  std::string out = bytes_;
  const std::size_t edns_bytes = question_.edns ? 11 : 0;
  const bool cut = out.size() + edns_bytes > bytes_max;
  if (cut) out.resize(question_end_);
  store16(out, 0, question_.id);
  // QR, opcode, AA, TC, RD, RA (this server is asked as a recursive one), code.
  const unsigned flags = 0x8000U | static_cast<unsigned>(question_.opcode) << 11 | 0x0400U |
                         (cut ? 0x0200U : 0U) | (question_.recursion_desired ? 0x0100U : 0U) | 0x0080U |
                         static_cast<unsigned>(code_);
  store16(out, 2, flags);
  store16(out, 4, 1);
  for (std::size_t i = 0; i < 3; ++i) {
    const bool is_additional = i == static_cast<std::size_t>(Section::Additional);
    const unsigned edns = is_additional && question_.edns ? 1 : 0;
    store16(out, 6 + 2 * i, (cut ? 0U : counts_[i]) + edns);
  }
  if (question_.edns) {
    const std::uint8_t opt[11] = {0,
                                  0,
                                  41,
                                  kUdpBytesOwn >> 8,
                                  kUdpBytesOwn & 0xff,
                                  0,
                                  0,
                                  static_cast<std::uint8_t>(question_.dnssec_ok ? 0x80 : 0),
                                  0,
                                  0,
                                  0};
    out.append(reinterpret_cast<const char*>(opt), sizeof opt);
  }
  return out;
}

}  // namespace sluice::bench
