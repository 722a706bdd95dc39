#include "engine/resolver/table_transport.h"

#include <algorithm>

#include "net/dns/answer.h"
#include "policy/base/assert.h"

namespace sluice::resolver {

using net::dns::Message;
using net::dns::Rcode;
using net::dns::Record;
using net::dns::Type;
using runtime::Task;

void TableTransport::add(Record record) {
  Key key{record.name, record.type};
  zone_[std::move(key)].push_back(std::move(record));
}

void TableTransport::add_a(std::string name, std::string_view address, std::chrono::seconds ttl) {
  const auto parsed = IpAddress::parse(address);
  SLUICE_ASSERT(parsed);
  add({std::move(name), parsed->is_v4() ? Type::A : Type::Aaaa, net::dns::kClassInternet, ttl, *parsed});
}

void TableTransport::add_mx(std::string name, std::uint16_t preference, std::string host,
                            std::chrono::seconds ttl) {
  add({std::move(name), Type::Mx, net::dns::kClassInternet, ttl,
       net::dns::MxData{preference, std::move(host)}});
}

void TableTransport::add_alias(std::string name, std::string target, std::chrono::seconds ttl) {
  add({std::move(name), Type::Cname, net::dns::kClassInternet, ttl, net::dns::NameData{std::move(target)}});
}

void TableTransport::add_txt(std::string name, std::string_view text, std::chrono::seconds ttl) {
  static constexpr std::size_t kStringMax = 255;  // RFC 1035 3.3
  net::dns::RawData data;
  do {
    const std::string_view one = text.substr(0, kStringMax);
    text.remove_prefix(one.size());
    data.bytes.push_back(static_cast<std::byte>(one.size()));
    for (const char c : one) data.bytes.push_back(static_cast<std::byte>(c));
  } while (!text.empty());
  add({std::move(name), Type::Txt, net::dns::kClassInternet, ttl, std::move(data)});
}

void TableTransport::add_ptr(std::string reverse, std::string target, std::chrono::seconds ttl) {
  add({std::move(reverse), Type::Ptr, net::dns::kClassInternet, ttl, net::dns::NameData{std::move(target)}});
}

void TableTransport::remove(std::string_view name, Type type) { zone_.erase(Key{std::string(name), type}); }

void TableTransport::script(std::string name, Type type, Script answer) {
  scripts_[Key{std::move(name), type}] = std::move(answer);
}

void TableTransport::release() {
  held_ = false;
  for (const auto handle : std::exchange(waiting_, {})) reactor_.post(handle);
}

Message TableTransport::zone_reply(const std::string& name, Type type) const {
  Message reply;
  reply.header.response = true;
  reply.header.recursion_available = true;
  reply.questions.push_back({name, type, net::dns::kClassInternet});
  std::string current = name;
  for (std::size_t i = 0; i < net::dns::Answer::kAliasesMax; ++i) {
    if (const auto found = zone_.find(Key{current, type}); found != zone_.end()) {
      reply.answers.insert(reply.answers.end(), found->second.begin(), found->second.end());
      return reply;
    }
    const auto alias = zone_.find(Key{current, Type::Cname});
    if (alias == zone_.end()) break;
    reply.answers.push_back(alias->second.front());
    current = std::get<net::dns::NameData>(alias->second.front().data).name;
  }
  const auto any_type = zone_.lower_bound(Key{current, Type{0}});
  if (any_type == zone_.end() || any_type->first.first != current) reply.header.rcode = Rcode::NxDomain;
  net::dns::SoaData soa;
  soa.minimum = kNegativeTtl;
  reply.authority.push_back({"", Type::Soa, net::dns::kClassInternet, kNegativeTtl, soa});
  return reply;
}

Result<std::vector<std::byte>> TableTransport::answer(const std::string& name, Type type) const {
  if (stopped_) return fail(Errc::Cancelled, "dns table");
  if (script_all_) return script_all_(zone_reply(name, type));
  if (const auto script = scripts_.find(Key{name, type}); script != scripts_.end()) {
    return script->second(zone_reply(name, type));
  }
  return net::dns::build_message(zone_reply(name, type));
}

Task<Result<std::vector<std::byte>>> TableTransport::query(std::string name, Type type) {
  struct Parked {
    TableTransport& self;
    bool await_ready() const noexcept { return !self.held_ || self.stopped_; }
    void await_suspend(std::coroutine_handle<> waiting) const { self.waiting_.push_back(waiting); }
    void await_resume() const noexcept {}
  };
  log_.push_back(name + ' ' + net::dns::text_of(type));
  under_way_most_ = std::max(under_way_most_, ++under_way_);
  const auto own_delay = delays_.find(name);
  const Duration delay = own_delay == delays_.end() ? delay_ : own_delay->second;
  if (delay > Duration{0}) co_await runtime::sleep_for(reactor_, delay);
  co_await Parked{*this};
  auto out = answer(name, type);
  if (--under_way_ == 0 && stopped_) idle_.set();
  co_return out;
}

Task<void> TableTransport::stop() {
  stopped_ = true;
  release();
  while (under_way_ != 0) co_await idle_.wait();
}

}  // namespace sluice::resolver
