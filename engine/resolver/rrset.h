#pragma once
// What the cache holds for one question: an immutable, packed, counted block.

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "net/dns/message.h"
#include "policy/base/ip_address.h"
#include "policy/base/units.h"

namespace sluice::resolver {

class RrsetRef;

/// The answer to one question (name, type): records, or why there are none. Immutable once made, except for
/// its bookkeeping. Memory: 32 bytes + name + 4 (A), 16 (AAAA), 3 + name (MX), 2 + size (others) for each
/// record. Limits: kPayloadBytesMax: about what one DNS message can carry.
/// Thread: one shard (the count is not atomic).
class Rrset {
 public:
  enum class Kind : std::uint8_t {
    Records,   ///< at least one
    NoData,    ///< the name exists, records of this type do not
    NxDomain,  ///< the name does not exist; said by its zone (AA set, or the zone's SOA enclosed)
    Failure,   ///< SERVFAIL, timeout, refused, nonsense: nothing is known
  };
  static constexpr std::size_t kPayloadBytesMax = 65535;  ///< of the records of one question; more are cut

  static constexpr std::string_view kNoHost = "\\";  ///< no name that can be asked for

  struct Mx {
    std::uint16_t preference;
    std::string_view host;
  };

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] net::dns::Type type() const { return type_; }
  [[nodiscard]] std::string_view name() const;
  [[nodiscard]] MonoTime expires() const { return expires_; }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] std::size_t bytes() const;  ///< memory this block takes
  /// Requires type A or AAAA and index < count().
  [[nodiscard]] IpAddress address(std::size_t index) const;
  /// Walks the records of type MX, most preferred first. `cursor` starts at 0; false at the end. The host is
  /// any text a zone may hold, kNoHost where even that does not fit: check it before asking for it.
  [[nodiscard]] bool next_mx(std::size_t& cursor, Mx& out) const;
  /// Walks the records of a type other than A, AAAA and MX, as on the wire.
  [[nodiscard]] bool next_raw(std::size_t& cursor, std::span<const std::byte>& out) const;

  /// Packs `records` (all of `type`; others are skipped). At most kPayloadBytesMax; of MX records the most
  /// preferred stay. With none left the kind is NoData.
  [[nodiscard]] static RrsetRef of_records(std::string_view name, net::dns::Type type,
                                           std::span<const net::dns::Record> records, MonoTime expires);
  [[nodiscard]] static RrsetRef of_nothing(std::string_view name, net::dns::Type type, Kind kind,
                                           MonoTime expires);
  /// The same answer, to be used until `expires` although its time is over (RFC 8767). Keeps first_expired().
  [[nodiscard]] static RrsetRef stale_copy(const Rrset& old, MonoTime expires);
  /// When the answer's own TTL ended, of a stale copy; expires() of every other.
  [[nodiscard]] MonoTime first_expired() const { return first_expired_; }

 private:
  friend class RrsetRef;
  friend class RrsetCache;
  Rrset() = default;
  ~Rrset() = default;
  [[nodiscard]] static Rrset* allocate(std::string_view name, net::dns::Type type, std::size_t payload_bytes);
  [[nodiscard]] const std::byte* payload() const;
  [[nodiscard]] std::byte* payload();

  MonoTime expires_{};
  MonoTime first_expired_{};
  std::uint32_t references_ = 0;
  std::uint32_t hash_ = 0;  // kept by the cache
  std::uint16_t payload_bytes_ = 0;
  net::dns::Type type_ = net::dns::Type::A;
  std::uint16_t count_ = 0;
  std::uint8_t name_bytes_ = 0;
  Kind kind_ : 2 = Kind::NoData;
  bool used_ : 1 = false;   // kept by the cache: its second chance
  bool known_ : 1 = false;  // kept by the cache: this question has had a good answer before
};
static_assert(sizeof(Rrset) == 32 || sizeof(void*) != 8);

/// Counted reference to an Rrset; may be empty.
class RrsetRef {
 public:
  RrsetRef() = default;
  explicit RrsetRef(Rrset* set) : set_(set) {
    if (set_ != nullptr) ++set_->references_;
  }
  RrsetRef(const RrsetRef& other) : RrsetRef(other.set_) {}
  RrsetRef(RrsetRef&& other) noexcept : set_(std::exchange(other.set_, nullptr)) {}
  RrsetRef& operator=(RrsetRef other) noexcept {
    std::swap(set_, other.set_);
    return *this;
  }
  ~RrsetRef();
  [[nodiscard]] explicit operator bool() const { return set_ != nullptr; }
  [[nodiscard]] const Rrset& operator*() const { return *set_; }
  [[nodiscard]] const Rrset* operator->() const { return set_; }

 private:
  friend class RrsetCache;
  Rrset* set_ = nullptr;
};

}  // namespace sluice::resolver
