#pragma once
// A layer that is none: shows what a wire does with one. What it sends is
//
//   handshake   the first says "HELLO", the second "READY"
//   a piece     two bytes of length, most significant first, then that many bytes, each changed by kKey; none: the end
//
// A piece of another length than it says, or a wrong handshake, breaks it; then it says "ALERT".

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "engine/wire/layer.h"

namespace sluice::test {

class ToyLayer final : public wire::Layer {
 public:
  enum class Side : std::uint8_t { First, Second };
  static constexpr std::size_t kPieceMax = 1000;
  static constexpr std::byte kKey{0x5a};

  explicit ToyLayer(Side side) : side_(side) {}

  Status begin(wire::Buffer& to_peer) override {
    if (side_ == Side::First) say("HELLO", to_peer);
    return {};
  }
  [[nodiscard]] bool is_established() const override { return established_; }
  Status open(wire::Bytes arrived, wire::Buffer& plain, wire::Buffer& to_peer) override {
    kept_.insert(kept_.end(), arrived.begin(), arrived.end());
    if (!established_) {
      const std::string_view expected = side_ == Side::First ? "READY" : "HELLO";
      const std::size_t known = std::min(kept_.size(), expected.size());
      if (!std::ranges::equal(std::as_bytes(std::span(expected.substr(0, known))),
                              std::span(kept_).first(known))) {
        say("ALERT", to_peer);
        return fail(Errc::BadInput, "toy handshake");
      }
      if (known < expected.size()) return {};
      kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(known));
      established_ = true;
      if (side_ == Side::Second) say("READY", to_peer);
    }
    std::size_t at = 0;
    while (kept_.size() - at >= 2 && !ended_) {
      const auto size =
          std::to_integer<std::size_t>(kept_[at]) << 8 | std::to_integer<std::size_t>(kept_[at + 1]);
      if (size > kPieceMax) {
        say("ALERT", to_peer);
        return fail(Errc::BadInput, "toy piece");
      }
      if (kept_.size() - at - 2 < size) break;
      ended_ = size == 0;
      for (std::size_t i = 0; i < size; ++i) plain.push_back(kept_[at + 2 + i] ^ kKey);
      at += 2 + size;
    }
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(at));
    return {};
  }
  [[nodiscard]] bool has_ended() const override { return ended_; }
  Status seal(wire::Bytes plain, wire::Buffer& to_peer) override {
    while (!plain.empty()) {
      const wire::Bytes now = plain.first(std::min(plain.size(), kPieceMax));
      add_length(now.size(), to_peer);
      for (const std::byte one : now) to_peer.push_back(one ^ kKey);
      plain = plain.subspan(now.size());
    }
    return {};
  }
  void end(wire::Buffer& to_peer) override { add_length(0, to_peer); }

 private:
  static void say(std::string_view word, wire::Buffer& to_peer) {
    const auto bytes = std::as_bytes(std::span(word));
    to_peer.insert(to_peer.end(), bytes.begin(), bytes.end());
  }
  static void add_length(std::size_t size, wire::Buffer& to_peer) {
    to_peer.push_back(static_cast<std::byte>(size >> 8));
    to_peer.push_back(static_cast<std::byte>(size & 0xff));
  }
  const Side side_;
  bool established_ = false;
  bool ended_ = false;
  wire::Buffer kept_;
};

}  // namespace sluice::test
