#include <algorithm>
#include <map>

#include "net/dns/message.h"
#include "net/dns/wire_name.h"
#include "policy/base/ascii.h"

namespace sluice::net::dns {
namespace {

constexpr const char* kWhere = "dns.build";
constexpr std::size_t kHeaderBytes = 12;
constexpr std::size_t kOptBytes = 11;              // root, type, size, flags, no options
constexpr std::size_t kPointerTargetMax = 0x3fff;  // 14 bits, RFC 1035 4.1.4

class Writer {
 public:
  void u8(std::uint32_t value) { bytes_.push_back(static_cast<std::byte>(value & 0xff)); }
  void u16(std::uint32_t value) {
    u8(value >> 8);
    u8(value);
  }
  void u32(std::uint32_t value) {
    u16(value >> 16);
    u16(value);
  }
  void raw(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void set_u16(std::size_t at, std::size_t value) {
    bytes_[at] = static_cast<std::byte>((value >> 8) & 0xff);
    bytes_[at + 1] = static_cast<std::byte>(value & 0xff);
  }
  /// Compressed against every name tail written before.
  bool name(std::string_view text) {
    const auto wire = encode_name(text);
    if (!wire) return false;
    std::size_t at = 0;
    for (;;) {
      const auto length = static_cast<unsigned char>((*wire)[at]);
      if (length == 0) {
        u8(0);
        return true;
      }
      const std::string tail = to_lower(std::string_view(*wire).substr(at));
      if (const auto known = tails_.find(tail); known != tails_.end()) {
        u16(0xc000u | static_cast<std::uint32_t>(known->second));
        return true;
      }
      if (bytes_.size() <= kPointerTargetMax) tails_.emplace(tail, bytes_.size());
      for (std::size_t i = 0; i <= length; ++i) u8(static_cast<unsigned char>((*wire)[at + i]));
      at += 1u + length;
    }
  }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  void cut(std::size_t size) {
    bytes_.resize(size);
    std::erase_if(tails_, [size](const auto& tail) { return tail.second >= size; });
  }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
  std::map<std::string, std::size_t, std::less<>> tails_;
};

std::uint32_t flags_of(const Header& header, bool truncated) {
  std::uint32_t flags = 0;
  if (header.response) flags |= 0x8000;
  flags |= static_cast<std::uint32_t>(header.opcode & 0xf) << 11;
  if (header.authoritative) flags |= 0x0400;
  if (truncated) flags |= 0x0200;
  if (header.recursion_desired) flags |= 0x0100;
  if (header.recursion_available) flags |= 0x0080;
  if (header.authentic_data) flags |= 0x0020;
  if (header.checking_disabled) flags |= 0x0010;
  return flags | (static_cast<std::uint32_t>(header.rcode) & 0xf);
}

std::uint32_t seconds_of(std::chrono::seconds time) { return static_cast<std::uint32_t>(time.count()); }

struct DataWriter {
  Writer& out;
  bool operator()(const IpAddress& address) const {
    for (unsigned i = 0; i < address.bit_count() / 8; ++i) out.u8(address.octets()[i]);
    return true;
  }
  bool operator()(const MxData& mx) const {
    out.u16(mx.preference);
    return out.name(mx.host);
  }
  bool operator()(const NameData& data) const { return out.name(data.name); }
  bool operator()(const SoaData& soa) const {
    if (!out.name(soa.primary) || !out.name(soa.contact)) return false;
    for (const std::uint32_t word :
         {soa.serial, soa.refresh_sec, soa.retry_sec, soa.expire_sec, seconds_of(soa.minimum)}) {
      out.u32(word);
    }
    return true;
  }
  bool operator()(const RawData& data) const {
    out.raw(data.bytes);
    return true;
  }
};

bool write_record(Writer& out, const Record& record) {
  if (!out.name(record.name)) return false;
  out.u16(static_cast<std::uint16_t>(record.type));
  out.u16(record.klass);
  out.u32(seconds_of(record.ttl));
  const std::size_t size_at = out.size();
  out.u16(0);
  if (!std::visit(DataWriter{out}, record.data)) return false;
  const std::size_t size = out.size() - size_at - 2;
  if (size > 0xffff) return false;
  out.set_u16(size_at, size);
  return true;
}

void write_opt(Writer& out, const Edns& edns) {
  out.u8(0);
  out.u16(static_cast<std::uint16_t>(Type::Opt));
  out.u16(edns.udp_size);
  out.u32(edns.dnssec_ok ? 0x8000 : 0);
  out.u16(0);
}

}  // namespace

Result<std::vector<std::byte>> build_message(const Message& message, std::size_t bytes_max) {
  bytes_max = std::min(bytes_max, kMessageBytesMax);
  const std::size_t room = bytes_max - std::min(bytes_max, message.edns ? kOptBytes : std::size_t{0});
  Writer out;
  bool truncated = message.header.truncated;
  out.u16(message.header.id);
  for (unsigned i = 0; i < 5; ++i) out.u16(0);
  if (message.questions.size() > kQuestionsMax) return fail(Errc::BadInput, kWhere);
  for (const Question& question : message.questions) {
    if (!out.name(question.name)) return fail(Errc::BadInput, kWhere);
    out.u16(static_cast<std::uint16_t>(question.type));
    out.u16(question.klass);
  }
  std::size_t counts[2] = {0, 0};
  const std::vector<Record>* sections[2] = {&message.answers, &message.authority};
  bool full = false;
  for (unsigned s = 0; s < 2 && !full; ++s) {
    for (const Record& record : *sections[s]) {
      const std::size_t before = out.size();
      if (!write_record(out, record)) return fail(Errc::BadInput, kWhere);
      if (out.size() > room) {
        out.cut(before);
        full = truncated = true;
        break;
      }
      ++counts[s];
    }
  }
  if (message.edns) write_opt(out, *message.edns);
  if (out.size() > bytes_max || out.size() < kHeaderBytes) return fail(Errc::BadInput, kWhere);
  out.set_u16(2, flags_of(message.header, truncated));
  out.set_u16(4, message.questions.size());
  out.set_u16(6, counts[0]);
  out.set_u16(8, counts[1]);
  out.set_u16(10, message.edns ? 1 : 0);
  return out.take();
}

Result<std::vector<std::byte>> build_query(std::uint16_t id, std::string_view name, Type type,
                                           std::optional<Edns> edns) {
  Message message;
  message.header.id = id;
  message.questions.push_back(Question{std::string(name), type, kClassInternet});
  message.edns = edns;
  return build_message(message);
}

}  // namespace sluice::net::dns
