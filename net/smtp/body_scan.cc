#include "net/smtp/body_scan.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace sluice::net {
namespace {

constexpr std::size_t kBlock = 64;

/// The lowest `count` bits; count <= 64.
constexpr std::uint64_t low_bits(std::size_t count) {
  return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

constexpr bool bit(std::uint64_t mask, std::size_t index) { return ((mask >> index) & 1U) != 0; }

}  // namespace

/// Where in a block of 64 bytes the interesting ones are; bit i stands for byte i.
struct BodyScan::Masks {
  std::uint64_t lf = 0;
  std::uint64_t cr = 0;
  std::uint64_t dot = 0;
  std::uint64_t high = 0;
  std::uint64_t nul = 0;

  explicit Masks(const std::byte* block);
};

#if defined(__SSE2__)
// SSE2 is part of every x86-64. bench/micro/smtp_bench.cc has the cost: some 6 GB a second, 1.7 microseconds
// for 10 KB.
BodyScan::Masks::Masks(const std::byte* block) {
  __m128i part[4];  // no std::array: g++ warns of lost alignment attributes
  for (std::size_t i = 0; i < 4; ++i) {
    part[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 16 * i));
  }
  const auto positions = [](__m128i matches, std::size_t i) {
    return static_cast<std::uint64_t>(static_cast<std::uint16_t>(_mm_movemask_epi8(matches))) << (16 * i);
  };
  const __m128i lf_byte = _mm_set1_epi8('\n');
  const __m128i cr_byte = _mm_set1_epi8('\r');
  const __m128i dot_byte = _mm_set1_epi8('.');
  for (std::size_t i = 0; i < 4; ++i) {
    lf |= positions(_mm_cmpeq_epi8(part[i], lf_byte), i);
    cr |= positions(_mm_cmpeq_epi8(part[i], cr_byte), i);
    dot |= positions(_mm_cmpeq_epi8(part[i], dot_byte), i);
  }
  // Rare in mail, so one look at all four parts first.
  const __m128i any = _mm_or_si128(_mm_or_si128(part[0], part[1]), _mm_or_si128(part[2], part[3]));
  if (_mm_movemask_epi8(any) != 0) {
    for (std::size_t i = 0; i < 4; ++i) high |= positions(part[i], i);
  }
  const __m128i zero = _mm_setzero_si128();
  const __m128i least = _mm_min_epu8(_mm_min_epu8(part[0], part[1]), _mm_min_epu8(part[2], part[3]));
  if (_mm_movemask_epi8(_mm_cmpeq_epi8(least, zero)) != 0) {
    for (std::size_t i = 0; i < 4; ++i) nul |= positions(_mm_cmpeq_epi8(part[i], zero), i);
  }
}
#else
BodyScan::Masks::Masks(const std::byte* block) {
  for (std::size_t i = 0; i < kBlock; ++i) {
    const auto byte = std::to_integer<std::uint8_t>(block[i]);
    const std::uint64_t here = std::uint64_t{1} << i;
    if (byte == '\n') lf |= here;
    if (byte == '\r') cr |= here;
    if (byte == '.') dot |= here;
    if (byte > 127) high |= here;
    if (byte == 0) nul |= here;
  }
}
#endif

BodyScan::Result BodyScan::scan(const std::byte* input, std::size_t size, Stops stops) {
  std::size_t at = 0;
  Stop stop = Stop::End;
  while (at < size && stop == Stop::End) {
    const std::size_t left = size - at;
    if (left >= kBlock) {
      at += take_block(Masks(input + at), kBlock, stops, stop);
    } else {
      alignas(16) std::array<std::byte, kBlock> padded{};
      std::memcpy(padded.data(), input + at, left);
      at += take_block(Masks(padded.data()), left, stops, stop);
    }
  }
  facts_.bytes += at;
  return {at, stop};
}

/// Looks at the first `size` bytes of a block; the number of bytes taken, less than `size` when `stop` was
/// set.
std::size_t BodyScan::take_block(const Masks& masks, std::size_t size, Stops stops, Stop& stop) {
  const std::uint64_t inside = low_bits(size);
  const std::uint64_t behind_cr = (masks.cr << 1U) | (after_cr_ ? 1U : 0U);
  const std::uint64_t bare_lf = masks.lf & ~behind_cr & inside;
  const std::uint64_t line_starts = ((masks.lf & behind_cr) << 1U) | (at_line_start_ ? 1U : 0U);
  const std::uint64_t dot_lines = line_starts & masks.dot & inside;

  std::uint64_t stoppers = 0;
  if (stops.dot_line) stoppers |= dot_lines;
  if (stops.bare_lf) stoppers |= bare_lf;
  if (stoppers != 0) {
    size = static_cast<std::size_t>(std::countr_zero(stoppers));
    stop = bit(dot_lines, size) ? Stop::DotLine : Stop::BareLf;
    if (size == 0) return 0;
  }

  const std::uint64_t taken = low_bits(size);
  if ((masks.high & taken) != 0) facts_.eight_bit = true;
  if ((masks.nul & taken) != 0) facts_.has_nul = true;
  if ((bare_lf & taken) != 0) facts_.bare_lf = true;
  if ((behind_cr & ~masks.lf & taken) != 0) facts_.bare_cr = true;
  // Behind a bare LF a dot ends no data and is not unstuffed, but a next hop that takes LF for a line end
  // must get it stuffed all the same.
  const std::uint64_t soft_starts = (bare_lf << 1U) | (after_bare_lf_ ? 1U : 0U);
  if (((dot_lines | (soft_starts & masks.dot)) & taken) != 0) facts_.has_dot_lines = true;

  take_line_ends(masks.lf & taken, behind_cr, size);
  after_cr_ = bit(masks.cr, size - 1);
  at_line_start_ = bit(masks.lf & behind_cr, size - 1);
  after_bare_lf_ = bit(bare_lf, size - 1);
  return size;
}

/// Line lengths. Behind the first line end of a block a line is shorter than the block, so the loop over all
/// of them is only needed until a longer one was seen.
void BodyScan::take_line_ends(std::uint64_t line_feeds, std::uint64_t behind_cr, std::size_t size) {
  if (line_feeds == 0) {
    line_bytes_ += size;
    return;
  }
  std::size_t begin = 0;
  bool first = true;
  while (line_feeds != 0 && (first || facts_.line_bytes_max < kBlock)) {
    const auto end = static_cast<std::size_t>(std::countr_zero(line_feeds));
    const std::uint64_t with_cr = line_bytes_ + (end - begin);
    const std::uint64_t length = with_cr - (bit(behind_cr, end) && with_cr > 0 ? 1 : 0);
    facts_.line_bytes_max = std::max(facts_.line_bytes_max, length);
    line_bytes_ = 0;
    begin = end + 1;
    line_feeds &= line_feeds - 1;
    first = false;
  }
  if (line_feeds != 0) begin = 64 - static_cast<std::size_t>(std::countl_zero(line_feeds));
  line_bytes_ = size - begin;
}

void BodyScan::note_repaired_lf() {
  facts_.bytes += 2;
  facts_.bare_lf = true;
  facts_.line_bytes_max = std::max(facts_.line_bytes_max, line_bytes_);
  line_bytes_ = 0;
  after_cr_ = false;
  at_line_start_ = false;
  after_bare_lf_ = true;
}

void BodyScan::finish() {
  if (after_cr_) facts_.bare_cr = true;
  facts_.line_bytes_max = std::max(facts_.line_bytes_max, line_bytes_);
}

void BodyScan::reset() { *this = BodyScan(); }

}  // namespace sluice::net
