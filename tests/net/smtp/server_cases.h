#pragma once
// Written-down dialogues of the server and what plays them, in fragments of every size.

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/net/smtp/server_rig.h"

namespace sluice::net::test {

struct Case {
  const char* name;
  std::string input;
  std::string want_output;
  std::string want_events;
  bool want_close = false;
  ServerSettings settings = test_settings();
  std::function<Answer(std::string_view)> decide = nullptr;
};

inline void play(const Case& item, std::size_t fragment, bool greeted) {
  SCOPED_TRACE(std::string(item.name) + " fragment=" + std::to_string(fragment));
  ServerRig rig(item.settings, fragment);
  if (greeted) {
    rig.greet();
  } else {
    rig.server.start();
    rig.output();
  }
  rig.log.decide = item.decide;
  rig.client(item.input);
  ASSERT_EQ(rig.output(), item.want_output);
  ASSERT_EQ(rig.log.take(), item.want_events);
  ASSERT_EQ(rig.server.wants_close(), item.want_close);
}

inline void play_all(const std::vector<Case>& cases, bool greeted = true) {
  for (const Case& item : cases) {
    for (std::size_t fragment = 1; fragment <= item.input.size(); ++fragment) {
      play(item, fragment, greeted);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

inline const std::string kMail = "MAIL FROM:<a@x.example>\r\n";
inline const std::string kRcpt = "RCPT TO:<b@y.example>\r\n";
inline const std::string kMailOk = "250 2.1.0 MAIL ok\r\n";
inline const std::string kRcptOk = "250 2.1.5 <b@y.example> ok\r\n";
inline const std::string kGo = "354 send message\r\n";
inline const std::string kDone = "250 2.6.0 message received\r\n";
inline const std::string kOk = "250 2.0.0 ok\r\n";
inline const std::string kBegun = "mail a@x.example\nrcpt b@y.example\ndata 1\n";

inline Answer no(std::uint16_t code) { return Answer::reply(code, "5.7.1 no"); }

}  // namespace sluice::net::test
