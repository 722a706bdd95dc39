#include "policy/classify/limited_pcre.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "policy/base/assert.h"

namespace sluice {
namespace {

struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

}  // namespace

void LimitedPcre::FreeCode::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }
void LimitedPcre::FreeContext::operator()(pcre2_real_match_context_8* context) const {
  pcre2_match_context_free(context);
}

std::expected<LimitedPcre, std::string> LimitedPcre::compile(std::string_view pattern) {
  int error = 0;
  PCRE2_SIZE at = 0;
  LimitedPcre out;
  // Bytes, not UTF-8: replies need not be valid UTF-8. Callouts and \C would only serve to harm.
  out.code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                PCRE2_CASELESS | PCRE2_DOTALL | PCRE2_NEVER_BACKSLASH_C, &error, &at,
                                nullptr));
  if (!out.code_) {
    char text[160];
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(text), sizeof text);
    return std::unexpected(std::string(text) + " at offset " + std::to_string(at));
  }
  out.limits_.reset(pcre2_match_context_create(nullptr));
  SLUICE_ASSERT(out.limits_);
  pcre2_set_match_limit(out.limits_.get(), kStepsMax);
  pcre2_set_heap_limit(out.limits_.get(), kHeapKibMax);
  return out;
}

bool LimitedPcre::matches(std::string_view text) const {
  const std::unique_ptr<pcre2_match_data, FreeMatchData> data(pcre2_match_data_create(1, nullptr));
  if (!data) return false;
  return pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, data.get(),
                     limits_.get()) >= 0;
}

}  // namespace sluice
