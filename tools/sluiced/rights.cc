#include "tools/sluiced/rights.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;

std::string parent_of(const std::string& path) { return fs::path(path).parent_path().string(); }

std::unexpected<std::string> failed(const std::string& what) {
  return std::unexpected("run-as-root no: " + what + ": " + std::strerror(errno));
}

struct Owner {
  uid_t user = 0;
  gid_t group = 0;
};

/// Links are not followed: what they point to is somebody else's.
bool give(const std::string& path, const Owner& to) {
  struct stat now{};
  if (::lstat(path.c_str(), &now) != 0) return errno == ENOENT;
  if (S_ISLNK(now.st_mode) || (now.st_uid == to.user && now.st_gid == to.group)) return true;
  return ::lchown(path.c_str(), to.user, to.group) == 0;
}

/// The folder and the files in it, which an earlier run as root may have left.
std::expected<void, std::string> give_folder(const std::string& path, const Owner& to) {
  if (is_shared_folder(path)) return {};
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return std::unexpected("run-as-root no: cannot make " + path + ": " + error.message());
  if (!give(path, to)) return failed("cannot give " + path + " to the user");
  for (auto at = fs::directory_iterator(path, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    if (!at->is_regular_file(error) || at->is_symlink(error)) continue;
    if (!give(at->path().string(), to)) return failed("cannot give " + at->path().string() + " to the user");
  }
  return {};
}

std::expected<void, std::string> give_tree(const std::string& path, const Owner& to) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return std::unexpected("run-as-root no: cannot make " + path + ": " + error.message());
  if (!give(path, to)) return failed("cannot give " + path + " to the user");
  for (auto at = fs::recursive_directory_iterator(path, error);
       !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (!give(at->path().string(), to)) return failed("cannot give " + at->path().string() + " to the user");
  }
  if (error) return std::unexpected("run-as-root no: cannot look through " + path + ": " + error.message());
  return {};
}

/// All that is left is listening at low ports.
bool keep_only_low_ports() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  data[0].effective = data[0].permitted = 1U << CAP_NET_BIND_SERVICE;
  return ::syscall(SYS_capset, &header, data) == 0;
}

}  // namespace

bool is_shared_folder(const std::string& path) {
  static constexpr std::array<std::string_view, 14> kShared{
      "",     ".",    "/",     "/var", "/var/log", "/var/spool", "/var/tmp",
      "/tmp", "/run", "/home", "/etc", "/opt",     "/srv",       "/mnt"};
  std::string plain = fs::path(path).lexically_normal().string();
  while (plain.size() > 1 && plain.ends_with('/')) plain.pop_back();
  return std::ranges::find(kShared, plain) != kShared.end() || plain.starts_with("/dev") ||
         plain.starts_with("/usr");
}

OwnPaths own_paths(const config::Config& config) {
  OwnPaths out;
  for (const config::Spool& spool : config.spools) out.trees.push_back(spool.dir);
  if (!config.globals.log_file.empty()) {
    out.folders.push_back(parent_of(config.globals.log_file));
    out.files.push_back(config.globals.log_file);
  }
  for (const config::AcctFile& file : config.acct_files) {
    if (!file.path.empty()) out.folders.push_back(parent_of(file.path));
    if (!file.move_to.empty()) out.folders.push_back(file.move_to);
  }
  out.folders.push_back(config.globals.run_dir);
  if (!config.globals.control_socket.empty()) out.folders.push_back(parent_of(config.globals.control_socket));
  return out;
}

std::expected<void, std::string> drop_rights(const std::vector<std::string>& users, const OwnPaths& paths) {
  if (::geteuid() != 0) return {};
  const passwd* found = nullptr;
  std::string names;
  for (const std::string& name : users) {
    names += (names.empty() ? "\"" : " or \"") + name + '"';
    if (found == nullptr) found = ::getpwnam(name.c_str());
  }
  if (found == nullptr) {
    return std::unexpected("run-as-root no: there is no user " + names +
                           "; make it with\n  useradd --system " + "--home-dir / --shell /usr/sbin/nologin " +
                           users.front() + "\nor say run-as-root yes");
  }
  const std::string user = found->pw_name;
  const Owner to{found->pw_uid, found->pw_gid};
  for (const std::string& tree : paths.trees) {
    if (auto given = give_tree(tree, to); !given) return given;
  }
  for (const std::string& folder : paths.folders) {
    if (auto given = give_folder(folder, to); !given) return given;
  }
  for (const std::string& file : paths.files) {
    if (!give(file, to)) return failed("cannot give " + file + " to the user");
  }
  // Buffers registered with the kernel count for everybody but root.
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  ::setrlimit(RLIMIT_MEMLOCK, &unlimited);
  if (::initgroups(user.c_str(), to.group) != 0) return failed("cannot take over the groups of " + user);
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return failed("cannot keep the right to low ports");
  if (::setresgid(to.group, to.group, to.group) != 0) return failed("cannot change to the group of " + user);
  if (::setresuid(to.user, to.user, to.user) != 0) return failed("cannot change to the user " + user);
  if (!keep_only_low_ports()) return failed("cannot keep the right to low ports");
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // the change took it away; a crash should leave a core
  return {};
}

}  // namespace sluice::tools
