#include "policy/classify/pattern_set.h"

#include <re2/re2.h>
#include <re2/set.h>

#include <algorithm>

#include "policy/base/assert.h"
#include "policy/classify/limited_pcre.h"

namespace sluice {
namespace {

RE2::Options options() {
  // Latin-1 makes RE2 look at bytes: replies need not be valid UTF-8.
  RE2::Options out(RE2::Latin1);
  out.set_case_sensitive(false);
  out.set_dot_nl(true);
  out.set_log_errors(false);
  out.set_max_mem(PatternSet::kAutomatonBytesMax);
  return out;
}

re2::StringPiece piece(std::string_view text) { return re2::StringPiece(text.data(), text.size()); }

}  // namespace

struct PatternSet::Engines {
  struct Perl {
    std::size_t index;
    LimitedPcre pattern;
  };
  std::size_t count = 0;
  RE2::Set set{options(), RE2::UNANCHORED};
  std::vector<std::size_t> index_of;  // of the set's patterns, ascending
  std::vector<Perl> perl;             // ascending by index
  // What answers one pattern at a time when the set's automaton outgrows its memory.
  std::vector<std::unique_ptr<RE2>> single;  // beside index_of

  /// Positions in index_of that match, in any order.
  void ask_set(std::string_view text, std::vector<int>& hits) const {
    hits.clear();
    if (single.empty()) return;
    RE2::Set::ErrorInfo error{RE2::Set::kNoError};
    if (set.Match(piece(text), &hits, &error) || error.kind == RE2::Set::kNoError) return;
    hits.clear();
    for (std::size_t i = 0; i < single.size(); ++i) {
      if (RE2::PartialMatch(piece(text), *single[i])) hits.push_back(static_cast<int>(i));
    }
  }
};

PatternSet::PatternSet() : engines_(std::make_unique<Engines>()) {}
PatternSet::PatternSet(PatternSet&&) noexcept = default;
PatternSet& PatternSet::operator=(PatternSet&&) noexcept = default;
PatternSet::~PatternSet() = default;

std::size_t PatternSet::size() const { return engines_->count; }

std::expected<void, std::string> PatternSet::add(std::string_view pattern) {
  auto compiled = std::make_unique<RE2>(piece(pattern), options());
  if (compiled->ok() && engines_->set.Add(piece(pattern), nullptr) >= 0) {
    engines_->index_of.push_back(engines_->count++);
    engines_->single.push_back(std::move(compiled));
    return {};
  }
  auto perl = LimitedPcre::compile(pattern);
  if (!perl) return std::unexpected(std::move(perl.error()));
  engines_->perl.push_back({engines_->count++, std::move(*perl)});
  return {};
}

std::expected<void, std::string> PatternSet::seal() {
  if (!engines_->single.empty() && !engines_->set.Compile()) {
    return std::unexpected(std::string("the patterns together are too large"));
  }
  return {};
}

std::optional<std::size_t> PatternSet::find_first(std::string_view text) const {
  text = text.substr(0, kTextBytesMax);
  std::vector<int> hits;
  engines_->ask_set(text, hits);
  std::optional<std::size_t> first;
  if (!hits.empty()) {
    first = engines_->index_of[static_cast<std::size_t>(*std::min_element(hits.begin(), hits.end()))];
  }
  for (const Engines::Perl& perl : engines_->perl) {
    if (first && *first < perl.index) break;
    if (perl.pattern.matches(text)) return perl.index;
  }
  return first;
}

void PatternSet::find_all(std::string_view text, std::vector<std::size_t>& out) const {
  text = text.substr(0, kTextBytesMax);
  std::vector<int> hits;
  engines_->ask_set(text, hits);
  out.clear();
  for (const int hit : hits) out.push_back(engines_->index_of[static_cast<std::size_t>(hit)]);
  for (const Engines::Perl& perl : engines_->perl) {
    if (perl.pattern.matches(text)) out.push_back(perl.index);
  }
  std::sort(out.begin(), out.end());
}

}  // namespace sluice
