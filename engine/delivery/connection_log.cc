// What a connection tells the log: `log-connections`, `log-commands`, `log-data`, `log-resolution` and
// `log-transfer-failures` of a <domain>.
#include <fmt/format.h>

#include <algorithm>

#include "engine/delivery/connection.h"

namespace sluice::delivery {
namespace {

bool lies_in(net::Bytes piece, net::Bytes whole) {
  return piece.data() >= whole.data() && piece.data() < whole.data() + whole.size();
}

}  // namespace

SessionLog::Wishes Connection::log_wishes() const {
  SessionLog::Wishes out{.connections = settings_->log_connections,
                         .commands = settings_->log_commands,
                         .data = settings_->log_data};
  if (trace_ == nullptr) return out;
  // What goes to the log anyway is not kept from it.
  trace_->to_log = trace_->to_log || out.connections || out.commands || out.data;
  out.connections = true;
  out.commands = true;
  out.data = out.data || trace_->wishes.data;
  return out;
}

void Connection::log_route(const resolver::RouteAnswer& route) const {
  std::string text = "resolving " + std::string(queue_->domain()) + ": ";
  if (!route.ok()) {
    log_.say(text + route.error_text());
    return;
  }
  if (route.no_mx) text += "no MX, its own addresses: ";
  for (std::size_t i = 0; i < route.hops.size() && text.size() < SessionLog::kTextBytesMax; ++i) {
    const resolver::RouteHop& hop = route.hops[i];
    text += fmt::format("{}{} {} ({}):{}", i == 0 ? "" : ", ", hop.preference, route.host_of(hop),
                        hop.endpoint.address.text(), hop.endpoint.port);
  }
  if (route.incomplete) text += "; others not resolved yet";
  log_.say(text);
}

// Bodies are sent from where they lie, so where a piece lies says what it is.
void Connection::log_sent(std::span<const net::Bytes> shown) {
  for (const net::Bytes piece : shown) {
    const bool is_data = log_.wants_parts() && std::ranges::any_of(active_, [piece](const Active& slot) {
                           return slot.state == Active::State::Offered &&
                                  (lies_in(piece, slot.lease.view().body) ||
                                   lies_in(piece, std::as_bytes(std::span(slot.text.front))));
                         });
    log_.sent(piece, is_data);
  }
}

void Connection::log_broken_transfer(const Active& slot, net::ClientPhase phase, std::string_view why) const {
  if (!settings_->log_transfer_failures) return;
  if (phase != net::ClientPhase::BodyTransfer && phase != net::ClientPhase::FinalReply) return;
  const spool::MessageView& message = slot.lease.view();
  for (const queue::Item* item : slot.items) {
    if (item == nullptr) continue;
    log_.say(fmt::format("transfer failure: {} bytes from <{}> to <{}> through {}: {} ({})",
                         message.body.size(), message.orig, message.recipient(item->recipient).address,
                         slot.hop->mta, why.empty() ? "closed by the server" : why, name_of(phase)));
  }
}

}  // namespace sluice::delivery
