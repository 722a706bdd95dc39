#include "policy/settings/values.h"

#include <array>
#include <utility>

#include "policy/base/ascii.h"

namespace sluice::config {
namespace {

struct RecordName {
  std::string_view word;
  RecordType type;
};
// The first word of each type is its short form.
constexpr std::array kRecordNames{
    RecordName{"d", RecordType::Delivery},
    RecordName{"delivery", RecordType::Delivery},
    RecordName{"b", RecordType::Bounce},
    RecordName{"bounce", RecordType::Bounce},
    RecordName{"t", RecordType::Transient},
    RecordName{"transient", RecordType::Transient},
    RecordName{"tq", RecordType::TransientQueue},
    RecordName{"transient-queue", RecordType::TransientQueue},
    RecordName{"r", RecordType::Reception},
    RecordName{"receipt", RecordType::Reception},
    RecordName{"reception", RecordType::Reception},
    RecordName{"f", RecordType::Feedback},
    RecordName{"fbl", RecordType::Feedback},
    RecordName{"feedback", RecordType::Feedback},
    RecordName{"feedback-loop", RecordType::Feedback},
    RecordName{"rb", RecordType::RemoteBounce},
    RecordName{"remote-bounce", RecordType::RemoteBounce},
    RecordName{"rs", RecordType::RemoteStatus},
    RecordName{"remote-status", RecordType::RemoteStatus},
};

/// RFC 3492 parameters.
constexpr std::uint32_t kBase = 36, kTMin = 1, kTMax = 26, kSkew = 38, kDamp = 700, kInitialBias = 72,
                        kInitialN = 128;
constexpr std::size_t kLabelPointsMax = 63;  ///< longer labels cannot be valid and stay as they are

std::uint32_t adapt(std::uint32_t delta, std::uint32_t points, bool first) {
  delta = first ? delta / kDamp : delta / 2;
  delta += delta / points;
  std::uint32_t k = 0;
  for (; delta > ((kBase - kTMin) * kTMax) / 2; k += kBase) delta /= kBase - kTMin;
  return k + (kBase - kTMin + 1) * delta / (delta + kSkew);
}

/// Decodes UTF-8; empty when malformed or too long.
std::vector<std::uint32_t> code_points(std::string_view label) {
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < label.size();) {
    const auto lead = static_cast<unsigned char>(label[i++]);
    const int extra = lead < 0x80         ? 0
                      : (lead >> 5) == 6  ? 1
                      : (lead >> 4) == 14 ? 2
                      : (lead >> 3) == 30 ? 3
                                          : -1;
    if (extra < 0 || i + static_cast<std::size_t>(extra) > label.size()) return {};
    std::uint32_t point = extra == 0 ? lead : lead & (0x3fu >> extra);
    for (int k = 0; k < extra; ++k) {
      const auto next = static_cast<unsigned char>(label[i++]);
      if ((next & 0xc0) != 0x80) return {};
      point = (point << 6) | (next & 0x3fu);
    }
    // Capital letters of Latin-1, the only ones beyond ASCII that show up in domain names of real files.
    if ((point >= 0xc0 && point <= 0xde) && point != 0xd7) point += 32;
    out.push_back(point);
    if (out.size() > kLabelPointsMax) return {};
  }
  return out;
}

char digit_of(std::uint32_t value) {
  return static_cast<char>(value < 26 ? 'a' + value : '0' + (value - 26));
}

std::string punycode(const std::vector<std::uint32_t>& points) {
  std::string out = "xn--";
  std::uint32_t handled = 0;
  for (const std::uint32_t point : points) {
    if (point < kInitialN) out += static_cast<char>(point), ++handled;
  }
  const std::uint32_t basic = handled;
  if (basic > 0) out += '-';
  std::uint32_t n = kInitialN, delta = 0, bias = kInitialBias;
  while (handled < points.size()) {
    std::uint32_t next = UINT32_MAX;
    for (const std::uint32_t point : points) {
      if (point >= n && point < next) next = point;
    }
    // No overflow: at most 63 points below 2^21 each.
    delta += (next - n) * (handled + 1);
    n = next;
    for (const std::uint32_t point : points) {
      if (point < n) ++delta;
      if (point != n) continue;
      std::uint32_t q = delta;
      for (std::uint32_t k = kBase;; k += kBase) {
        const std::uint32_t t = k <= bias ? kTMin : k >= bias + kTMax ? kTMax : k - bias;
        if (q < t) break;
        out += digit_of(t + (q - t) % (kBase - t));
        q = (q - t) / (kBase - t);
      }
      out += digit_of(q);
      bias = adapt(delta, handled + 1, handled == basic);
      delta = 0;
      ++handled;
    }
    ++delta;
    ++n;
  }
  return out;
}

std::string normalise_label(std::string_view label) {
  std::string lower = to_lower(label);
  bool ascii = true;
  for (const char c : lower) ascii = ascii && static_cast<unsigned char>(c) < 0x80;
  if (ascii) return lower;
  const auto points = code_points(lower);
  return points.empty() ? lower : punycode(points);
}

}  // namespace

