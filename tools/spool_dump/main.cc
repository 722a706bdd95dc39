// sluice-spool: prints and checks the files of a spool.

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tools/spool_dump/dump.h"

namespace {

constexpr const char* kUsage =
    "Usage: sluice-spool [--check] [--bodies] PATH...\n"
    "Prints message segments (msg-*.seg), journals (evt-*.seg) and checkpoints (*.ckp) readably.\n"
    "PATH is a file, or a directory whose files are taken in order, with those below it.\n"
    "  --check    only what is wrong; exit status 1 when anything is\n"
    "  --bodies   the beginning of message bodies too\n"
    "Safe beside a running sluiced: it only reads.\n";

bool is_ours(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return (name.ends_with(".seg") && (name.starts_with("msg-") || name.starts_with("evt-"))) || name.ends_with(".ckp");
}

// The files of PATH, or nothing when it does not exist.
std::vector<std::filesystem::path> files_of(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return {path};
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path, error)) {
    // What is kept aside is known to be damaged.
    if (entry.is_regular_file(error) && is_ours(entry.path()) &&
        entry.path().parent_path().filename() != "damaged") {
      out.push_back(entry.path());
    }
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  sluice::spool_dump::Options options;
  std::vector<std::filesystem::path> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--check") {
      options.check_only = true;
    } else if (argument == "--bodies") {
      options.bodies = true;
    } else if (argument == "--help" || argument == "-h") {
      fmt::print("{}", kUsage);
      return 0;
    } else if (argument.starts_with("-")) {
      fmt::print(stderr, "sluice-spool: unknown option {}\n{}", argument, kUsage);
      return 2;
    } else {
      paths.emplace_back(argument);
    }
  }
  if (paths.empty()) {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  std::uint64_t problems = 0;
  std::uint64_t files = 0;
  std::uint64_t records = 0;
  for (const auto& path : paths) {
    for (const auto& file : files_of(path)) {
      std::ifstream in(file, std::ios::binary);
      std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
      if (!in.good() && !in.eof()) {
        fmt::print(stderr, "sluice-spool: cannot read {}\n", file.string());
        ++problems;
        continue;
      }
      const auto outcome =
          sluice::spool_dump::dump(file.filename().string(), std::as_bytes(std::span(bytes)), options);
      if (!options.check_only || outcome.problems != 0) fmt::print("== {}\n", file.string());
      fmt::print("{}", outcome.text);
      if (!outcome.recognised) {
        fmt::print("== {}\nnot a segment, journal or checkpoint of this program\n", file.string());
        ++problems;
      }
      problems += outcome.problems;
      records += outcome.records;
      ++files;
    }
  }
  if (options.check_only) {
    fmt::print("{} files, {} records, {}\n", files, records,
               problems == 0 ? "no damage" : fmt::format("{} problems", problems));
  }
  return problems == 0 ? 0 : 1;
}
