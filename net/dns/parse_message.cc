#include <algorithm>
#include <array>

#include "net/dns/message.h"
#include "net/dns/wire_name.h"

namespace sluice::net::dns {
namespace {

constexpr const char* kWhere = "dns.parse";

/// Reads forward through a message and never past `end`.
class Cursor {
 public:
  Cursor(std::span<const std::byte> message, std::size_t at, std::size_t end)
      : message_(message), at_(at), end_(end) {}

  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] std::size_t left() const { return end_ - at_; }
  std::optional<std::uint16_t> u16() {
    if (left() < 2) return std::nullopt;
    const auto value = static_cast<std::uint16_t>((byte(0) << 8) | byte(1));
    at_ += 2;
    return value;
  }
  std::optional<std::uint32_t> u32() {
    if (left() < 4) return std::nullopt;
    const std::uint32_t value = (byte(0) << 24) | (byte(1) << 16) | (byte(2) << 8) | byte(3);
    at_ += 4;
    return value;
  }
  std::optional<std::string> name() {
    auto read = read_name(message_, at_);
    if (!read || read->end > end_) return std::nullopt;
    at_ = read->end;
    return std::move(read->text);
  }
  std::optional<std::span<const std::byte>> bytes(std::size_t count) {
    if (left() < count) return std::nullopt;
    const auto out = message_.subspan(at_, count);
    at_ += count;
    return out;
  }

