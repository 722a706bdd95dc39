// Goal: after a power cut every sector of a file is the durable one or the latest one, and nothing durable is missing.
// How: random writes, cuts of the file, syncs (also ones that overlap writes, also failing ones) beside a naive model
// that keeps both versions of the whole file; then the power goes, in all four ways.
#include "engine/runtime/sim/file_image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>

namespace sluice::runtime::sim {
namespace {

constexpr std::size_t kFileMax = 40'000;
constexpr std::size_t kSector = FileImage::kSectorBytes;
constexpr std::size_t kPage = FileImage::kPageBytes;

/// The file as it reads, and as the disk is known to hold it.
struct Model {
  std::string now;
  std::string durable;

  void write(std::size_t offset, const std::string& bytes) {
    if (now.size() < offset + bytes.size()) now.resize(offset + bytes.size(), '\0');
    now.replace(offset, bytes.size(), bytes);
  }
  /// Whole pages are written back, and the size with them.
  void make_durable(std::size_t offset, std::size_t size) {
    durable.resize(now.size(), '\0');
    const std::size_t begin = std::min(offset / kPage * kPage, now.size());
    const std::size_t end = std::min((offset + size + kPage - 1) / kPage * kPage, now.size());
    durable.replace(begin, end - begin, now, begin, end - begin);
  }
};

std::string read_all(const FileImage& image) {
  std::string out(image.size(), '?');
  EXPECT_EQ(image.read(0, std::as_writable_bytes(std::span(out))), out.size());
  return out;
}
std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string padded(std::string text, std::size_t size) {
  text.resize(size, '\0');
  return text;
}

class PowerCut : public ::testing::TestWithParam<std::tuple<Loss, std::uint64_t>> {};

TEST_P(PowerCut, LeavesOldOrNewSectorsAndKeepsWhatWasSynced) {
  const auto [loss, seed] = GetParam();
  Random random(seed);
  FileImage image;
  Model model;
  std::optional<std::pair<FileImage::SyncPoint, std::string>> syncing;
  for (int step = 0; step < 200; ++step) {
    const std::size_t offset = random.below(kFileMax);
    const std::string bytes(1 + random.below(9000), static_cast<char>('a' + random.below(26)));
    switch (random.below(8)) {
      case 0:
      case 1:
      case 2:
        image.write(offset, bytes_of(bytes));
        model.write(offset, bytes);
        break;
      case 3:
        image.write(offset, bytes_of(bytes));
        model.write(offset, bytes);
        image.make_durable(offset, bytes.size());
        model.make_durable(offset, bytes.size());
        syncing.reset();  // the model does not follow a sync across this
        break;
      case 4:
        if (random.chance(0.3)) {
          image.truncate(offset);
          model.now.resize(offset, '\0');
          syncing.reset();
        }
        break;
      case 5:
        if (!syncing) syncing = {image.begin_sync(), model.now};
        break;
      case 6:
      case 7:
        if (syncing) {
          image.finish_sync(syncing->first);
          model.durable = syncing->second;
          syncing.reset();
        }
        break;
    }
    ASSERT_TRUE(read_all(image) == model.now) << "step " << step;
  }
  image.cut_power(loss, random);
  const std::string found = read_all(image);
  ASSERT_TRUE(found.size() == model.now.size() || found.size() == model.durable.size());
  if (loss == Loss::Nothing) {
    EXPECT_TRUE(found == model.now);
  }
  if (loss == Loss::All) {
    EXPECT_TRUE(found == model.durable);
  }
  const std::string now = padded(model.now, found.size());
  const std::string durable = padded(model.durable, found.size());
  const std::size_t unit = loss == Loss::Pages ? kPage : kSector;
  for (std::size_t at = 0; at < found.size(); at += unit) {
    const std::string_view sector = std::string_view(found).substr(at, unit);
    const bool is_new = sector == std::string_view(now).substr(at, unit);
    const bool is_old = sector == std::string_view(durable).substr(at, unit);
    ASSERT_TRUE(is_new || is_old) << "at " << at;
  }
  EXPECT_TRUE(image.is_clean());
  const std::string again = read_all(image);
  image.cut_power(Loss::All, random);
  EXPECT_TRUE(read_all(image) == again) << "what was found after one power cut is durable";
}
INSTANTIATE_TEST_SUITE_P(Losses, PowerCut,
                         ::testing::Combine(::testing::Values(Loss::Nothing, Loss::All, Loss::Sectors,
                                                              Loss::Pages),
                                            ::testing::Range<std::uint64_t>(1, 31)));

TEST(FileImage, SectorsOfOneWriteAreLostApart) {
  bool saw_mixed = false;
  for (std::uint64_t seed = 0; seed < 20 && !saw_mixed; ++seed) {
    Random random(seed);
    FileImage image;
    image.write(0, bytes_of(std::string(kPage, 'o')));
    image.make_all_durable();
    image.write(0, bytes_of(std::string(kPage, 'n')));
    image.cut_power(Loss::Sectors, random);
    const std::string found = read_all(image);
    saw_mixed = found.find('o') != std::string::npos && found.find('n') != std::string::npos;
    for (std::size_t at = 0; at < kPage; at += kSector)
      EXPECT_EQ(found.substr(at, kSector), std::string(kSector, found[at]));
  }
  EXPECT_TRUE(saw_mixed);
}

TEST(FileImage, AFailedSyncIsNotMadeGoodByTheNextOne) {
  Random random(1);
  FileImage image;
  image.write(0, bytes_of("old"));
  image.make_all_durable();
  image.write(0, bytes_of("new"));
  image.fail_sync(image.begin_sync());
  image.finish_sync(image.begin_sync());  // succeeds, and lies
  EXPECT_EQ(read_all(image), "new");
  FileImage rewritten = image;
  image.cut_power(Loss::Nothing, random);
  EXPECT_EQ(read_all(image), "old");
  rewritten.write(0, bytes_of("new"));
  rewritten.finish_sync(rewritten.begin_sync());
  rewritten.cut_power(Loss::All, random);
  EXPECT_EQ(read_all(rewritten), "new") << "writing again makes the next sync honest";
}

TEST(FileImage, AWriteDuringASyncIsNotCoveredByIt) {
  Random random(1);
  FileImage image;
  image.write(0, bytes_of("covered, "));
  const FileImage::SyncPoint point = image.begin_sync();
  image.write(9, bytes_of("not covered"));
  image.finish_sync(point);
  image.cut_power(Loss::All, random);
  EXPECT_EQ(read_all(image), "covered, ");
}

TEST(FileImage, SpaceIsCountedByPage) {
  FileImage image;
  EXPECT_EQ(image.pages_used(), 0u);
  image.write(10 * kPage, bytes_of("x"));
  EXPECT_EQ(image.pages_used(), 1u) << "holes are free";
  image.allocate(12 * kPage);
  EXPECT_EQ(image.pages_used(), 12u);
  EXPECT_EQ(image.pages_wanted(0, 12 * kPage), 0u);
  EXPECT_EQ(image.pages_wanted(11 * kPage, 2 * kPage), 1u);
  image.write(12 * kPage, bytes_of(std::string(2 * kPage, 'y')));
  EXPECT_EQ(image.pages_used(), 14u);
  image.truncate(13 * kPage);
  EXPECT_EQ(image.pages_used(), 13u);
  image.truncate(5 * kPage + 1);
  EXPECT_EQ(image.pages_used(), 6u);
  image.truncate(0);
  EXPECT_EQ(image.pages_used(), 0u);
}

TEST(FileImage, TornWritesAndFlippedBits) {
  Random random(3);
  FileImage image;
  image.write(0, bytes_of(std::string(8 * kSector, 'o')));
  image.make_all_durable();
  image.tear(100, bytes_of(std::string(5 * kSector, 'n')), random);
  const std::string found = read_all(image);
  EXPECT_EQ(found.substr(0, 100), std::string(100, 'o'));
  EXPECT_NE(found.find('n'), std::string::npos);
  EXPECT_NE(found.find('o', 200), std::string::npos);
  EXPECT_EQ(found.substr(100 + 5 * kSector), std::string(3 * kSector - 100, 'o'));
  image.flip_bit(7, 0);
  EXPECT_EQ(read_all(image)[7], 'o' ^ 1);
  image.cut_power(Loss::All, random);
  EXPECT_EQ(read_all(image)[7], 'o' ^ 1) << "rot is on the platter";
}

}  // namespace
}  // namespace sluice::runtime::sim
