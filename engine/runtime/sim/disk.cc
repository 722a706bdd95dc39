#include "engine/runtime/sim/disk.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace sluice::runtime::sim {
namespace {

/// Takes the first component off; "." and empty ones are skipped.
std::string_view take_component(std::string_view& path) {
  for (;;) {
    while (path.starts_with('/')) path.remove_prefix(1);
    const std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(part.size());
    if (part != ".") return part;
  }
}

bool is_only_slashes(std::string_view path) { return take_component(path).empty(); }

}  // namespace

Disk::Disk(DiskOptions disk_options, Random random)
    : options(disk_options), random_(random), root_(std::make_shared<Node>()) {
  root_->is_directory = true;
  root_->links = 1;
}

NodePtr Disk::child(const Node& directory, std::string_view name) {
  const auto found = directory.entries.find(name);
  return found == directory.entries.end() ? nullptr : found->second;
}

Disk::Place Disk::locate(std::string_view path) const {
  NodePtr at = root_;
  for (;;) {
    const std::string_view part = take_component(path);
    if (part.empty()) return {root_, {}, 0};
    if (!at->is_directory) return {nullptr, {}, -ENOTDIR};
    if (is_only_slashes(path)) return {at, std::string(part), 0};
    at = child(*at, part);
    if (at == nullptr) return {nullptr, {}, -ENOENT};
  }
}

NodePtr Disk::find(std::string_view path) const {
  const Place place = locate(path);
  if (place.directory == nullptr) return nullptr;
  return place.name.empty() ? root_ : child(*place.directory, place.name);
}

void Disk::apply_durably(const Change& change) {
  for (const Edit& edit : change.edits) {
    if (edit.target == nullptr) {
      edit.directory->durable_entries.erase(edit.name);
    } else {
      edit.directory->durable_entries[edit.name] = edit.target;
    }
  }
}

void Disk::commit_old(MonoTime now) {
  if (!options.names_commit_after) return;
  while (!pending_.empty() && pending_.front().at + *options.names_commit_after <= now) {
    apply_durably(pending_.front());
    pending_.pop_front();
  }
}

void Disk::change(std::vector<Edit> edits, MonoTime now) {
  commit_old(now);
  for (const Edit& edit : edits) {
    if (const NodePtr old = child(*edit.directory, edit.name)) {
      edit.directory->entries.erase(edit.name);
      --old->links;
      unlink_node(old);
    }
    if (edit.target != nullptr) {
      edit.directory->entries[edit.name] = edit.target;
      if (edit.target->links++ == 0 && edit.target->opens == 0)
        pages_used_ += edit.target->image.pages_used();
    }
  }
  pending_.push_back({.serial = ++changes_made_, .at = now, .edits = std::move(edits)});
}

void Disk::unlink_node(const NodePtr& node) {
  if (!counts(*node)) pages_used_ -= node->image.pages_used();
}

void Disk::opened(const NodePtr& node) { ++node->opens; }

void Disk::closed(const NodePtr& node) {
  SLUICE_ASSERT(node->opens > 0);
  --node->opens;
  unlink_node(node);
}

Disk::Opened Disk::open(std::string_view path, int flags, MonoTime now) {
  const Place place = locate(path);
  if (place.directory == nullptr) return {.error = place.error, .node = nullptr};
  NodePtr node = place.name.empty() ? root_ : child(*place.directory, place.name);
  if (node == nullptr) {
    if ((flags & O_CREAT) == 0) return {.error = -ENOENT, .node = nullptr};
    if (pages_used_ >= pages_max()) return {.error = -ENOSPC, .node = nullptr};
    node = std::make_shared<Node>();
    node->modified = now;
    node->image.keep_before(options.keep_before);
    change({{place.directory, place.name, node}}, now);
    return {.error = 0, .node = node};
  }
  if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) return {.error = -EEXIST, .node = nullptr};
  if (node->is_directory && (flags & (O_WRONLY | O_RDWR)) != 0) return {.error = -EISDIR, .node = nullptr};
  if (!node->is_directory && (flags & O_DIRECTORY) != 0) return {.error = -ENOTDIR, .node = nullptr};
  if ((flags & O_TRUNC) != 0 && !node->is_directory) static_cast<void>(truncate(*node, 0));
  return {.error = 0, .node = node};
}

std::int32_t Disk::account(Node& node, std::uint64_t before) {
  pages_used_ = pages_used_ - before + node.image.pages_used();
  return 0;
}

