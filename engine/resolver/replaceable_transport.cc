#include "engine/resolver/replaceable_transport.h"

#include <algorithm>
#include <utility>

#include "policy/base/assert.h"

namespace sluice::resolver {

using runtime::Task;

ReplaceableTransport::ReplaceableTransport(runtime::Reactor& reactor, std::unique_ptr<DnsTransport> first)
    : reactor_(reactor), current_(std::make_shared<One>()) {
  current_->transport = std::move(first);
}

ReplaceableTransport::~ReplaceableTransport() { SLUICE_ASSERT(ending_.running() == 0); }

void ReplaceableTransport::replace(std::unique_ptr<DnsTransport> next) {
  SLUICE_ASSERT(!stopping_);
  const std::shared_ptr<One> before = std::exchange(current_, std::make_shared<One>());
  current_->transport = std::move(next);
  before->is_replaced = true;
  replaced_.push_back(before);
  end_if_idle(before);
}

void ReplaceableTransport::retire(std::unique_ptr<DnsTransport> unused) {
  auto one = std::make_shared<One>();
  one->transport = std::move(unused);
  one->is_replaced = true;
  replaced_.push_back(one);
  end_if_idle(one);
}

Task<Result<std::vector<std::byte>>> ReplaceableTransport::query(std::string name, net::dns::Type type) {
  const std::shared_ptr<One> one = current_;
  ++one->under_way;
  Result<std::vector<std::byte>> answer = fail(Errc::NoMemory, "query");
  std::exception_ptr failure;
  try {
    answer = co_await one->transport->query(std::move(name), type);
  } catch (...) {
    failure = std::current_exception();
  }
  --one->under_way;
  end_if_idle(one);
  if (failure) std::rethrow_exception(failure);
  co_return answer;
}

void ReplaceableTransport::end_if_idle(const std::shared_ptr<One>& one) {
  if (one->is_replaced && one->under_way == 0 && !stopping_) ending_.spawn(end(one));
}

Task<void> ReplaceableTransport::end(std::shared_ptr<One> one) {
  co_await runtime::yield(reactor_);  // its last answer is still being handed over
  co_await one->transport->stop();
  one->transport.reset();
  std::erase(replaced_, one);
}

Task<void> ReplaceableTransport::stop() {
  stopping_ = true;
  for (const std::shared_ptr<One>& one : std::vector(replaced_)) {
    if (one->under_way > 0) co_await one->transport->stop();
  }
  co_await ending_.join();
  replaced_.clear();
  co_await current_->transport->stop();
}

}  // namespace sluice::resolver
