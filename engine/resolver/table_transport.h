#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/resolver/dns_transport.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/sync.h"

namespace sluice::resolver {

/// Answers from a table, after a delay of the reactor's time: the name servers of tests and simulated worlds.
/// Names are given in lower case. A name that is not in the table is NXDOMAIN, a type a name does not have is
/// an empty answer, both with an SOA of kNegativeTtl; aliases are followed as a recursive server does.
/// Thread: one shard. Limits: what the tests put in. stop() lets delayed answers run out their delay.
class TableTransport final : public DnsTransport {
 public:
  static constexpr std::chrono::seconds kNegativeTtl{60};

  explicit TableTransport(runtime::Reactor& reactor) : reactor_(reactor), idle_(reactor) {}

  /// Adds records to the zone; the same (name, type) collects them.
  void add_a(std::string name, std::string_view address,
             std::chrono::seconds ttl = std::chrono::seconds{300});
  void add_mx(std::string name, std::uint16_t preference, std::string host,
              std::chrono::seconds ttl = std::chrono::seconds{300});
  void add_alias(std::string name, std::string target, std::chrono::seconds ttl = std::chrono::seconds{300});
  void add(net::dns::Record record);
  /// A TXT record of strings of 255 bytes and the rest.
  void add_txt(std::string name, std::string_view text, std::chrono::seconds ttl = std::chrono::seconds{300});
  /// `reverse`: "1.2.0.192.in-addr.arpa".
  void add_ptr(std::string reverse, std::string target, std::chrono::seconds ttl = std::chrono::seconds{300});
  /// Forgets what the zone says about (name, type).
  void remove(std::string_view name, net::dns::Type type);

  /// Instead of the zone: what the question is answered with from now on, until a later script(). `answer`
  /// gets the reply the zone would give and may change it, or return an error, or other bytes.
  using Script = std::function<Result<std::vector<std::byte>>(net::dns::Message reply)>;
  void script(std::string name, net::dns::Type type, Script answer);
  /// Every question is answered so; null ends it.
  void script_all(Script answer) { script_all_ = std::move(answer); }

  void set_delay(Duration delay) { delay_ = delay; }
  /// Only for questions about `name`.
  void set_delay(std::string name, Duration delay) { delays_[std::move(name)] = delay; }
  /// While held no answer leaves; release() lets them go.
  void hold() { held_ = true; }
  void release();

  [[nodiscard]] std::size_t asked() const { return log_.size(); }
  [[nodiscard]] std::size_t under_way() const { return under_way_; }
  [[nodiscard]] std::size_t under_way_most() const { return under_way_most_; }
  /// "mx.example A", in the order of asking.
  [[nodiscard]] const std::vector<std::string>& log() const { return log_; }

  runtime::Task<Result<std::vector<std::byte>>> query(std::string name, net::dns::Type type) override;
  runtime::Task<void> stop() override;

 private:
  using Key = std::pair<std::string, net::dns::Type>;
  [[nodiscard]] net::dns::Message zone_reply(const std::string& name, net::dns::Type type) const;
  [[nodiscard]] Result<std::vector<std::byte>> answer(const std::string& name, net::dns::Type type) const;

  runtime::Reactor& reactor_;
  std::map<Key, std::vector<net::dns::Record>> zone_;
  std::map<Key, Script> scripts_;
  std::map<std::string, Duration, std::less<>> delays_;
  Script script_all_;
  Duration delay_{0};
  bool held_ = false;
  bool stopped_ = false;
  std::size_t under_way_ = 0;
  std::size_t under_way_most_ = 0;
  std::vector<std::string> log_;
  std::deque<std::coroutine_handle<>> waiting_;
  runtime::Wakeup idle_;
};

}  // namespace sluice::resolver
