// new and delete from mimalloc: heaps per thread suit shards that share nothing. Not under sanitizers, which
// bring their own.
//
// Not mimalloc-new-delete.h: when memory is refused, that ends the process instead of throwing bad_alloc, and
// no boundary could turn it into the failure of one conversation.
#ifndef SLUICE_SANITIZED
#include <mimalloc.h>

#include <cstddef>
#include <new>

namespace {

inline void* or_throw(void* memory) {
  if (memory == nullptr) [[unlikely]]
    throw std::bad_alloc();
  return memory;
}

std::size_t size_of(std::align_val_t alignment) { return static_cast<std::size_t>(alignment); }

}  // namespace

void* operator new(std::size_t size) { return or_throw(mi_malloc(size)); }
void* operator new[](std::size_t size) { return or_throw(mi_malloc(size)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return mi_malloc(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return mi_malloc(size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return or_throw(mi_malloc_aligned(size, size_of(alignment)));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return or_throw(mi_malloc_aligned(size, size_of(alignment)));
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return mi_malloc_aligned(size, size_of(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return mi_malloc_aligned(size, size_of(alignment));
}

void operator delete(void* memory) noexcept { mi_free(memory); }
void operator delete[](void* memory) noexcept { mi_free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { mi_free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { mi_free(memory); }
void operator delete(void* memory, std::size_t size) noexcept { mi_free_size(memory, size); }
void operator delete[](void* memory, std::size_t size) noexcept { mi_free_size(memory, size); }
void operator delete(void* memory, std::align_val_t alignment) noexcept {
  mi_free_aligned(memory, size_of(alignment));
}
void operator delete[](void* memory, std::align_val_t alignment) noexcept {
  mi_free_aligned(memory, size_of(alignment));
}
void operator delete(void* memory, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  mi_free_aligned(memory, size_of(alignment));
}
void operator delete[](void* memory, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  mi_free_aligned(memory, size_of(alignment));
}
void operator delete(void* memory, std::size_t size, std::align_val_t alignment) noexcept {
  mi_free_size_aligned(memory, size, size_of(alignment));
}
void operator delete[](void* memory, std::size_t size, std::align_val_t alignment) noexcept {
  mi_free_size_aligned(memory, size, size_of(alignment));
}
#endif
