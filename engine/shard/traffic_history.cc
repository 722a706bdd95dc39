#include "engine/shard/traffic_history.h"

#include <algorithm>

namespace sluice::shard {

void TrafficHistory::raise(TrafficCount& top, const TrafficCount& now) {
  top.recipients = std::max(top.recipients, now.recipients);
  top.messages = std::max(top.messages, now.messages);
  top.bytes = std::max(top.bytes, now.bytes);
}

void TrafficHistory::sample(const TrafficCount& total) {
  last_ = minus(total, base_);
  raise(top_minute_, last_minute());
  raise(top_hour_, last_hour());
  seconds_[next_second_] = last_;
  next_second_ = (next_second_ + 1) % seconds_.size();
  if (++samples_ % 60 == 0) {
    minutes_[next_minute_] = last_;
    next_minute_ = (next_minute_ + 1) % minutes_.size();
  }
}

}  // namespace sluice::shard
