#pragma once
// Written-down conversations of the client and what plays them, in fragments of many sizes.

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/net/smtp/client_script.h"

namespace sluice::net::test {

/// One step: exactly one of the texts is used. `add`: tags of mails to add, from the case's list.
struct Step {
  enum class Do { Server, Sent, Events, Add, Quit, TlsReady, Close } what;
  std::string text;
  std::uint64_t tag = 0;
};
inline Step server(std::string_view text) { return {Step::Do::Server, std::string(text)}; }
inline Step sent(std::string_view text) { return {Step::Do::Sent, std::string(text)}; }
inline Step events(std::string_view text) { return {Step::Do::Events, std::string(text)}; }
inline Step add(std::uint64_t tag) { return {Step::Do::Add, {}, tag}; }
inline Step quit() { return {Step::Do::Quit, {}}; }
inline Step tls_ready() { return {Step::Do::TlsReady, {}}; }
inline Step closed() { return {Step::Do::Close, {}}; }

struct Case {
  const char* name;
  std::vector<Step> steps;
  ClientSettings settings = {};
  std::vector<Mail> mails = {{.tag = 1}, {.tag = 2}, {.tag = 3}};
};

inline void play(const Case& item, Fragments fragments) {
  SCOPED_TRACE(std::string(item.name) + " in=" + std::to_string(fragments.in) +
               " out=" + std::to_string(fragments.out));
  ClientScript script(item.settings, fragments);
  for (std::size_t i = 0; i < item.steps.size(); ++i) {
    SCOPED_TRACE("step " + std::to_string(i));
    const Step& step = item.steps[i];
    switch (step.what) {
      case Step::Do::Server: script.server(step.text); break;
      case Step::Do::Sent: ASSERT_EQ(script.sent(), step.text); break;
      case Step::Do::Events: ASSERT_EQ(script.events(), step.text); break;
      case Step::Do::Add: ASSERT_EQ(script.add(item.mails[step.tag - 1]), Client::Add::Accepted); break;
      case Step::Do::Quit: script.client().quit(); break;
      case Step::Do::TlsReady: script.client().on_tls_ready(); break;
      case Step::Do::Close: script.client().on_closed(Client::Unconsumed::NotSent); break;
    }
  }
}

inline void play_all(const std::vector<Case>& cases) {
  for (const Case& item : cases) {
    for (const std::size_t in :
         {SIZE_MAX, std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{7}, std::size_t{16}}) {
      for (const std::size_t out : {SIZE_MAX, std::size_t{1}, std::size_t{5}}) {
        play(item, {in, out});
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

inline std::vector<Step> after_hello(std::string_view ehlo, std::vector<Step> rest) {
  std::vector<Step> steps = {server(kGreeting), sent("EHLO me.example\r\n"), server(ehlo), events("ready\n")};
  steps.insert(steps.end(), rest.begin(), rest.end());
  return steps;
}

inline const std::string kHello = "EHLO me.example\r\n";
inline const std::string kMail1 = "MAIL FROM:<a@x.example>\r\n";
inline const std::string kRcpt1 = "RCPT TO:<b@y.example>\r\n";
inline const std::string kGroup = kMail1 + kRcpt1 + "DATA\r\n";
inline const std::string kBdat = kMail1 + kRcpt1 + "BDAT 4 LAST\r\nHi\r\n";
inline const Mail kTwo{.tag = 1, .recipients = {"b@y.example", "c@y.example"}};
inline const std::string kRcpt2 = "RCPT TO:<c@y.example>\r\n";

}  // namespace sluice::net::test
