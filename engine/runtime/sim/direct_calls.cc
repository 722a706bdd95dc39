// The calls a reactor makes without the ring.
#include <cerrno>

#include "engine/runtime/sim/sim_reactor.h"
#include "engine/runtime/sim/world.h"

namespace sluice::runtime::sim {

Result<int> SimReactor::descriptor_for(std::shared_ptr<Socket> socket) {
  auto file = std::make_shared<OpenFile>();
  file->machine = machine_.index();
  file->network = &machine_.world().network();
  file->socket = std::move(socket);
  return machine_.add_descriptor(std::move(file));
}

/// As descriptor_for(), but none of the reserve.
Result<int> SimReactor::connection_for(std::shared_ptr<Socket> socket) {
  if (descriptors_left(0) <= descriptor_reserve()) return fail_errno(EMFILE, "socket");
  return descriptor_for(std::move(socket));
}

std::size_t SimReactor::descriptors_left(int) {
  const std::size_t open = machine_.descriptors_open();
  return machine_.options.descriptors_max > open ? machine_.options.descriptors_max - open : 0;
}

std::size_t SimReactor::descriptor_reserve() {
  return std::min<std::size_t>(256, machine_.options.descriptors_max / 4);
}

Result<int> SimReactor::tcp_listener(const Endpoint& at, ListenOptions options) {
  auto socket = machine_.world().network().listen(machine_, at, options.reuse_port,
                                                  static_cast<std::size_t>(std::max(1, options.backlog)));
  if (!socket) return std::unexpected(socket.error());
  return descriptor_for(std::move(*socket));
}

Status SimReactor::is_free(const Endpoint& at) {
  const Result<int> fd = tcp_listener(at, {.reuse_port = false, .backlog = 1});
  if (!fd) return std::unexpected(fd.error());
  close_now(*fd);
  return {};
}

Result<int> SimReactor::unix_listener(const std::string& path, std::uint32_t) {
  auto socket = machine_.world().network().listen_unix(machine_, path);
  if (!socket) return std::unexpected(socket.error());
  return descriptor_for(std::move(*socket));
}

Result<int> SimReactor::tcp_socket(bool is_v4, const IpAddress* source) {
  auto socket = machine_.world().network().make_stream(machine_, is_v4, source, false);
  if (!socket) return std::unexpected(socket.error());
  return connection_for(std::move(*socket));
}

Result<int> SimReactor::unix_socket() {
  auto socket = machine_.world().network().make_stream(machine_, true, nullptr, true);
  if (!socket) return std::unexpected(socket.error());
  return descriptor_for(std::move(*socket));
}

Status SimReactor::connect_unix(int fd, const std::string& path) {
  const auto file = machine_.file(fd);
  const auto stream = file == nullptr ? nullptr : std::dynamic_pointer_cast<StreamSocket>(file->socket);
  if (stream == nullptr) return fail_errno(EBADF, "connect to unix socket");
  return machine_.world().network().connect_unix(stream, path);
}

Result<int> SimReactor::udp_socket(bool is_v4, const Endpoint* bind_to) {
  auto socket = machine_.world().network().make_datagram(machine_, is_v4, bind_to);
  if (!socket) return std::unexpected(socket.error());
  return descriptor_for(std::move(*socket));
}

Result<std::size_t> SimReactor::send_datagram(int fd, std::span<const std::byte> bytes, const Endpoint* to) {
  const auto file = machine_.file(fd);
  auto* socket = file == nullptr ? nullptr : dynamic_cast<DatagramSocket*>(file->socket.get());
  if (socket == nullptr) return fail_errno(EBADF, "sendto");
  if (to == nullptr && !socket->connected) return fail_errno(EDESTADDRREQ, "sendto");
  return machine_.world().network().send_datagram(*socket, bytes, to == nullptr ? socket->remote : *to);
}

Result<Reactor::Datagram> SimReactor::receive_datagram(int fd, std::span<std::byte> into) {
  const auto file = machine_.file(fd);
  auto* socket = file == nullptr ? nullptr : dynamic_cast<DatagramSocket*>(file->socket.get());
  if (socket == nullptr) return fail_errno(EBADF, "recvfrom");
  if (socket->error != 0) return fail_errno(std::exchange(socket->error, 0), "recvfrom");
  if (socket->queue.empty()) return fail(Errc::Timeout, "recvfrom");
  const DatagramSocket::Datagram datagram = std::move(socket->queue.front());
  socket->queue.pop_front();
  const std::size_t size = std::min(into.size(), datagram.bytes.size());
  std::copy_n(datagram.bytes.begin(), size, into.begin());
  return Datagram{size, datagram.from};
}

Result<Endpoint> SimReactor::local_endpoint(int fd) {
  const auto file = machine_.file(fd);
  if (file == nullptr) return fail_errno(EBADF, "getsockname");
  if (file->socket == nullptr) return fail_errno(ENOTSOCK, "getsockname");
  return file->socket->local;
}

std::uint64_t SimReactor::acknowledged(int fd) {
  const auto file = machine_.file(fd);
  if (file == nullptr) return 0;
  const auto* stream = dynamic_cast<const StreamSocket*>(file->socket.get());
  return stream == nullptr ? 0 : stream->sent - stream->unread_by_peer;
}

Result<Endpoint> SimReactor::peer_endpoint(int fd) {
  const auto file = machine_.file(fd);
  if (file == nullptr) return fail_errno(EBADF, "getpeername");
  if (file->socket == nullptr) return fail_errno(ENOTSOCK, "getpeername");
  const auto* stream = dynamic_cast<StreamSocket*>(file->socket.get());
  const bool has_peer =
      stream == nullptr ? file->socket->remote.port != 0 : stream->state == StreamSocket::State::Open;
  if (!has_peer) return fail_errno(ENOTCONN, "getpeername");
  return file->socket->remote;
}

void SimReactor::shutdown_socket(int fd) {
  if (dead_) return;
  const auto file = machine_.file(fd);
  SLUICE_ASSERT(file != nullptr);
  if (file->socket != nullptr) machine_.world().network().shutdown(*file->socket);
}

void SimReactor::end_output(int fd) {
  if (dead_) return;
  const auto file = machine_.file(fd);
  SLUICE_ASSERT(file != nullptr);
  if (auto* stream = dynamic_cast<StreamSocket*>(file->socket.get()))
    machine_.world().network().shutdown_write(*stream);
}

// Every address exists in the simulated world; none is listed, so that networks in a configuration stay
// empty.
std::vector<IpAddress> SimReactor::local_addresses() { return {}; }

void SimReactor::reset_connection(int fd) {
  const auto file = machine_.file(fd);
  SLUICE_ASSERT(file != nullptr && dynamic_cast<StreamSocket*>(file->socket.get()) != nullptr);
  machine_.world().network().reset(static_cast<StreamSocket&>(*file->socket));
}

void SimReactor::close_now(int fd) {
  if (dead_) return;
  const auto file = machine_.file(fd);
  SLUICE_ASSERT(file != nullptr);  // closed twice, or never opened
  // One reference is the table's and one ours; look closer only when there are more.
  if (file.use_count() > 2) {
    for (const auto& [id, op] : in_flight_) SLUICE_ASSERT(op->file != file);
  }
  machine_.remove_descriptor(fd);
}

Result<std::vector<DirectoryEntry>> SimReactor::list_directory(const std::string& path) {
  return machine_.disk().list(path);
}

namespace {

FileState state_from(const Node& node, const World& world) {
  // Cut to milliseconds as the wall clock is, so that one time is told the same whenever it is asked for.
  const auto told = [](MonoTime time) {
    return std::chrono::floor<WallTime::duration>(time.time_since_epoch());
  };
  return {.is_plain = !node.is_directory,
          .is_directory = node.is_directory,
          .size_bytes = node.image.size(),
          .modified = world.wall_now() - (told(world.now()) - told(node.modified)),
          .identity = {1, reinterpret_cast<std::uintptr_t>(&node)}};
}

/// Names are those of the opening; what they are called by then is looked up when they are asked for.
class Cursor final : public DirectoryCursor {
 public:
  Cursor(Machine& machine, std::string path, std::vector<DirectoryEntry> names)
      : machine_(machine), path_(std::move(path)), names_(std::move(names)) {}
  Result<std::vector<Entry>> next(std::size_t most) override {
    std::vector<Entry> out;
    for (; out.size() < most && at_ < names_.size(); ++at_) {
      const NodePtr node = machine_.disk().find(path_ + '/' + names_[at_].name);
      if (node != nullptr) out.push_back({names_[at_].name, state_from(*node, machine_.world())});
    }
    return out;
  }

