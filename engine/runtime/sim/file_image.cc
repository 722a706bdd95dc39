#include "engine/runtime/sim/file_image.h"

#include <algorithm>
#include <cstring>

namespace sluice::runtime::sim {
namespace {

std::uint64_t page_of(std::uint64_t offset) { return offset / FileImage::kPageBytes; }
std::uint64_t pages_for(std::uint64_t size) {
  return (size + FileImage::kPageBytes - 1) / FileImage::kPageBytes;
}

}  // namespace

std::uint64_t FileImage::pages_wanted(std::uint64_t offset, std::uint64_t size) const {
  if (size == 0) return 0;
  std::uint64_t wanted = 0;
  for (std::uint64_t page = page_of(offset); page <= page_of(offset + size - 1); ++page) {
    if (page >= reserved_ && !pages_.contains(page)) ++wanted;
  }
  return wanted;
}

std::size_t FileImage::read(std::uint64_t offset, std::span<std::byte> into) const {
  if (offset >= size_) return 0;
  const auto total = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size_ - offset));
  for (std::size_t done = 0; done < total;) {
    const std::uint64_t at = offset + done;
    const std::size_t inside = at % kPageBytes;
    const std::size_t count = std::min(total - done, kPageBytes - inside);
    const auto page = pages_.find(page_of(at));
    if (page == pages_.end()) {
      std::memset(into.data() + done, 0, count);
    } else {
      std::memcpy(into.data() + done, page->second->data() + inside, count);
    }
    done += count;
  }
  return total;
}

FileImage::Page& FileImage::writable(std::uint64_t index) {
  PagePtr& page = pages_[index];
  if (page == nullptr && index >= reserved_) ++used_;
  dirty_.try_emplace(index, Dirty{page});
  // Writing again is a new chance for a page whose sync has failed.
  dirty_[index].poisoned = false;
  if (page == nullptr) {
    page = std::make_shared<Page>();
  } else if (page.use_count() > 1) {
    page = std::make_shared<Page>(*page);
  }
  return *page;
}

void FileImage::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const std::uint64_t at = offset + done;
    const std::size_t inside = at % kPageBytes;
    const std::size_t count = std::min(bytes.size() - done, kPageBytes - inside);
    std::memcpy(writable(page_of(at)).data() + inside, bytes.data() + done, count);
    done += count;
  }
  size_ = std::max(size_, offset + bytes.size());
}

void FileImage::drop_from(std::uint64_t first_page) {
  for (auto it = pages_.lower_bound(first_page); it != pages_.end();) {
    if (it->first >= reserved_) --used_;
    dirty_.try_emplace(it->first, Dirty{it->second});
    it = pages_.erase(it);
  }
  if (reserved_ > first_page) {
    used_ -= reserved_ - first_page;
    reserved_ = first_page;
  }
}

void FileImage::truncate(std::uint64_t size) {
  if (size < size_) {
    // The reserved part shrinks first so that drop_from counts every page once.
    drop_from(pages_for(size));
    if (size % kPageBytes != 0 && pages_.contains(page_of(size))) {
      Page& last = writable(page_of(size));
      std::fill(last.begin() + static_cast<std::ptrdiff_t>(size % kPageBytes), last.end(), std::byte{0});
    }
  }
  size_ = size;
}

void FileImage::allocate(std::uint64_t end) {
  const std::uint64_t pages = pages_for(end);
  if (pages > reserved_) {
    const auto first = pages_.lower_bound(reserved_);
    const auto last = pages_.lower_bound(pages);
    used_ += pages - reserved_ - static_cast<std::uint64_t>(std::distance(first, last));
    reserved_ = pages;
  }
  size_ = std::max(size_, end);
}

FileImage::SyncPoint FileImage::begin_sync() const {
  SyncPoint point{.size = size_, .pages = {}};
  for (const auto& [index, dirty] : dirty_) {
    if (dirty.poisoned) continue;
    const auto page = pages_.find(index);
    point.pages.emplace_back(index, page == pages_.end() ? nullptr : page->second);
  }
  return point;
}

void FileImage::finish_sync(const SyncPoint& point) {
  set_durable_size(point.size);
  for (const auto& [index, synced] : point.pages) {
    const auto dirty = dirty_.find(index);
    if (dirty == dirty_.end()) continue;
    const auto page = pages_.find(index);
    const PagePtr current = page == pages_.end() ? nullptr : page->second;
    if (keep_before_) before_.push_back({index, dirty->second.durable});
    if (current == synced) {
      dirty_.erase(dirty);
    } else {
      dirty->second.durable = synced;
    }
  }
}

void FileImage::fail_sync(const SyncPoint& point) {
  for (const auto& [index, synced] : point.pages) {
    const auto dirty = dirty_.find(index);
    if (dirty != dirty_.end()) dirty->second.poisoned = true;
  }
}

