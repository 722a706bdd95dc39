#include "policy/classify/pattern.h"

#include <re2/re2.h>

#include "policy/classify/limited_pcre.h"

namespace sluice {

Pattern::Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

std::expected<Pattern, std::string> Pattern::compile(std::string_view text) {
  Pattern out;
  if (text.empty()) return out;
  RE2::Options options(RE2::Latin1);
  options.set_case_sensitive(false);
  options.set_dot_nl(true);
  options.set_log_errors(false);
  options.set_max_mem(kAutomatonBytesMax);
  auto linear = std::make_unique<RE2>(re2::StringPiece(text.data(), text.size()), options);
  if (linear->ok()) {
    out.linear_ = std::move(linear);
    return out;
  }
  auto limited = LimitedPcre::compile(text);
  if (!limited) return std::unexpected(std::move(limited.error()));
  out.limited_ = std::make_unique<LimitedPcre>(std::move(*limited));
  return out;
}

bool Pattern::matches(std::string_view subject) const {
  if (linear_) return RE2::PartialMatch(re2::StringPiece(subject.data(), subject.size()), *linear_);
  return !limited_ || limited_->matches(subject);
}

}  // namespace sluice
