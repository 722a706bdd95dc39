// Goal: the cache's table and the packed answers in it.
// How: against a plain map over random steps; packing by what comes out again.

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "engine/resolver/rrset_cache.h"

namespace sluice::resolver {
namespace {

using net::dns::Record;
using net::dns::Type;

TEST(RrsetCacheTable, HoldsWhatAMapHolds) {
  // Against a plain map: insertions, replacements, removals and growth, with probing chains of every shape.
  RrsetCache cache(64 * kMiB, 7);
  std::map<std::string, MonoTime> model;
  std::uint64_t chance = 1;
  for (int step = 0; step < 60000; ++step) {
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    const std::string name = "n" + std::to_string((chance >> 33) % 5000);
    if ((chance >> 20) % 3 == 0) {
      cache.erase(name, Type::A);
      model.erase(name);
    } else {
      const MonoTime expires{Duration{step + 1}};
      cache.insert(Rrset::of_nothing(name, Type::A, Rrset::Kind::NoData, expires));
      model[name] = expires;
    }
  }
  ASSERT_EQ(cache.entries(), model.size());
  for (int i = 0; i < 5000; ++i) {
    const std::string name = "n" + std::to_string(i);
    const RrsetRef found = cache.find_any(name, Type::A);
    const auto expected = model.find(name);
    ASSERT_EQ(static_cast<bool>(found), expected != model.end()) << name;
    if (found) {
      ASSERT_EQ(found->expires(), expected->second);
    }
    ASSERT_FALSE(cache.find_any(name, Type::Mx));
  }
}

TEST(RrsetTest, PacksAndUnpacks) {
  const MonoTime later{1h};
  const std::vector<Record> mx = {{"d", Type::Mx, 1, 5s, net::dns::MxData{20, "b.example"}},
                                  {"d", Type::Mx, 1, 5s, net::dns::MxData{10, "a.example"}},
                                  {"d", Type::Mx, 1, 5s, net::dns::MxData{10, "a.example"}},
                                  {"d", Type::Mx, 1, 5s, net::dns::MxData{5, "bad\\032name"}},
                                  {"d", Type::A, 1, 5s, *IpAddress::parse("192.0.2.1")}};
  const RrsetRef set = Rrset::of_records("d", Type::Mx, mx, later);
  ASSERT_EQ(set->count(), 3u) << "doubles and other types are left out";
  std::size_t cursor = 0;
  Rrset::Mx out;
  ASSERT_TRUE(set->next_mx(cursor, out));
  EXPECT_EQ(out.host, "bad\\032name");
  ASSERT_TRUE(set->next_mx(cursor, out));
  EXPECT_EQ(out.host, "a.example");
  ASSERT_TRUE(set->next_mx(cursor, out));
  EXPECT_EQ(out.host, "b.example");
  EXPECT_EQ(out.preference, 20);
  EXPECT_FALSE(set->next_mx(cursor, out));

  const std::vector<Record> six = {
      {"d", Type::Aaaa, 1, 5s, *IpAddress::parse("2001:db8::1")},
      {"d", Type::Aaaa, 1, 5s, IpAddress::from_v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4})}};
  const RrsetRef addresses = Rrset::of_records("d", Type::Aaaa, six, later);
  ASSERT_EQ(addresses->count(), 1u) << "a mapped address is no IPv6 host";
  EXPECT_EQ(addresses->address(0).text(), "2001:db8::1");
  EXPECT_EQ(Rrset::of_records("d", Type::A, mx, later)->address(0).text(), "192.0.2.1");
  EXPECT_EQ(Rrset::of_records("d", Type::Txt, mx, later)->kind(), Rrset::Kind::NoData);
}

// SPF records of large senders name hundreds of addresses, and a record may stand behind many others.
TEST(RrsetTest, HoldsWhatAMessageCanCarry) {
  std::vector<Record> many;
  for (unsigned i = 0; i < 2000; ++i) {
    const auto octet = [i](unsigned shift) { return static_cast<std::uint8_t>(i >> shift); };
    many.push_back({"d", Type::A, 1, 5s, IpAddress::from_v4({192, 0, octet(8), octet(0)})});
  }
  const RrsetRef addresses = Rrset::of_records("d", Type::A, many, MonoTime{1h});
  ASSERT_EQ(addresses->count(), 2000u);
  EXPECT_EQ(addresses->address(1999).text(), "192.0.7.207");
  std::vector<Record> large(4000, {"d", Type::Txt, 1, 5s, net::dns::RawData{std::vector<std::byte>(200)}});
  EXPECT_LE(Rrset::of_records("d", Type::Txt, large, MonoTime{1h})->count() * 202, Rrset::kPayloadBytesMax);
  const std::vector<Record> escaped = {{"d", Type::Mx, 1, 5s, net::dns::MxData{5, std::string(400, 'x')}}};
  const RrsetRef set = Rrset::of_records("d", Type::Mx, escaped, MonoTime{1h});
  std::size_t cursor = 0;
  Rrset::Mx out;
  ASSERT_TRUE(set->next_mx(cursor, out));
  EXPECT_EQ(out.host, Rrset::kNoHost);
}

}  // namespace
}  // namespace sluice::resolver