 private:
  Machine& machine_;
  std::string path_;
  std::vector<DirectoryEntry> names_;
  std::size_t at_ = 0;
};

}  // namespace

Result<std::unique_ptr<DirectoryCursor>> SimReactor::open_directory(const std::string& path) {
  auto names = machine_.disk().list(path);
  if (!names) return std::unexpected(names.error());
  return std::make_unique<Cursor>(machine_, path, std::move(*names));
}

Result<FileState> SimReactor::state_of(int fd) {
  const auto file = machine_.file(fd);
  if (file == nullptr || file->node == nullptr) return fail_errno(EBADF, "fstat");
  return state_from(*file->node, machine_.world());
}

Status SimReactor::expect_plain(int fd) {
  const auto file = machine_.file(fd);
  if (file == nullptr) return fail_errno(EBADF, "fstat");
  if (file->node == nullptr || file->node->is_directory)
    return fail(Errc::BadInput, "open: not a plain file");
  return {};
}

Result<FileSystemSpace> SimReactor::space_of(const std::string& path) {
  if (!machine_.disk().exists(path)) return fail_errno(ENOENT, "statvfs");
  return machine_.disk().space();
}

Result<std::uint64_t> SimReactor::size_of(const std::string& path) {
  const NodePtr node = machine_.disk().find(path);
  if (node == nullptr) return fail_errno(ENOENT, "stat");
  return node->image.size();
}

Result<std::uint64_t> SimReactor::size_of(int fd) {
  const auto file = machine_.file(fd);
  if (file == nullptr || file->node == nullptr) return fail_errno(EBADF, "fstat");
  return file->node->image.size();
}

Result<bool> SimReactor::try_lock(int fd) {
  const auto file = machine_.file(fd);
  if (file == nullptr || file->node == nullptr) return fail_errno(EBADF, "flock");
  if (file->node->locked && !file->holds_lock) return false;
  file->node->locked = file->holds_lock = true;
  return true;
}

Status SimReactor::make_directories(const std::string& path, std::uint32_t) {
  return machine_.disk().make_directories(path, machine_.world().now());
}

}  // namespace sluice::runtime::sim
