#pragma once
// Memory that fails where a test wants it to. For programs that are linked with failing_memory.cc, which brings an
// operator new of its own.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice::test {

/// While it lives, operator new throws by chance in `parts`.
///
/// A part is named by how its symbols go on behind the project's namespace, "9injection6Pickup" (length and name, as
/// mangled). An allocation belongs to the innermost function on the stack that is a part's or a firm one: so also what
/// a library allocates for a part counts, and what the loop, the spool or the journal allocates for it does not.
/// Thread: the one that made it. Lifetime: one at a time.
class FailingMemory {
 public:
  enum class Throws : std::uint8_t {
    BadAlloc,  ///< as where memory is short
    Library,   ///< std::logic_error, as a library that met input it cannot bear
  };
  FailingMemory(std::uint64_t seed, double chance, std::vector<std::string> parts,
                Throws what = Throws::BadAlloc);
  FailingMemory(const FailingMemory&) = delete;
  FailingMemory& operator=(const FailingMemory&) = delete;
  ~FailingMemory();

  /// How often it has thrown.
  [[nodiscard]] std::uint64_t thrown() const;

  struct Armed;

 private:
  std::unique_ptr<Armed> armed_;
};

}  // namespace sluice::test
