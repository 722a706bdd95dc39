// Goal: whatever is cut off or changed in a segment, every record that is whole is found, none is invented, and what
// was acknowledged is told apart from what was not.
// How: small segments in memory, cut at every byte and changed at every byte, read with several window sizes.
#include "engine/log/scan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/engine/log/segment_bytes.h"

namespace sluice::log {
namespace {

const std::vector<std::vector<std::string>> kGroups = {
    {"first", "second record, somewhat longer than the first", ""},
    {std::string(5000, 'x')},
    {"a", "b", "c", "d"},
};
const std::vector<std::string> kAll = {"first", "second record, somewhat longer than the first", "",
                                       std::string(5000, 'x'), "a", "b", "c", "d"};

SegmentHeader header_of(std::span<const std::byte> file) {
  const auto header = decode_segment_header(file);
  EXPECT_TRUE(header.has_value());
  return *header;
}

// True when `part` is `all` with some left out, in order.
bool is_subsequence(const std::vector<std::string>& part, const std::vector<std::string>& all) {
  auto at = all.begin();
  for (const std::string& one : part) {
    at = std::find(at, all.end(), one);
    if (at == all.end()) return false;
    ++at;
  }
  return true;
}

TEST(Scan, FindsAllInWindowsOfAnySize) {
  const auto file = segment_of(header_for_test(), kGroups);
  for (const std::size_t window : {64u, 100u, 4096u, 8192u, 1u << 20}) {
    const Scanned scanned = scan(header_of(file), file, window);
    EXPECT_EQ(scanned.payloads, kAll) << window;
    EXPECT_TRUE(scanned.verdict.damaged.empty());
    EXPECT_TRUE(scanned.verdict.torn.empty());
    EXPECT_EQ(scanned.end, file.size());
  }
}

TEST(Scan, CutAtEveryByteKeepsWhatIsWhole) {
  const auto file = segment_of(header_for_test(), kGroups);
  const SegmentHeader header = header_of(file);
  std::size_t found_before = 0;
  for (std::size_t size = kBlockBytes; size <= file.size(); ++size) {
    const Scanned scanned = scan(header, std::span(file).first(size));
    ASSERT_TRUE(is_subsequence(scanned.payloads, kAll)) << size;
    ASSERT_GE(scanned.payloads.size(), found_before) << size;
    found_before = scanned.payloads.size();
    // The last group may be cut without proof that it was durable; the ones before it may not.
    const bool proven_loss = std::ranges::any_of(scanned.verdict.damaged,
                                                 [](const DamagedStretch& one) { return one.first_sequence >= 3; });
    ASSERT_FALSE(proven_loss) << size;
  }
  EXPECT_EQ(found_before, kAll.size());
}

TEST(Scan, OneChangedByteCostsAtMostOneRecordOrOneGroup) {
  const auto file = segment_of(header_for_test(), kGroups);
  const SegmentHeader header = header_of(file);
  // The padding behind a group's records carries nothing.
  for (std::size_t at = kBlockBytes; at < file.size(); ++at) {
    auto changed = file;
    changed[at] ^= std::byte{0x10};
    const Scanned scanned = scan(header, changed);
    ASSERT_TRUE(is_subsequence(scanned.payloads, kAll)) << at;
    const std::size_t lost = kAll.size() - scanned.payloads.size();
    bool in_group_header = false;
    for (const std::size_t group : {4096u, 8192u, 16384u}) {
      in_group_header = in_group_header || (at >= group && at < group + kGroupHeaderBytes);
    }
    ASSERT_LE(lost, in_group_header ? 4u : 1u) << at;
    const bool told = !scanned.verdict.damaged.empty() || !scanned.verdict.torn.empty();
    if (lost != 0) {
      ASSERT_TRUE(told || at >= 16384) << at;
    }
    // Groups 1 and 2 are proven durable by group 3: losing them is never silent.
    if (lost != 0 && at < 16384) ASSERT_FALSE(scanned.verdict.damaged.empty()) << at;
  }
}

TEST(Scan, StaleBytesOfAnEarlierUseAreNotTaken) {
  const auto old = segment_of(header_for_test(1), {{"old 1"}, {"old 2"}, {"old 3"}});
  auto file = segment_of(header_for_test(2, 4), {{"new"}});
  file.insert(file.end(), old.begin() + static_cast<long>(file.size()), old.end());
  SegmentHeader header = header_of(file);
  header.bytes = file.size();
  const Scanned scanned = scan(header, file);
  EXPECT_EQ(scanned.payloads, std::vector<std::string>{"new"});
  EXPECT_TRUE(scanned.verdict.damaged.empty());
  EXPECT_TRUE(scanned.verdict.torn.empty());
}

TEST(Scan, ABodyThatImitatesOurRecordsIsNotTaken) {
  // Somebody who knows the format, but not the salt, sends a body full of sound-looking groups.
  SegmentHeader guessed = header_for_test();
  guessed.salt = 0;
  const auto imitation = segment_of(guessed, {{"forged"}});
  const std::string body(reinterpret_cast<const char*>(imitation.data()), imitation.size());
  auto file = segment_of(header_for_test(), {{body}, {"next"}});
  const SegmentHeader header = header_of(file);
  file[kBlockBytes + kGroupHeaderBytes + 100] ^= std::byte{1};  // the record itself is damaged
  EXPECT_EQ(scan(header, file).payloads, std::vector<std::string>{"next"});
  file[kBlockBytes] ^= std::byte{1};  // and its group too
  EXPECT_EQ(scan(header, file).payloads, std::vector<std::string>{"next"});
}

TEST(Scan, MissingGroupsShowByTheNextSegment) {
  for (const Role role : {Role::Events, Role::Messages}) {
    SegmentHeader written = header_for_test();
    written.role = role;
    const auto file = segment_of(written, kGroups);
    const SegmentHeader header = header_of(file);
    SegmentScanner scanner(header);
    const auto part = std::span(file).first(16384);  // the third group is gone without a trace
    while (scanner.step(part.subspan(std::min<std::size_t>(scanner.need().offset, part.size()))) !=
           SegmentScanner::Step::End) {
    }
    EXPECT_EQ(scanner.verdict().groups_missing, 0u);
    EXPECT_EQ(scanner.verdict({.first_sequence = 4, .committed = 3}).groups_missing, 1u);
    // A journal has one group under way at a time, so the next segment proves this one; of messages there are several.
    EXPECT_EQ(scanner.verdict({.first_sequence = 4, .committed = 2}).groups_missing,
              role == Role::Events ? 1u : 0u);
  }
}

TEST(Format, SegmentHeaders) {
  const auto file = segment_of(header_for_test(), kGroups);
  EXPECT_EQ(decode_segment_header(std::span(file).first(10)).error().code, Errc::NotFound);
  EXPECT_EQ(decode_segment_header(std::vector<std::byte>(4096)).error().code, Errc::NotFound);
  for (std::size_t at = 0; at < 72; ++at) {
    auto changed = file;
    changed[at] ^= std::byte{4};
    const auto header = decode_segment_header(changed);
    ASSERT_FALSE(header.has_value()) << at;
    ASSERT_NE(header.error().code, Errc::Unsupported) << "damage is not taken for a newer version, at " << at;
  }
  const auto saved = salvage_segment_header(std::span(file).subspan(kBlockBytes), Role::Events, file.size());
  ASSERT_TRUE(saved.has_value());
  EXPECT_EQ(scan(*saved, file).payloads, kAll);
  EXPECT_FALSE(salvage_segment_header(std::span(file).subspan(kBlockBytes), Role::Messages, file.size()));
}

TEST(Format, OlderVersionsAreReadNewerOnesRefused) {
  auto file = segment_of(header_for_test(), kGroups);
  const auto error_of_version = [&file](std::uint16_t version) -> std::optional<Errc> {
    store(file.data() + 8, version);
    store(file.data() + 64, checksum(std::span(file).first(64), SegmentSeed{}));
    const auto header = decode_segment_header(file);
    if (header) return std::nullopt;
    return header.error().code;
  };
  EXPECT_EQ(error_of_version(0), Errc::Unsupported);
  EXPECT_EQ(error_of_version(1), std::nullopt) << "what the first version wrote is still read";
  EXPECT_EQ(error_of_version(2), std::nullopt);
  EXPECT_EQ(error_of_version(3), std::nullopt);
  EXPECT_EQ(error_of_version(4), Errc::Unsupported);
}

}  // namespace
}  // namespace sluice::log
