// Goal: the end of a message, its id and its body's hash are found, whatever the pieces it comes in.
// How: each text at every piece size from 1 on; the result must be the same.
#include "bench/sink/message_intake.h"

#include <gtest/gtest.h>

#include "bench/lib/hash.h"

namespace sluice::bench {
namespace {

struct Seen {
  std::string id;
  std::uint64_t body_bytes = 0;
  std::uint64_t body_hash = 0;
  bool ended = false;
  bool bare = false;
  std::size_t taken = 0;
  friend bool operator==(const Seen&, const Seen&) = default;
};

Seen feed(std::string_view text, std::size_t piece, MessageIntake::Framing framing) {
  MessageIntake intake;
  intake.begin(framing);
  Seen seen;
  while (!text.empty() && !intake.ended()) {
    const std::size_t taken = intake.take(text.substr(0, piece));
    seen.taken += taken;
    text.remove_prefix(taken);
  }
  seen.id = intake.id();
  seen.body_bytes = intake.body_bytes();
  seen.body_hash = intake.body_hash();
  seen.ended = intake.ended();
  seen.bare = intake.bare_line_end();
  return seen;
}

constexpr auto kDot = MessageIntake::Framing::Dot;

TEST(MessageIntake, SameAtEveryPieceSize) {
  const std::string_view texts[] = {
      "Subject: x\r\nMessage-ID: <a@b>\r\n\r\nbody\r\n..dotted\r\n.\r\n",
      "Message-ID:\r\n <folded@b>\r\nX: y\r\n\r\n.x\r\n.\r\nMAIL FROM:<>\r\n",
      "X-Sluice-Load-Id: ours\r\nMessage-ID: <theirs@b>\r\n\r\n\r\n.\r\n",
      "\r\nno header at all\r\n.\r\n",
      "Subject: bare\r\n\r\nline\nend\rhere\r\n.\r\n",
      "Subject: smuggle\r\n\r\nx\n.\r\nstill the body\r\n.\n still\r\n.\r\n",
      ".\r\n",
  };
  for (const std::string_view text : texts) {
    const Seen whole = feed(text, text.size(), kDot);
    EXPECT_TRUE(whole.ended) << text;
    for (std::size_t piece = 1; piece < text.size(); ++piece) {
      EXPECT_EQ(feed(text, piece, kDot), whole) << text << " in pieces of " << piece;
    }
  }
}

TEST(MessageIntake, DotsAreRemovedAndTheBodyIsHashed) {
  const Seen seen = feed("Message-Id: <a@b>\r\n\r\nbody\r\n..dotted\r\n.\r\nrest", 1000, kDot);
  const std::string_view body = "body\r\n.dotted\r\n";
  EXPECT_EQ(seen.id, "a@b");
  EXPECT_EQ(seen.body_bytes, body.size());
  EXPECT_EQ(seen.body_hash, hash_of(body));
  EXPECT_FALSE(seen.bare);
}

TEST(MessageIntake, ChunkedKeepsDotsAndNeverEnds) {
  const std::string_view text = "Message-ID: <a@b>\r\n\r\n.body\r\n.\r\n";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    const Seen seen = feed(text, piece, MessageIntake::Framing::Counted);
    EXPECT_FALSE(seen.ended);
    EXPECT_EQ(seen.body_hash, hash_of(".body\r\n.\r\n")) << piece;
    EXPECT_FALSE(seen.bare) << piece;
  }
}

TEST(MessageIntake, OnlyCrLfDotCrLfEnds) {
  for (const std::string_view ending : {"\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r"}) {
    const std::string text = "A: b\r\n\r\nbody" + std::string(ending) + "more";
    const Seen seen = feed(text, text.size(), kDot);
    EXPECT_FALSE(seen.ended) << text;
    EXPECT_TRUE(seen.bare) << text;
  }
}

TEST(MessageIntake, AnEndlessHeaderLineIsBounded) {
  const std::string text =
      "Subject: " + std::string(1 << 20, 'x') + "\r\nMessage-ID: <a@b>\r\n\r\nbody\r\n.\r\n";
  EXPECT_EQ(feed(text, 1000, kDot).id, "a@b");
}

TEST(MessageIntake, IsReusable) {
  MessageIntake intake;
  for (int i = 0; i < 3; ++i) {
    intake.begin(kDot);
    const std::string_view text = "Message-ID: <a@b>\r\n\r\nbody\r\n.\r\n";
    EXPECT_EQ(intake.take(text), text.size());
    EXPECT_EQ(intake.id(), "a@b");
    EXPECT_EQ(intake.body_hash(), hash_of("body\r\n"));
  }
}

}  // namespace
}  // namespace sluice::bench
