#include "engine/resolver/rrset.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "policy/base/assert.h"

namespace sluice::resolver {

using net::dns::Record;
using net::dns::Type;

namespace {

constexpr std::size_t kV4Bytes = 4;
constexpr std::size_t kV6Bytes = 16;

/// Empty: the null MX.
std::string_view packed_host(const net::dns::MxData& mx) {
  return mx.host.size() <= 255 ? std::string_view(mx.host) : Rrset::kNoHost;  // escapes make names longer
}

std::size_t packed_bytes(const Record& record) {
  switch (record.type) {
    case Type::A: return kV4Bytes;
    case Type::Aaaa: return kV6Bytes;
    case Type::Mx: return 3 + packed_host(std::get<net::dns::MxData>(record.data)).size();
    default: break;
  }
  if (const auto* name = std::get_if<net::dns::NameData>(&record.data)) return 2 + name->name.size();
  if (const auto* raw = std::get_if<net::dns::RawData>(&record.data)) return 2 + raw->bytes.size();
  return 0;  // SOA: nobody asks for it
}

std::byte* put_u16(std::byte* at, std::size_t value) {
  at[0] = static_cast<std::byte>(value >> 8);
  at[1] = static_cast<std::byte>(value & 0xff);
  return at + 2;
}

std::size_t get_u16(const std::byte* at) {
  return (std::to_integer<std::size_t>(at[0]) << 8) | std::to_integer<std::size_t>(at[1]);
}

std::byte* put_text(std::byte* at, std::string_view text) {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

/// Requires packed_bytes(record) bytes at `at`.
std::byte* pack(std::byte* at, const Record& record) {
  if (const auto* address = std::get_if<IpAddress>(&record.data)) {
    const std::size_t bytes = record.type == Type::A ? kV4Bytes : kV6Bytes;
    std::memcpy(at, address->octets().data(), bytes);
    return at + bytes;
  }
  if (const auto* mx = std::get_if<net::dns::MxData>(&record.data)) {
    at = put_u16(at, mx->preference);
    const std::string_view host = packed_host(*mx);
    *at++ = static_cast<std::byte>(host.size());
    return put_text(at, host);
  }
  if (const auto* name = std::get_if<net::dns::NameData>(&record.data)) {
    return put_text(put_u16(at, name->name.size()), name->name);
  }
  const auto& raw = std::get<net::dns::RawData>(record.data);
  at = put_u16(at, raw.bytes.size());
  std::copy(raw.bytes.begin(), raw.bytes.end(), at);
  return at + raw.bytes.size();
}

}  // namespace

RrsetRef::~RrsetRef() {
  if (set_ == nullptr || --set_->references_ > 0) return;
  set_->~Rrset();
  ::operator delete(static_cast<void*>(set_));
}

// Header, name and payload are one block: one allocation and one cache line or two for the common answer.
Rrset* Rrset::allocate(std::string_view name, Type type, std::size_t payload_bytes) {
  SLUICE_ASSERT(name.size() <= 255 && payload_bytes <= kPayloadBytesMax);
  void* block = ::operator new(sizeof(Rrset) + name.size() + payload_bytes);
  auto* set = new (block) Rrset();
  set->type_ = type;
  set->name_bytes_ = static_cast<std::uint8_t>(name.size());
  set->payload_bytes_ = static_cast<std::uint16_t>(payload_bytes);
  std::memcpy(static_cast<void*>(set + 1), name.data(), name.size());
  return set;
}

std::string_view Rrset::name() const { return {reinterpret_cast<const char*>(this + 1), name_bytes_}; }
const std::byte* Rrset::payload() const { return reinterpret_cast<const std::byte*>(this + 1) + name_bytes_; }
std::byte* Rrset::payload() { return reinterpret_cast<std::byte*>(this + 1) + name_bytes_; }
std::size_t Rrset::bytes() const { return sizeof(Rrset) + name_bytes_ + payload_bytes_; }

RrsetRef Rrset::of_records(std::string_view name, Type type, std::span<const Record> records,
                           MonoTime expires) {
  std::vector<const Record*> chosen;
  for (const Record& record : records) {
    // An AAAA with a mapped IPv4 address is no IPv6 host (RFC 4291 2.5.5.2); IpAddress has made it IPv4
    // already.
    const auto* address = std::get_if<IpAddress>(&record.data);
    if (record.type != type || packed_bytes(record) == 0) continue;
    if (address != nullptr && address->is_v4() != (type == Type::A)) continue;
    chosen.push_back(&record);
  }
  if (type == Type::Mx) {
    std::sort(chosen.begin(), chosen.end(), [](const Record* a, const Record* b) {
      const auto& left = std::get<net::dns::MxData>(a->data);
      const auto& right = std::get<net::dns::MxData>(b->data);
      return left.preference != right.preference ? left.preference < right.preference
                                                 : left.host < right.host;
    });
    const auto same = [](const Record* a, const Record* b) { return a->data == b->data; };
    chosen.erase(std::unique(chosen.begin(), chosen.end(), same), chosen.end());
  }
  std::size_t bytes = 0;
  std::size_t count = 0;
  while (count < chosen.size() && bytes + packed_bytes(*chosen[count]) <= kPayloadBytesMax) {
    bytes += packed_bytes(*chosen[count++]);
  }
  if (count == 0) return of_nothing(name, type, Kind::NoData, expires);
  Rrset* set = allocate(name, type, bytes);
  set->kind_ = Kind::Records;
  set->known_ = true;
  set->count_ = static_cast<std::uint16_t>(count);
  set->expires_ = set->first_expired_ = expires;
  std::byte* at = set->payload();
  for (std::size_t i = 0; i < count; ++i) at = pack(at, *chosen[i]);
  SLUICE_ASSERT(at == set->payload() + bytes);
  return RrsetRef(set);
}

RrsetRef Rrset::of_nothing(std::string_view name, Type type, Kind kind, MonoTime expires) {
  SLUICE_ASSERT(kind != Kind::Records);
  Rrset* set = allocate(name, type, 0);
  set->kind_ = kind;
  set->known_ = kind == Kind::NoData;
  set->expires_ = set->first_expired_ = expires;
  return RrsetRef(set);
}

RrsetRef Rrset::stale_copy(const Rrset& old, MonoTime expires) {
  Rrset* set = allocate(old.name(), old.type_, old.payload_bytes_);
  set->kind_ = old.kind_;
  set->known_ = old.known_;
  set->count_ = old.count_;
  set->expires_ = expires;
  set->first_expired_ = old.first_expired_;
  std::memcpy(set->payload(), old.payload(), old.payload_bytes_);
  return RrsetRef(set);
}

IpAddress Rrset::address(std::size_t index) const {
  SLUICE_ASSERT(index < count_ && (type_ == Type::A || type_ == Type::Aaaa));
  if (type_ == Type::A) {
    std::array<std::uint8_t, kV4Bytes> octets{};
    std::memcpy(octets.data(), payload() + index * kV4Bytes, kV4Bytes);
    return IpAddress::from_v4(octets);
  }
  std::array<std::uint8_t, kV6Bytes> octets{};
  std::memcpy(octets.data(), payload() + index * kV6Bytes, kV6Bytes);
  return IpAddress::from_v6(octets);
}

bool Rrset::next_mx(std::size_t& cursor, Mx& out) const {
  SLUICE_ASSERT(type_ == Type::Mx);
  if (cursor >= payload_bytes_) return false;
  const std::byte* at = payload() + cursor;
  const auto name_bytes = std::to_integer<std::size_t>(at[2]);
  out.preference = static_cast<std::uint16_t>(get_u16(at));
  out.host = {reinterpret_cast<const char*>(at + 3), name_bytes};
  cursor += 3 + name_bytes;
  return true;
}

bool Rrset::next_raw(std::size_t& cursor, std::span<const std::byte>& out) const {
  SLUICE_ASSERT(type_ != Type::A && type_ != Type::Aaaa && type_ != Type::Mx);
  if (cursor >= payload_bytes_) return false;
  const std::byte* at = payload() + cursor;
  out = {at + 2, get_u16(at)};
  cursor += 2 + out.size();
  return true;
}

}  // namespace sluice::resolver
