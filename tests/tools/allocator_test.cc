// Goal: memory that is refused throws bad_alloc in the daemon, so that a boundary can turn it into the failure
// of one thing. How: more is asked for than any address space holds, in every form of new.
#include <gtest/gtest.h>

#include <memory>
#include <new>

namespace sluice {
namespace {

constexpr std::size_t kTooMuch = std::size_t{1} << 56;
struct alignas(4096) Page {
  char bytes[4096];
};

TEST(Allocator, ARefusalThrows) {
  volatile std::size_t size = kTooMuch;
  EXPECT_THROW(static_cast<void>(::operator new(size)), std::bad_alloc);
  EXPECT_THROW(static_cast<void>(::operator new[](size)), std::bad_alloc);
  EXPECT_THROW(static_cast<void>(::operator new(size, std::align_val_t{4096})), std::bad_alloc);
  EXPECT_THROW(static_cast<void>(::operator new[](size, std::align_val_t{4096})), std::bad_alloc);
  EXPECT_EQ(::operator new(size, std::nothrow), nullptr);
  EXPECT_EQ(::operator new(size, std::align_val_t{4096}, std::nothrow), nullptr);
}

TEST(Allocator, WhatIsGivenIsAlignedAndTakenBack) {
  for (int i = 0; i < 100; ++i) {
    const auto page = std::make_unique<Page>();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(page.get()) % 4096, 0u);
    const auto pages = std::make_unique<Page[]>(3);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pages.get()) % 4096, 0u);
    EXPECT_NE(std::make_unique<char[]>(0), nullptr);
  }
}

}  // namespace
}  // namespace sluice
