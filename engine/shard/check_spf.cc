// `check spf IP HELO [FROM]`: what an inbound check would say, and why.
#include <fmt/format.h>

#include "engine/authentication/sender_checks.h"
#include "engine/shard/node.h"

namespace sluice::shard {
namespace {

struct Checked {
  spf::Outcome outcome;
  authentication::DnsLines lines;
};

/// Runs on the shard of `resolver`.
runtime::Task<Checked> check_there(runtime::Reactor& reactor, resolver::Resolver& resolver, IpAddress client,
                                   spf::Identity identity, std::string receiver) {
  Checked out;
  spf::CheckSettings settings;
  settings.wants_explanation = true;
  settings.receiver = std::move(receiver);
  const authentication::Asking asking{reactor, resolver, nullptr, &out.lines};
  out.outcome = co_await authentication::check_spf(asking, client, std::move(identity), std::move(settings));
  co_return out;
}

}  // namespace

runtime::Task<control::Answer> Node::check_spf(const control::Command& command) {
  const std::size_t words = command.words.size();
  const auto client = IpAddress::parse(command.words[2]);
  std::string sender = words == 5 ? command.words[4] : std::string();
  if (sender.starts_with('<') && sender.ends_with('>')) sender = sender.substr(1, sender.size() - 2);
  // FROM may be a domain alone.
  if (!sender.empty() && sender.find('@') == std::string::npos) sender.insert(0, "postmaster@");
  const spf::Identity identity = spf::identity_of(command.words[3], sender);
  const auto& names = snapshot_->config->globals.host_name;
  const std::string receiver = names.empty() ? "localhost" : names.front();
  DataShard* shard = shards_.front();
  const Checked checked =
      co_await runtime::run_on<Checked>(control_, shard->id(), [shard, &client, &identity, &receiver] {
        return check_there(shard->dispatcher().reactor(), shard->resolver(), *client, identity, receiver);
      });
  const spf::Outcome& outcome = checked.outcome;
  std::string out = fmt::format("SPF of {}@{} for {}, HELO {}\n", identity.local, identity.domain,
                                client->text(), identity.helo);
  if (command.has("tcp")) {
    out += "--tcp: answers come from the resolver of this daemon, which uses TCP where UDP is not enough\n";
  }
  if (command.has("dumppackets")) {
    for (const std::string& line : checked.lines) out += "  " + line + '\n';
    out += "--dumppackets: DNS was asked or its cache was, as listed; wire formats are not shown\n";
  }
  out += fmt::format("result = {}\n", name_of(outcome.result));
  if (!outcome.matched.empty()) out += "matched = " + outcome.matched + '\n';
  if (!outcome.why.empty()) out += "reason = " + outcome.why + '\n';
  if (!outcome.explanation.empty()) out += "explanation = " + outcome.explanation + '\n';
  out += fmt::format("look-ups = {}\n", checked.lines.size());
  auto tree = std::make_shared<control::Tree>();
  control::Tree& node = tree->add("spf");
  node.add_text("result", std::string(name_of(outcome.result)));
  node.add_text("matched", outcome.matched);
  node.add_text("reason", outcome.why);
  node.add_text("explanation", outcome.explanation);
  co_return control::Answer{true, std::move(out), std::move(tree)};
}

}  // namespace sluice::shard
