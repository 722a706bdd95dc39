// Goal: answers for programs have PowerMTA's layouts, whatever stands in them.
// How: one tree with every kind of node, in the three forms; texts and errors in the same frames.
#include "engine/control/tree.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "engine/control/command.h"

namespace sluice::control {
namespace {

std::shared_ptr<Tree> sample() {
  auto tree = std::make_shared<Tree>();
  tree->add_text("title", "a <b> & \"c\"\\");
  for (const char* name : {"one", "two"}) {
    Tree& queue = tree->add_item("queue");
    queue.add_text("name", name);
    queue.add_number("rcp", 3);
    queue.add_item("event").add_text("text", "line\nend");
    queue.add_item("event").add_text("text", "");
  }
  tree->add("conn").add("out").add_flag("busy", true);
  tree->add("none");
  return tree;
}

TEST(Tree, Xml) {
  EXPECT_EQ(
      sample()->xml(),
      "<rsp><data><title>a &lt;b&gt; &amp; \"c\"\\</title>"
      "<queue><name>one</name><rcp>3</rcp><event><text>line\nend</text></event><event><text></text></event>"
      "</queue><queue><name>two</name><rcp>3</rcp><event><text>line\nend</text></event><event><text></text>"
      "</event></queue><conn><out><busy>1</busy></out></conn><none></none></data><succ/></rsp>\n");
}

TEST(Tree, Json) {
  EXPECT_EQ(
      sample()->json(),
      R"({"data":{"title":"a <b> & \"c\"\\","queue":[{"name":"one","rcp":3,"event":[{"text":"line\nend"},)"
      R"({"text":""}]},{"name":"two","rcp":3,"event":[{"text":"line\nend"},{"text":""}]}],)"
      R"("conn":{"out":{"busy":true}},"none":{}},"status":"success","message":""})"
      "\n");
}

TEST(Tree, Dom) {
  EXPECT_EQ(sample()->dom(),
            "title=\"a <b> & \"c\"\\\"\n"
            "queue[0].name=\"one\"\nqueue[0].rcp=\"3\"\nqueue[0].event[0].text=\"line\nend\"\n"
            "queue[0].event[1].text=\"\"\n"
            "queue[1].name=\"two\"\nqueue[1].rcp=\"3\"\nqueue[1].event[0].text=\"line\nend\"\n"
            "queue[1].event[1].text=\"\"\n"
            "conn.out.busy=\"1\"\n");
}

TEST(Tree, StreamsAreTheSameAsWholeTrees) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    std::minstd_rand random(seed + 1);
    Tree whole;
    std::vector<Tree> parts(1);
    const auto add = [&](const std::function<void(Tree&)>& child) {
      child(whole);
      child(parts.back());
      if (random() % 3 == 0) parts.emplace_back();
    };
    for (const char* name : {"a", "b", "c", "d"}) {
      const bool is_list = random() % 2 == 0;
      for (std::size_t i = random() % 4; is_list && i > 0; --i) {
        const std::uint64_t number = random();
        add([&](Tree& to) { to.add_item(name).add_number("n", number); });
      }
      if (!is_list) add([&](Tree& to) { to.add_text(name, "x\"<"); });
    }
    const auto streamed = [&](TreeFormat format) {
      std::string out;
      TreeStream stream(format);
      stream.begin(out);
      for (const Tree& part : parts) stream.add(out, part);
      stream.end(out);
      return out;
    };
    EXPECT_EQ(streamed(TreeFormat::Xml), whole.xml()) << "seed " << seed;
    EXPECT_EQ(streamed(TreeFormat::Json), whole.json()) << "seed " << seed;
    EXPECT_EQ(streamed(TreeFormat::Dom), whole.dom()) << "seed " << seed;
  }
}

TEST(Tree, AnswersComeAsAskedFor) {
  const auto form = [](const char* option, Answer answer) {
    return in_format(*Command::of({option, "show", "x"}), std::move(answer)).text;
  };
  const Answer both{true, "text\n", sample()};
  EXPECT_EQ(form("--xml", both), sample()->xml());
  EXPECT_EQ(form("--json", both), sample()->json());
  EXPECT_EQ(form("--dom", both), sample()->dom());
  EXPECT_EQ(form("--errors", both), "text\n");
  EXPECT_EQ(form("--xml", {true, "done <1>\n"}), "<rsp><data>done &lt;1&gt;</data><succ/></rsp>\n");
  EXPECT_EQ(form("--json", {true, "done\n"}),
            "{\"data\":\"done\",\"status\":\"success\",\"message\":\"\"}\n");
  EXPECT_EQ(form("--xml", Answer::error("no\x01\n")), "<rsp><error>no?</error></rsp>\n");
  EXPECT_EQ(form("--json", Answer::error("no\x01\n")),
            "{\"data\":\"\",\"status\":\"error\",\"message\":\"no\\u0001\"}\n");
  EXPECT_EQ(form("--dom", Answer::error("no\n")), "no\n");
}

}  // namespace
}  // namespace sluice::control