std::int32_t Disk::write(Node& node, std::uint64_t offset, std::span<const std::byte> bytes) {
  // A nearly full file system takes what fits and answers ENOSPC to the next call.
  const std::uint64_t free = pages_max() - std::min(pages_used_, pages_max());
  while (!bytes.empty() && node.image.pages_wanted(offset, bytes.size()) > free) {
    const std::uint64_t end = offset + bytes.size();
    const std::uint64_t cut = std::max(offset, (end - 1) / FileImage::kPageBytes * FileImage::kPageBytes);
    bytes = bytes.first(static_cast<std::size_t>(cut - offset));
    if (bytes.empty()) return -ENOSPC;
  }
  const std::uint64_t before = node.image.pages_used();
  node.image.write(offset, bytes);
  static_cast<void>(account(node, before));
  return static_cast<std::int32_t>(bytes.size());
}

std::int32_t Disk::allocate(Node& node, std::uint64_t offset, std::uint64_t size) {
  const std::uint64_t free = pages_max() - std::min(pages_used_, pages_max());
  if (node.image.pages_wanted(offset, size) > free) return -ENOSPC;
  const std::uint64_t before = node.image.pages_used();
  node.image.allocate(offset + size);
  return account(node, before);
}

std::int32_t Disk::truncate(Node& node, std::uint64_t size) {
  const std::uint64_t before = node.image.pages_used();
  node.image.truncate(size);
  return account(node, before);
}

std::int32_t Disk::rename(std::string_view from, std::string_view to, MonoTime now) {
  const Place source = locate(from);
  const Place target = locate(to);
  if (source.directory == nullptr) return source.error;
  if (target.directory == nullptr) return target.error;
  if (source.name.empty() || target.name.empty()) return -EBUSY;
  const NodePtr node = child(*source.directory, source.name);
  if (node == nullptr) return -ENOENT;
  const NodePtr old = child(*target.directory, target.name);
  if (old == node) return 0;
  if (old != nullptr && old->is_directory != node->is_directory)
    return old->is_directory ? -EISDIR : -ENOTDIR;
  if (old != nullptr && old->is_directory && !old->entries.empty()) return -ENOTEMPTY;
  // The new name first: the node is never without one.
  change({{target.directory, target.name, node}, {source.directory, source.name, nullptr}}, now);
  return 0;
}

std::int32_t Disk::unlink(std::string_view path, MonoTime now) {
  const Place place = locate(path);
  if (place.directory == nullptr) return place.error;
  const NodePtr node = place.name.empty() ? root_ : child(*place.directory, place.name);
  if (node == nullptr) return -ENOENT;
  if (node->is_directory) return -EISDIR;
  change({{place.directory, place.name, nullptr}}, now);
  return 0;
}

std::int32_t Disk::make_dir(std::string_view path, MonoTime now) {
  const Place place = locate(path);
  if (place.directory == nullptr) return place.error;
  if (place.name.empty() || child(*place.directory, place.name) != nullptr) return -EEXIST;
  const NodePtr node = std::make_shared<Node>();
  node->is_directory = true;
  change({{place.directory, place.name, node}}, now);
  return 0;
}

std::int32_t Disk::sync_dir(const NodePtr& node, std::uint64_t mark) {
  const auto touches = [&](const Change& change) {
    return change.serial <= mark && std::any_of(change.edits.begin(), change.edits.end(),
                                                [&](const Edit& edit) { return edit.directory == node; });
  };
  if (options.names_in_order) {
    const auto last = std::find_if(pending_.rbegin(), pending_.rend(), touches);
    for (auto left = pending_.rend() - last; left > 0; --left) {
      apply_durably(pending_.front());
      pending_.pop_front();
    }
    return 0;
  }
  for (const Change& change : pending_) {
    if (touches(change)) apply_durably(change);
  }
  std::erase_if(pending_, touches);
  return 0;
}

Result<std::vector<DirectoryEntry>> Disk::list(std::string_view path) const {
  const NodePtr node = find(path);
  if (node == nullptr) return fail_errno(ENOENT, "opendir");
  if (!node->is_directory) return fail_errno(ENOTDIR, "opendir");
  std::vector<DirectoryEntry> out;
  for (const auto& [name, entry] : node->entries)
    out.push_back({name, entry->is_directory, entry->image.size()});
  return out;
}

FileSystemSpace Disk::space() const {
  const std::uint64_t used = std::min(pages_used_, pages_max());
  return {.free_bytes = (pages_max() - used) * FileImage::kPageBytes, .total_bytes = options.capacity_bytes};
}

Status Disk::make_directories(std::string_view path, MonoTime now) {
  std::string so_far;
  for (std::string_view part = take_component(path); !part.empty(); part = take_component(path)) {
    so_far += '/';
    so_far += part;
    const std::int32_t made = make_dir(so_far, now);
    if (made < 0 && made != -EEXIST) return fail_errno(-made, "mkdir");
  }
  return {};
}

