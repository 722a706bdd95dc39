#pragma once

#include "engine/log/bytes.h"
#include "engine/spool/message.h"

namespace sluice::journal {

inline constexpr std::size_t kPlaceBytes = 20;

inline void encode_place(log::Encoder& out, const spool::MessagePlace& place) {
  out.number(place.directory_shard);
  out.number(place.segment);
  out.number(place.offset);
  out.number(place.envelope_bytes);
  out.number(place.body_bytes);
}
[[nodiscard]] inline spool::MessagePlace decode_place(log::Decoder& in) {
  spool::MessagePlace place;
  place.directory_shard = in.number<std::uint32_t>();
  place.segment = in.number<std::uint32_t>();
  place.offset = in.number<std::uint32_t>();
  place.envelope_bytes = in.number<std::uint32_t>();
  place.body_bytes = in.number<std::uint32_t>();
  return place;
}

}  // namespace sluice::journal