std::string_view short_name(RecordType type) {
  for (const RecordName& name : kRecordNames) {
    if (name.type == type) return name.word;
  }
  return "";
}

std::optional<RecordType> parse_record_type(std::string_view word) {
  for (const RecordName& name : kRecordNames) {
    if (iequals(name.word, word)) return name.type;
  }
  return std::nullopt;
}

std::string normalise_domain(std::string_view domain) {
  if (domain.size() > 1 && domain.back() == '.') domain.remove_suffix(1);
  std::string out;
  while (true) {
    const std::size_t dot = domain.find('.');
    out += normalise_label(domain.substr(0, dot));
    if (dot == std::string_view::npos) return out;
    out += '.';
    domain.remove_prefix(dot + 1);
  }
}

std::optional<DomainPattern> DomainPattern::parse(std::string_view text) {
  DomainPattern out;
  if (text.empty() || text.find_first_of(" \t,") != std::string_view::npos) return std::nullopt;
  if (text == "*") return out;
  if (text.starts_with("[*.]")) {
    out.kind = DomainPatternKind::DomainAndSubdomains;
    text.remove_prefix(4);
  } else if (text.starts_with("*.")) {
    out.kind = DomainPatternKind::Subdomains;
    text.remove_prefix(2);
  } else if (text.front() == '[' && text.back() == ']') {
    out.kind = DomainPatternKind::AddressLiteral;
    std::string_view inner = text.substr(1, text.size() - 2);
    if (istarts_with(inner, "ipv6:")) inner.remove_prefix(5);
    out.literals = Cidr::parse(inner);
    if (!out.literals) return std::nullopt;
    return out;
  } else {
    out.kind = DomainPatternKind::Exact;
  }
  if (text.empty() || text.find_first_of("*[]<>/\"'") != std::string_view::npos) return std::nullopt;
  out.domain = normalise_domain(text);
  return out;
}

bool DomainPattern::matches(std::string_view name) const {
  switch (kind) {
    case DomainPatternKind::Any: return true;
    case DomainPatternKind::Exact: return name == domain;
    case DomainPatternKind::DomainAndSubdomains:
      if (name == domain) return true;
      [[fallthrough]];
    case DomainPatternKind::Subdomains:
      return name.size() > domain.size() + 1 && name.ends_with(domain) &&
             name[name.size() - domain.size() - 1] == '.';
    case DomainPatternKind::AddressLiteral: {
      if (name.size() < 3 || name.front() != '[' || name.back() != ']') return false;
      name = name.substr(1, name.size() - 2);
      if (istarts_with(name, "ipv6:")) name.remove_prefix(5);
      const auto address = IpAddress::parse(name);
      return address && literals->contains(*address);
    }
  }
  return false;
}

std::string DomainPattern::text() const {
  switch (kind) {
    case DomainPatternKind::Any: return "*";
    case DomainPatternKind::Exact: return domain;
    case DomainPatternKind::Subdomains: return "*." + domain;
    case DomainPatternKind::DomainAndSubdomains: return "[*.]" + domain;
    case DomainPatternKind::AddressLiteral: return '[' + literals->text() + ']';
  }
  return "";
}

}  // namespace sluice::config
