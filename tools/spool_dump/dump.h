#pragma once
// Printing and checking the files of a spool. Pure: bytes in, text out.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::spool_dump {

struct Options {
  bool check_only = false;  ///< no records, only what is wrong
  bool bodies = false;      ///< the first bytes of message bodies too
};

/// What one file holds. Thread: any.
struct Outcome {
  std::string text;            ///< for standard output
  std::uint64_t groups = 0;
  std::uint64_t records = 0;
  std::uint64_t problems = 0;  ///< damaged stretches, records that do not decode
  bool recognised = false;     ///< false: not a segment, journal or checkpoint
};

/// `name` is the file's own name without directories ("msg-0000000012.seg"): it tells the role when the header is lost.
[[nodiscard]] Outcome dump(std::string_view name, std::span<const std::byte> file, const Options& options);

}  // namespace sluice::spool_dump