std::string Disk::content(std::string_view path) const {
  const NodePtr node = find(path);
  SLUICE_ASSERT(node != nullptr && !node->is_directory);
  std::string out(node->image.size(), '\0');
  static_cast<void>(node->image.read(0, std::as_writable_bytes(std::span(out))));
  return out;
}

void Disk::put(std::string_view path, std::string_view content) {
  const std::string_view directory = path.substr(0, path.rfind('/') + 1);
  SLUICE_ASSERT(make_directories(directory, MonoTime{}).has_value());
  const Opened file = open(path, O_RDWR | O_CREAT | O_TRUNC, MonoTime{});
  SLUICE_ASSERT(file.node != nullptr);
  SLUICE_ASSERT(write(*file.node, 0, std::as_bytes(std::span(content))) ==
                static_cast<std::int32_t>(content.size()));
  file.node->image.make_all_durable();
  for (const Change& change : pending_) apply_durably(change);
  pending_.clear();
}

void Disk::flip_bit(std::string_view path, std::uint64_t offset, unsigned bit) {
  const NodePtr node = find(path);
  SLUICE_ASSERT(node != nullptr);
  node->image.flip_bit(offset, bit);
}

void Disk::cut(std::string_view path, std::uint64_t size) {
  const NodePtr node = find(path);
  SLUICE_ASSERT(node != nullptr && size <= node->image.size());
  static_cast<void>(truncate(*node, size));
  node->image.make_all_durable();
}

std::vector<Disk::Block> Disk::written(std::string_view path) const {
  std::vector<Block> out;
  for (const std::string& file : files_below(path)) {
    for (const FileImage::Before& one : find(file)->image.before())
      out.push_back({file, one.page, one.content});
  }
  return out;
}

void Disk::forget_written(std::string_view path) {
  for (const std::string& file : files_below(path)) find(file)->image.forget_before();
}

void Disk::lose(Block& block) {
  const NodePtr node = find(block.path);
  SLUICE_ASSERT(node != nullptr);
  const std::uint64_t before = node->image.pages_used();
  block.before = node->image.exchange(block.page, std::move(block.before));
  static_cast<void>(account(*node, before));
}

void Disk::make_all_durable() {
  for (const Change& change : pending_) apply_durably(change);
  pending_.clear();
  for (const std::string& path : files_below("/")) find(path)->image.make_all_durable();
}

std::vector<std::string> Disk::files_below(std::string_view path) const {
  std::vector<std::string> out;
  const NodePtr top = find(path);
  if (top == nullptr) return out;
  std::vector<std::pair<std::string, NodePtr>> left{{std::string(path), top}};
  while (!left.empty()) {
    const auto [name, node] = std::move(left.back());
    left.pop_back();
    if (!node->is_directory) out.push_back(name);
    const std::string prefix = name.ends_with('/') ? name : name + '/';
    for (const auto& [below, entry] : node->entries) left.emplace_back(prefix + below, entry);
  }
  std::sort(out.begin(), out.end());
  return out;
}

void Disk::cut_power() {
  const Loss loss = options.loss ? *options.loss : static_cast<Loss>(random_.below(4));
  // Names first: in order a prefix gets through, otherwise each change for itself.
  std::size_t kept = loss == Loss::Nothing ? pending_.size() : 0;
  if (loss == Loss::Sectors || loss == Loss::Pages) kept = random_.below(pending_.size() + 1);
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    const bool keep =
        options.names_in_order || loss == Loss::Nothing ? i < kept : loss != Loss::All && random_.chance(0.5);
    if (keep) apply_durably(pending_[i]);
  }
  pending_.clear();
  pages_used_ = 0;
  forget_links(*root_);
  restore(*root_, loss);
}

void Disk::forget_links(Node& directory) {
  for (const auto& [name, node] : directory.durable_entries) {
    if (std::exchange(node->links, 0) != 0 && node->is_directory) forget_links(*node);
    node->opens = 0;
  }
}

void Disk::restore(Node& directory, Loss loss) {
  directory.entries = directory.durable_entries;
  for (const auto& [name, node] : directory.entries) {
    // Half a chain of renames can leave one file under two names.
    if (node->links++ != 0) continue;
    if (node->is_directory) {
      restore(*node, loss);
    } else {
      node->image.cut_power(loss, random_);
      pages_used_ += node->image.pages_used();
    }
  }
}

void Disk::tear(Node& node, std::uint64_t offset, std::span<const std::byte> bytes) {
  if (!counts(node)) return;
  const std::uint64_t before = node.image.pages_used();
  node.image.tear(offset, bytes, random_);
  static_cast<void>(account(node, before));
}

}  // namespace sluice::runtime::sim
