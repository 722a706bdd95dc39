// Goal: `run-as-root no` leaves nothing of root but low ports, hands over what the daemon writes and nothing
// else. How:  a child process drops its rights for those of "nobody" and looks at itself; only root can try
// it.
#include "tools/sluiced/rights.h"

#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;

class Rights : public ::testing::Test {
 protected:
  Rights() {
    std::string name = fs::temp_directory_path() / "rights-XXXXXX";
    root = ::mkdtemp(name.data());
    fs::permissions(root, fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec);
  }
  ~Rights() override { fs::remove_all(root); }
  void SetUp() override {
    if (::geteuid() != 0 || ::getpwnam("nobody") == nullptr) GTEST_SKIP() << "only root can give up rights";
  }
  void put(const std::string& name) { std::ofstream(root + '/' + name) << "x"; }
  uid_t owner(const std::string& name) {
    struct stat now{};
    EXPECT_EQ(::lstat((root + '/' + name).c_str(), &now), 0) << name;
    return now.st_uid;
  }
  /// What `look` answers in a child that has dropped its rights; "" when it could not.
  std::string in_child(const OwnPaths& paths, std::string (*look)(const std::string&)) {
    int ends[2];
    if (::pipe(ends) != 0) return "";
    const pid_t child = ::fork();
    if (child == 0) {
      const auto dropped = drop_rights({"no-such-user-here", "nobody"}, paths);
      const std::string text = dropped ? look(root) : dropped.error();
      [[maybe_unused]] const auto written = ::write(ends[1], text.data(), text.size());
      ::_exit(0);
    }
    ::close(ends[1]);
    std::string out(4096, '\0');
    const auto size = ::read(ends[0], out.data(), out.size());
    out.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    return out;
  }
  std::string root;
};

TEST_F(Rights, OnlyLowPortsAreLeft) {
  const std::string seen = in_child({}, [](const std::string&) {
    std::string out = std::to_string(::getuid()) + ' ' + std::to_string(::geteuid()) + ' ';
    out += ::setuid(0) == 0 ? "root again " : "";
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("CapEff") || line.starts_with("CapPrm")) out += line + ' ';
    }
    return out;
  });
  const std::string id = std::to_string(::getpwnam("nobody")->pw_uid);
  EXPECT_EQ(seen, id + ' ' + id + " CapPrm:\t0000000000000400 CapEff:\t0000000000000400 ");
}

TEST_F(Rights, WhatItWritesIsHandedOver) {
  const uid_t nobody = ::getpwnam("nobody")->pw_uid;
  fs::create_directories(root + "/spool/shard-0000");
  fs::create_directories(root + "/shared");
  put("spool/shard-0000/msg");
  put("outside");
  put("shared/other");
  put("shared/log");
  fs::create_directories(root + "/shared/below");
  put("shared/below/deep");
  fs::create_symlink(root + "/outside", root + "/spool/link");
  const OwnPaths paths{.trees = {root + "/spool"},
                       .folders = {root + "/shared", root + "/new/folder"},
                       .files = {root + "/shared/log", root + "/shared/none"}};
  const std::string seen = in_child(paths, [](const std::string& at) {
    std::ofstream(at + "/spool/shard-0000/msg", std::ios::app) << "more";
    std::ofstream(at + "/new/folder/file") << "new";
    return std::string(std::ifstream(at + "/new/folder/file").good() ? "wrote" : "could not");
  });
  EXPECT_EQ(seen, "wrote");
  EXPECT_EQ(owner("spool"), nobody);
  EXPECT_EQ(owner("spool/shard-0000/msg"), nobody);
  EXPECT_EQ(owner("spool/link"), 0u);
  EXPECT_EQ(owner("outside"), 0u) << "a link is not followed";
  EXPECT_EQ(owner("shared"), nobody);
  EXPECT_EQ(owner("shared/other"), nobody) << "left by a run as root";
  EXPECT_EQ(owner("shared/below/deep"), 0u);
  EXPECT_EQ(owner("shared/log"), nobody);
  EXPECT_EQ(owner("new/folder"), nobody);
}

TEST_F(Rights, AnUnknownUserIsSaid) {
  const auto dropped = drop_rights({"no-such-user-here"}, {});
  ASSERT_FALSE(dropped);
  EXPECT_NE(dropped.error().find("useradd --system"), std::string::npos) << dropped.error();
  EXPECT_EQ(::geteuid(), 0u);
}

TEST(OwnPaths, EverybodysFoldersAreLeftAlone) {
  for (const char* shared :
       {"/var/log", "/var/log/", "/", "", "/tmp", "/var/../var/spool", "/dev", "/usr/local"})
    EXPECT_TRUE(is_shared_folder(shared)) << shared;
  for (const char* own : {"/var/log/pmta", "/srv/mail", "/run/sluice"})
    EXPECT_FALSE(is_shared_folder(own)) << own;
}

TEST(OwnPaths, NamesWhatAConfigurationWrites) {
  config::Config config;
  config.spools.push_back({.dir = "/var/spool/x", .min_free_space = {}, .origin = {}});
  config.globals.log_file = "/var/log/x/log";
  config.acct_files.push_back({});
  config.acct_files.back().path = "/var/acct/a.csv";
  config.acct_files.back().move_to = "/var/moved";
  const OwnPaths paths = own_paths(config);
  EXPECT_EQ(paths.trees, std::vector<std::string>{"/var/spool/x"});
  EXPECT_EQ(paths.folders,
            (std::vector<std::string>{"/var/log/x", "/var/acct", "/var/moved", "/run/sluice"}));
  EXPECT_EQ(paths.files, std::vector<std::string>{"/var/log/x/log"});
}

}  // namespace
}  // namespace sluice::tools
