#pragma once

#include <expected>
#include <string>
#include <vector>

#include "engine/delivery/local/worker.h"
#include "engine/resolver/route_answer.h"
#include "engine/runtime/stream.h"
#include "net/http/client.h"
#include "net/http/url.h"

namespace sluice::delivery {

/// Queue type http-delivery: one connection to the host of `http-delivery-url`, one POST over it for every
/// recipient, until it is lost or there is no mail. 2xx is delivered; everything else is temporary. Limits:
/// connections and their rates as for SMTP (Dispatcher::open_connection() and pass()); connect-timeout,
///           data-send-timeout, smtp-data-termination-timeout for the answer, max-msg-per-connection,
///           max-errors-per-connection, connection-idle-timeout.
/// Errors:   no connection, or an address or header file that cannot be used, fails the queue
/// (`retry-after`).
///           https is such an error as long as connections have no TLS: mail waits.
/// Thread: one shard, as LocalWorker.
class HttpWorker final : public LocalWorker {
 public:
  static constexpr std::size_t kHeaderFileBytesMax = 64 * 1024;
  static constexpr std::size_t kAnswerShown = 200;
  static constexpr Duration kRateWaitMax = 2s;

  /// As for Connection.
  HttpWorker(Dispatcher& dispatcher, queue::Queue& queue, Slots& slots, ConnectGrants paid);
  ~HttpWorker() override;
  [[nodiscard]] bool established() const override { return established_; }
  void finish() override;
  [[nodiscard]] Slots* slots() override { return &slots_; }
  [[nodiscard]] const std::optional<IpAddress>* source_in_use() const override {
    return source_ ? &*source_ : nullptr;
  }

 private:
  runtime::Task<Step> open() override;
  runtime::Task<Step> deliver(queue::Batch& items, const spool::MessageView& message) override;
  [[nodiscard]] Duration linger() const override;
  [[nodiscard]] Duration patience() const override { return kRateWaitMax; }
  [[nodiscard]] const queue::SourceGate* source_gate() const override { return passage_.gate.get(); }
  [[nodiscard]] bool may_go_on() override;
  void interrupt() override;
  runtime::Task<bool> prepare();
  runtime::Task<Step> connect();
  runtime::Task<Step> try_hop(const resolver::RouteHop& hop);
  runtime::Task<void> exchange(const std::string& body);

  std::expected<net::http::Url, std::string> url_;
  std::vector<net::http::Field> fields_;
  wire::Wire wire_;
  net::http::Client client_;
  Slots& slots_;
  ConnectGrants paid_;
  bool has_paid_ = true;  // for the next attempt
  ProxyTries tries_;
  WayStop way_;
  Passage passage_;
  MonoTime limited_until_{};
  std::optional<std::optional<IpAddress>> source_;
  HopFacts hop_;
  std::string lost_why_;
  MonoTime connected_at_{};
  std::uint64_t messages_ = 0;
  std::uint64_t errors_ = 0;
  bool established_ = false;
  bool unanswered_ = true;
  bool at_proxy_ = false;  // the last attempt ended there: another proxy may do
};

}  // namespace sluice::delivery
