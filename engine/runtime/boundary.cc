#include "engine/runtime/boundary.h"

#include "engine/runtime/task.h"

namespace sluice::runtime {

namespace {

/// `words_of`: asked where it may throw.
template <class Words>
void note(Reactor& reactor, const std::function<void(std::string)>& say, std::string_view what,
          std::string_view name, Words words_of) noexcept {
  reactor.count_contained();
  try {
    if (!say) return;
    std::string line(what);
    if (!name.empty()) line += ' ';
    line += name;
    line += ": internal error: ";
    line += words_of();
    say(std::move(line));
  } catch (...) {  // the count has to do
  }
}

}  // namespace

void note_contained(Reactor& reactor, const std::function<void(std::string)>& say, std::string_view what,
                    std::string_view name) noexcept {
  note(reactor, say, what, name, [] { return current_exception_text(); });
}

void note_contained_words(Reactor& reactor, const std::function<void(std::string)>& say,
                          std::string_view what, std::string_view name, std::string_view words) noexcept {
  note(reactor, say, what, name, [words] { return words; });
}

}  // namespace sluice::runtime
