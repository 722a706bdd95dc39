#include "tests/sim/failing_memory.h"

#include <elf.h>
#include <execinfo.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "engine/runtime/sim/random.h"
#include "policy/base/assert.h"

namespace sluice::test {

struct FailingMemory::Armed {
  runtime::sim::Random random;
  double chance;
  std::vector<std::string> parts;
  FailingMemory::Throws what;
  std::uint64_t thrown = 0;
};

namespace {

using Armed = FailingMemory::Armed;

/// What nobody contains: the loop, and everything that keeps data or deals it out. And the words about exceptions, so
/// that tests can read them.
constexpr std::array<std::string_view, 7> kFirm{"7runtime",  "3log",   "7journal", "5spool",
                                                "8delivery", "5queue", "8resolver"};

/// The functions of this program, as its own file lists them: dladdr() knows no local ones, which coroutines are.
class Symbols {
 public:
  Symbols() {
    std::ifstream file("/proc/self/exe", std::ios::binary);
    image_.resize(std::filesystem::file_size("/proc/self/exe"));
    file.read(image_.data(), static_cast<std::streamsize>(image_.size()));
    const auto& header = at<Elf64_Ehdr>(0);
    for (std::size_t i = 0; i < header.e_shnum; ++i) {
      const auto& section = at<Elf64_Shdr>(header.e_shoff + i * header.e_shentsize);
      if (section.sh_type == SHT_SYMTAB)
        read(section, at<Elf64_Shdr>(header.e_shoff + section.sh_link * header.e_shentsize));
    }
    std::ranges::sort(functions_, {}, &Function::begin);
    ::dl_iterate_phdr(
        [](dl_phdr_info* program, std::size_t, void* base) {
          *static_cast<std::uintptr_t*>(base) = program->dlpi_addr;
          return 1;  // the first one is the program itself
        },
        &base_);
  }
  /// Empty: not one of this program.
  [[nodiscard]] std::string_view name_of(const void* address) const {
    const std::uintptr_t place =
        reinterpret_cast<std::uintptr_t>(address) - base_ - 1;  // the call, not behind it
    auto found = std::ranges::upper_bound(functions_, place, {}, &Function::begin);
    if (found == functions_.begin()) return {};
    --found;
    return place < found->end ? found->name : std::string_view();
  }

 private:
  struct Function {
    std::uintptr_t begin, end;
    std::string_view name;
  };
  template <class T>
  const T& at(std::size_t offset) const {
    return *reinterpret_cast<const T*>(image_.data() + offset);
  }
  void read(const Elf64_Shdr& table, const Elf64_Shdr& names) {
    for (std::size_t i = 0; i < table.sh_size / sizeof(Elf64_Sym); ++i) {
      const auto& one = at<Elf64_Sym>(table.sh_offset + i * sizeof(Elf64_Sym));
      if (ELF64_ST_TYPE(one.st_info) != STT_FUNC || one.st_size == 0) continue;
      functions_.push_back(
          {one.st_value, one.st_value + one.st_size, image_.data() + names.sh_offset + one.st_name});
    }
  }
  std::string image_;
  std::vector<Function> functions_;
  std::uintptr_t base_ = 0;
};

const Symbols& symbols() {
  static const Symbols all;
  return all;
}

thread_local Armed* armed = nullptr;

/// Behind "_ZN6sluice" and its like; empty: not the project's.
std::string_view behind_namespace(std::string_view name) {
  constexpr std::string_view kOurs = "6sluice";
  const std::size_t place = name.substr(0, 14).find(kOurs);
  return place == std::string_view::npos ? std::string_view() : name.substr(place + kOurs.size());
}

bool begins_with_any(std::string_view name, const auto& fronts) {
  return std::ranges::any_of(fronts, [name](const auto& front) { return name.starts_with(front); });
}

/// Whether the allocation that is asked for belongs to one of the parts.
bool is_in_part(const Armed& now) {
  std::array<void*, 64> frames{};
  const int count = ::backtrace(frames.data(), static_cast<int>(frames.size()));
  for (int i = 0; i < count; ++i) {
    const std::string_view name = behind_namespace(symbols().name_of(frames[static_cast<std::size_t>(i)]));
    if (name.empty()) continue;
    if (begins_with_any(name, now.parts)) return true;
    if (begins_with_any(name, kFirm)) return false;
  }
  return false;
}

void maybe_throw() {
  Armed* const now = std::exchange(armed, nullptr);  // what this allocates itself is not looked at
  if (now == nullptr) return;
  const bool throws = now->random.chance(now->chance) && is_in_part(*now);
  if (!throws) {
    armed = now;
    return;
  }
  ++now->thrown;
  std::optional<std::logic_error> error;
  if (now->what == FailingMemory::Throws::Library) error.emplace("a library is at a loss");
  armed = now;
  if (error) throw std::logic_error(*error);
  throw std::bad_alloc();
}

}  // namespace

FailingMemory::FailingMemory(std::uint64_t seed, double chance, std::vector<std::string> parts, Throws what) {
  SLUICE_ASSERT(armed == nullptr);
  std::array<void*, 4> frames{};
  ::backtrace(frames.data(), 4);  // loads what it needs
  static_cast<void>(symbols());
  armed_ = std::make_unique<Armed>(Armed{runtime::sim::Random(seed), chance, std::move(parts), what});
  armed = armed_.get();
}

FailingMemory::~FailingMemory() { armed = nullptr; }

std::uint64_t FailingMemory::thrown() const { return armed_->thrown; }

}  // namespace sluice::test

// The forms that the library's own ones call.
void* operator new(std::size_t size) {
  sluice::test::maybe_throw();
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