 private:
  [[nodiscard]] std::uint32_t byte(std::size_t i) const {
    return std::to_integer<std::uint32_t>(message_[at_ + i]);
  }
  std::span<const std::byte> message_;
  std::size_t at_;
  std::size_t end_;
};

std::chrono::seconds ttl_of(std::uint32_t raw_sec) {
  if ((raw_sec & 0x80000000u) != 0) return std::chrono::seconds{0};  // RFC 2181 8
  return std::min(std::chrono::seconds{raw_sec}, kTtlMax);
}

/// Flags of the second header word, RFC 1035 4.1.1 and RFC 4035 3.
Header header_of(std::uint16_t id, std::uint16_t flags) {
  Header header;
  header.id = id;
  header.response = (flags & 0x8000) != 0;
  header.opcode = static_cast<std::uint8_t>((flags >> 11) & 0xf);
  header.authoritative = (flags & 0x0400) != 0;
  header.truncated = (flags & 0x0200) != 0;
  header.recursion_desired = (flags & 0x0100) != 0;
  header.recursion_available = (flags & 0x0080) != 0;
  header.authentic_data = (flags & 0x0020) != 0;
  header.checking_disabled = (flags & 0x0010) != 0;
  header.rcode = static_cast<Rcode>(flags & 0xf);
  return header;
}

using RecordData = std::variant<IpAddress, MxData, NameData, SoaData, RawData>;

std::optional<RecordData> parse_soa(Cursor& in) {
  SoaData soa;
  auto primary = in.name();
  if (!primary) return std::nullopt;
  auto contact = in.name();
  if (!contact || in.left() != 20) return std::nullopt;
  soa.primary = std::move(*primary);
  soa.contact = std::move(*contact);
  soa.serial = *in.u32();
  soa.refresh_sec = *in.u32();
  soa.retry_sec = *in.u32();
  soa.expire_sec = *in.u32();
  soa.minimum = ttl_of(*in.u32());
  return soa;
}

/// The data between the cursor and its end, which has to be used up exactly.
std::optional<RecordData> parse_data(Cursor& in, Type type) {
  switch (type) {
    case Type::A: {
      if (in.left() != 4) return std::nullopt;
      std::array<std::uint8_t, 4> octets{};
      const auto bytes = *in.bytes(4);
      std::transform(bytes.begin(), bytes.end(), octets.begin(),
                     [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
      return IpAddress::from_v4(octets);
    }
    case Type::Aaaa: {
      if (in.left() != 16) return std::nullopt;
      std::array<std::uint8_t, 16> octets{};
      const auto bytes = *in.bytes(16);
      std::transform(bytes.begin(), bytes.end(), octets.begin(),
                     [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
      return IpAddress::from_v6(octets);
    }
    case Type::Mx: {
      const auto preference = in.u16();
      if (!preference) return std::nullopt;
      auto host = in.name();
      if (!host || in.left() != 0) return std::nullopt;
      return MxData{*preference, std::move(*host)};
    }
    case Type::Ns:
    case Type::Cname:
    case Type::Ptr: {
      auto name = in.name();
      if (!name || in.left() != 0) return std::nullopt;
      return NameData{std::move(*name)};
    }
    case Type::Soa: return parse_soa(in);
    case Type::Txt:
    case Type::Opt:
    case Type::Tlsa:
    case Type::Any: break;
  }
  const auto bytes = *in.bytes(in.left());
  return RawData{{bytes.begin(), bytes.end()}};
}

enum class Section : std::uint8_t { Answer, Authority, Additional };

bool parse_record(Cursor& in, std::span<const std::byte> bytes, Section section, Message& out) {
  auto name = in.name();
  if (!name) return false;
  const auto type_raw = in.u16();
  const auto klass = in.u16();
  const auto ttl_raw = in.u32();
  const auto size = in.u16();
  if (!type_raw || !klass || !ttl_raw || !size) return false;
  const std::size_t data_at = in.at();
  if (!in.bytes(*size)) return false;
  const auto type = static_cast<Type>(*type_raw);

  if (type == Type::Opt) {
    // RFC 6891 6.1.1: at most one, in the additional section, owned by the root. The class is the size, the
    // TTL flags.
    if (section != Section::Additional || !name->empty() || out.edns) return false;
    out.edns = Edns{*klass, (*ttl_raw & 0x8000) != 0};
    return true;
  }
  if (section == Section::Additional || *klass != kClassInternet) return true;
  Cursor data_in(bytes, data_at, data_at + *size);
  auto data = parse_data(data_in, type);
  if (!data) return false;
  auto& list = section == Section::Answer ? out.answers : out.authority;
  list.push_back(Record{std::move(*name), type, *klass, ttl_of(*ttl_raw), std::move(*data)});
  return true;
}

}  // namespace

Result<Message> parse_message(std::span<const std::byte> bytes) {
  if (bytes.size() > kMessageBytesMax) return fail(Errc::BadInput, kWhere);
  Cursor in(bytes, 0, bytes.size());
  std::array<std::uint16_t, 6> words{};
  for (auto& word : words) {
    const auto value = in.u16();
    if (!value) return fail(Errc::BadInput, kWhere);
    word = *value;
  }
  Message out;
  out.header = header_of(words[0], words[1]);
  const std::size_t records = std::size_t{words[3]} + words[4] + words[5];
  if (words[2] > kQuestionsMax || records > kRecordsMax) return fail(Errc::BadInput, kWhere);

  for (std::size_t i = 0; i < words[2]; ++i) {
    auto name = in.name();
    if (!name) return fail(Errc::BadInput, kWhere);
    const auto type = in.u16();
    const auto klass = in.u16();
    if (!type || !klass) return fail(Errc::BadInput, kWhere);
    out.questions.push_back(Question{std::move(*name), static_cast<Type>(*type), *klass});
  }
  static constexpr Section kSections[] = {Section::Answer, Section::Authority, Section::Additional};
  for (std::size_t s = 0; s < std::size(kSections); ++s) {
    // A truncated answer may promise more records than it holds; what is whole is kept for the caller to see.
    for (std::size_t i = 0; i < words[3 + s]; ++i) {
      if (out.header.truncated && in.left() == 0) return out;
      if (!parse_record(in, bytes, kSections[s], out)) return fail(Errc::BadInput, kWhere);
    }
  }
  return out;
}

Result<std::string> txt_text(std::span<const std::byte> raw) {
  std::string out;
  while (!raw.empty()) {
    const auto length = std::to_integer<std::size_t>(raw.front());
    if (raw.size() - 1 < length) return fail(Errc::BadInput, "dns.txt");
    for (const std::byte b : raw.subspan(1, length)) out += static_cast<char>(b);
    raw = raw.subspan(1 + length);
  }
  return out;
}

std::string text_of(Type type) {
  switch (type) {
    case Type::A: return "A";
    case Type::Ns: return "NS";
    case Type::Cname: return "CNAME";
    case Type::Soa: return "SOA";
    case Type::Ptr: return "PTR";
    case Type::Mx: return "MX";
    case Type::Txt: return "TXT";
    case Type::Aaaa: return "AAAA";
    case Type::Opt: return "OPT";
    case Type::Tlsa: return "TLSA";
    case Type::Any: return "ANY";
  }
  return "TYPE" + std::to_string(static_cast<unsigned>(type));
}

std::string text_of(Rcode rcode) {
  switch (rcode) {
    case Rcode::NoError: return "NOERROR";
    case Rcode::FormErr: return "FORMERR";
    case Rcode::ServFail: return "SERVFAIL";
    case Rcode::NxDomain: return "NXDOMAIN";
    case Rcode::NotImp: return "NOTIMP";
    case Rcode::Refused: return "REFUSED";
  }
  return "RCODE" + std::to_string(static_cast<unsigned>(rcode));
}

}  // namespace sluice::net::dns