void FileImage::make_durable(std::uint64_t offset, std::uint64_t size) {
  if (size == 0) return;
  for (auto it = dirty_.lower_bound(page_of(offset)); keep_before_ && it != dirty_.end(); ++it) {
    if (it->first > page_of(offset + size - 1)) break;
    before_.push_back({it->first, it->second.durable});
  }
  dirty_.erase(dirty_.lower_bound(page_of(offset)), dirty_.upper_bound(page_of(offset + size - 1)));
  set_durable_size(size_);
}

/// The size has gone to the disk: blocks cut off by an earlier truncation are gone for good, also when the file grows
/// again.
void FileImage::set_durable_size(std::uint64_t size) {
  durable_size_ = size;
  for (auto it = dirty_.lower_bound(pages_for(size)); it != dirty_.end();) {
    it->second.durable = nullptr;
    it = pages_.contains(it->first) ? std::next(it) : dirty_.erase(it);
  }
  const auto last = dirty_.find(page_of(size));
  if (size % kPageBytes == 0 || last == dirty_.end() || last->second.durable == nullptr) return;
  auto cut = std::make_shared<Page>(*last->second.durable);
  std::fill(cut->begin() + static_cast<std::ptrdiff_t>(size % kPageBytes), cut->end(), std::byte{0});
  last->second.durable = std::move(cut);
}

void FileImage::make_all_durable() {
  dirty_.clear();
  durable_size_ = size_;
}

FileImage::PagePtr FileImage::exchange(std::uint64_t page, PagePtr content) {
  SLUICE_ASSERT(is_clean());
  const auto found = pages_.find(page);
  PagePtr old = found == pages_.end() ? nullptr : found->second;
  if (old == nullptr && content != nullptr && page >= reserved_) ++used_;
  if (old != nullptr && content == nullptr && page >= reserved_) --used_;
  if (content == nullptr) {
    pages_.erase(page);
  } else {
    pages_[page] = std::move(content);
  }
  return old;
}

FileImage::PagePtr FileImage::mixed(const PagePtr& from, const PagePtr& to, Loss loss, Random& random) const {
  static const Page kHole{};
  if (loss == Loss::Nothing) return to;
  if (loss == Loss::All) return from;
  if (loss == Loss::Pages) return random.chance(0.5) ? to : from;
  auto out = std::make_shared<Page>(from == nullptr ? kHole : *from);
  const Page& newer = to == nullptr ? kHole : *to;
  for (std::size_t at = 0; at < kPageBytes; at += kSectorBytes) {
    if (random.chance(0.5)) std::memcpy(out->data() + at, newer.data() + at, kSectorBytes);
  }
  return out;
}

void FileImage::cut_power(Loss loss, Random& random) {
  for (const auto& [index, dirty] : dirty_) {
    const auto page = pages_.find(index);
    const PagePtr current = page == pages_.end() ? nullptr : page->second;
    const PagePtr found = mixed(dirty.durable, current, dirty.poisoned ? Loss::All : loss, random);
    if (found == nullptr) {
      pages_.erase(index);
    } else {
      pages_[index] = found;
    }
  }
  const bool new_size = loss == Loss::Nothing || (loss != Loss::All && random.chance(0.5));
  if (!new_size) size_ = durable_size_;
  // What the size hides is not found again when the file grows later.
  pages_.erase(pages_.lower_bound(pages_for(size_)), pages_.end());
  if (const auto last = pages_.find(page_of(size_)); size_ % kPageBytes != 0 && last != pages_.end()) {
    last->second = std::make_shared<Page>(*last->second);
    std::fill(last->second->begin() + static_cast<std::ptrdiff_t>(size_ % kPageBytes), last->second->end(),
              std::byte{0});
  }
  reserved_ = std::min(reserved_, pages_for(size_));
  used_ = reserved_ + static_cast<std::uint64_t>(std::distance(pages_.lower_bound(reserved_), pages_.end()));
  make_all_durable();
}

void FileImage::tear(std::uint64_t offset, std::span<const std::byte> bytes, Random& random) {
  for (std::size_t done = 0; done < bytes.size();) {
    const std::size_t inside = (offset + done) % kSectorBytes;
    const std::size_t count = std::min(bytes.size() - done, kSectorBytes - inside);
    // Beyond the end only the size's own update makes bytes appear: half of the time it got through.
    if (random.chance(0.5)) write(offset + done, bytes.subspan(done, count));
    done += count;
  }
  make_all_durable();
}

void FileImage::flip_bit(std::uint64_t offset, unsigned bit) {
  SLUICE_ASSERT(offset < size_ && bit < 8);
  PagePtr& page = pages_[page_of(offset)];
  if (page == nullptr && page_of(offset) >= reserved_) ++used_;
  page = page == nullptr ? std::make_shared<Page>() : std::make_shared<Page>(*page);
  (*page)[offset % kPageBytes] ^= std::byte{1} << bit;
}

}  // namespace sluice::runtime::sim
