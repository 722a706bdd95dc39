#include "bench/lib/body_scan.h"

#include <bit>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace sluice::bench {
namespace {

// Byte by byte over [from, to); to < bytes.size() or the end. Answers true when "LF dot" was found.
bool scan_slowly(std::string_view bytes, std::size_t from, std::size_t to, char before, BodyScan& out) {
  char previous = from == 0 ? before : bytes[from - 1];
  for (std::size_t i = from; i < to; ++i) {
    const char c = bytes[i];
    if ((c == '\n') != (previous == '\r')) out.bare = true;
    if (c == '\n' && i + 1 < bytes.size() && bytes[i + 1] == '.') {
      out.line_dot = i;
      return true;
    }
    previous = c;
  }
  return false;
}

}  // namespace

BodyScan scan_body_plain(std::string_view bytes, char before) {
  BodyScan out;
  scan_slowly(bytes, 0, bytes.size(), before, out);
  return out;
}

#if defined(__SSE2__)
BodyScan scan_body(std::string_view bytes, char before) {
  BodyScan out;
  const std::size_t size = bytes.size();
  if (size < 18) return scan_body_plain(bytes, before);
  if (scan_slowly(bytes, 0, 1, before, out)) return out;
  const __m128i lf = _mm_set1_epi8('\n');
  const __m128i cr = _mm_set1_epi8('\r');
  const __m128i dot = _mm_set1_epi8('.');
  // Three views of the text, one byte apart: what stood before, what is here, what comes next.
  const auto load = [&](std::size_t at) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes.data() + at));
  };
  std::size_t i = 1;
  for (; i + 17 <= size; i += 16) {
    const __m128i is_lf = _mm_cmpeq_epi8(load(i), lf);
    const __m128i after_cr = _mm_cmpeq_epi8(load(i - 1), cr);
    const __m128i before_dot = _mm_cmpeq_epi8(load(i + 1), dot);
    const auto hits = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_and_si128(is_lf, before_dot)));
    auto odd = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_xor_si128(is_lf, after_cr)));
    if (hits != 0) {
      const auto where = static_cast<unsigned>(std::countr_zero(hits));
      // What stands behind the dot belongs to the next call.
      odd &= (std::uint32_t{2} << where) - 1;
      out.bare = out.bare || odd != 0;
      out.line_dot = i + where;
      return out;
    }
    out.bare = out.bare || odd != 0;
  }
  scan_slowly(bytes, i, size, before, out);
  return out;
}
#else
BodyScan scan_body(std::string_view bytes, char before) { return scan_body_plain(bytes, before); }
#endif

}  // namespace sluice::bench
