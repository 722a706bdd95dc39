// Goal: AUTH and STARTTLS on both sides: right dialogues, nothing said in plain survives the handshake,
// secrets only where they are allowed.
// How: dialogues in fragments; the client's SASL against the server's; the sample of RFC 2195.

#include <gtest/gtest.h>

#include "net/smtp/sasl_client.h"
#include "policy/base/base64.h"
#include "tests/net/smtp/client_script.h"
#include "tests/net/smtp/server_rig.h"

namespace sluice::net::test {
namespace {

TEST(Base64, Table) {
  // RFC 4648 10.
  const std::pair<const char*, const char*> rows[] = {{"", ""},
                                                      {"f", "Zg=="},
                                                      {"fo", "Zm8="},
                                                      {"foo", "Zm9v"},
                                                      {"foob", "Zm9vYg=="},
                                                      {"fooba", "Zm9vYmE="},
                                                      {"foobar", "Zm9vYmFy"},
                                                      {"\xff\xfe", "//4="}};
  for (const auto& [plain, coded] : rows) {
    EXPECT_EQ(encode_base64(plain), coded);
    EXPECT_EQ(decode_base64(coded), plain);
  }
  for (const char* bad :
       {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm 9", "Zm9v\n", "Zg==Zg==", "Zm9-"}) {
    EXPECT_FALSE(decode_base64(bad)) << bad;
  }
}

TEST(Sasl, CramMd5OfRfc2195) {
  EXPECT_EQ(cram_md5_hex("tanstaaftanstaaf", "<1896.697170952@postoffice.reston.mci.net>"),
            "b913a602c7eda7a495b4e6e7334d3890");
}

TEST(Sasl, WhatTheServerReads) {
  using Outcome = SaslServer::Outcome;
  using Mechanism = SaslMechanism;
  const auto plain = [](std::string_view text) {
    SaslServer sasl(Mechanism::Plain, {});
    return sasl.begin(encode_base64(text)) == Outcome::Claimed
               ? sasl.claim().authorization + "|" + sasl.claim().user + "|" + sasl.claim().password
               : std::string("malformed");
  };
  using namespace std::string_view_literals;
  EXPECT_EQ(plain("\0joe\0secret"sv), "|joe|secret");
  EXPECT_EQ(plain("boss\0joe\0"sv), "boss|joe|");
  EXPECT_EQ(plain("joe\0secret"sv), "malformed");
  EXPECT_EQ(plain("\0\0secret"sv), "malformed");
  EXPECT_EQ(plain("\0joe\0sec\0ret"sv), "malformed");
  EXPECT_EQ(plain(""), "malformed");

  SaslServer asks(Mechanism::Plain, {});
  EXPECT_EQ(asks.begin(std::nullopt), Outcome::Challenge);
  EXPECT_EQ(asks.challenge(), "");
  EXPECT_EQ(asks.step("*"), Outcome::Cancelled);
  EXPECT_EQ(SaslServer(Mechanism::Plain, {}).begin("no base64"), Outcome::Malformed);
  EXPECT_EQ(SaslServer(Mechanism::Plain, {}).begin("="), Outcome::Malformed);
  EXPECT_EQ(SaslServer(Mechanism::CramMd5, "<x>").begin("eA=="), Outcome::Malformed);

  const auto cram = [](std::string_view text) {
    SaslServer sasl(Mechanism::CramMd5, "<x>");
    EXPECT_EQ(sasl.begin(std::nullopt), Outcome::Challenge);
    return sasl.step(encode_base64(text)) == Outcome::Claimed
               ? sasl.claim().user + "|" + sasl.claim().digest_hex
               : std::string("malformed");
  };
  const std::string digest = "b913a602c7eda7a495b4e6e7334d3890";
  EXPECT_EQ(cram("tim " + digest), "tim|" + digest);
  EXPECT_EQ(cram("t i m B913A602C7EDA7A495B4E6E7334D3890"), "t i m|" + digest);
  EXPECT_EQ(cram(digest), "malformed");
  EXPECT_EQ(cram(" " + digest), "malformed");
  EXPECT_EQ(cram("tim " + digest + "0"), "malformed");
  EXPECT_EQ(cram("tim " + digest.substr(1) + "g"), "malformed");
}

/// Knows one user; remembers what was claimed.
class Guard {
 public:
  explicit Guard(ServerSettings settings, std::size_t fragment = SIZE_MAX)
      : rig(std::move(settings), fragment) {
    rig.log.judge = [this](const SaslClaim& claim, std::string_view challenge) {
      claimed = std::string(name_of(claim.mechanism)) + " " + claim.user;
      const bool right = claim.mechanism == SaslMechanism::CramMd5
                             ? claim.digest_hex == cram_md5_hex("secret", challenge)
                             : claim.password == "secret";
      return right ? Answer::accept() : Answer::reply(535, "5.7.8 no");
    };
    rig.server.start();
    rig.output();
  }
  ServerRig rig;
  std::string claimed;
};

ServerSettings with_auth() {
  ServerSettings settings = test_settings();
  settings.auth = settings.auth_with_tls = {.plain = true, .login = true, .cram_md5 = true};
  settings.cram_nonce = "nonce";
  return settings;
}

TEST(ServerAuth, ClientAndServerAgree) {
  for (const std::size_t fragment : {SIZE_MAX, std::size_t{1}}) {
    for (const SaslMechanisms offered : {SaslMechanisms{.plain = true}, SaslMechanisms{.login = true},
                                         SaslMechanisms{.plain = true, .login = true, .cram_md5 = true}}) {
      for (const bool right : {true, false}) {
        ServerSettings settings = test_settings();
        settings.auth = offered;
        settings.cram_nonce = "nonce";
        Guard guard(settings, fragment);
        SaslClient sasl({.user = "joe", .password = right ? "secret" : "guess", .plain_unencrypted = true});
        ClientScript client({}, {.in = fragment}, &sasl);
        client.server("220 x\r\n");
        for (std::string sent = client.sent(); !sent.empty(); sent = client.sent()) {
          guard.rig.client(sent);
          client.server(guard.rig.output());
        }
        const char* name = offered.cram_md5 ? "CRAM-MD5 joe" : offered.plain ? "PLAIN joe" : "LOGIN joe";
        EXPECT_EQ(guard.claimed, name);
        EXPECT_EQ(client.events(), right ? "ready\n" : "over refused at AUTH 535\n");
        EXPECT_EQ(guard.rig.server.authenticated(), right);
      }
    }
  }
}

TEST(ServerAuth, Dialogue) {
  Guard guard(with_auth());
  ServerRig& rig = guard.rig;
  rig.client("AUTH PLAIN\r\nHELO c\r\nAUTH PLAIN\r\n");
  EXPECT_EQ(rig.output(), "503 5.5.1 EHLO first\r\n250 mta.example says hello\r\n503 5.5.1 EHLO first\r\n");
  rig.client("EHLO c\r\n");
  EXPECT_NE(rig.output().find("250-AUTH CRAM-MD5 LOGIN PLAIN\r\n"), std::string::npos);
  rig.client("AUTH LOGIN\r\n");
  EXPECT_EQ(rig.output(), "334 VXNlcm5hbWU6\r\n");
  rig.client("am9l\r\n");
  EXPECT_EQ(rig.output(), "334 UGFzc3dvcmQ6\r\n");
  rig.client("*\r\n");
  EXPECT_EQ(rig.output(), "501 5.7.0 authentication cancelled\r\n");
  rig.client("AUTH PLAIN ***\r\nAUTH XOAUTH2 x\r\nAUTH\r\n");
  EXPECT_EQ(rig.output(),
            "501 5.5.2 cannot decode the response\r\n504 5.5.4 authentication mechanism not offered\r\n"
            "504 5.5.4 authentication mechanism not offered\r\n");
  rig.client("AUTH CRAM-MD5\r\n*\r\nAUTH CRAM-MD5\r\n*\r\n");
  EXPECT_EQ(rig.output(), "334 " + encode_base64("<3.nonce@mta.example>") +
                              "\r\n501 5.7.0 authentication cancelled\r\n334 " +
                              encode_base64("<4.nonce@mta.example>") +
                              "\r\n501 5.7.0 authentication cancelled\r\n");
  rig.client("MAIL FROM:<a@x>\r\nAUTH PLAIN AGpvZQBzZWNyZXQ=\r\nRSET\r\n");
  EXPECT_EQ(rig.output(),
            "250 2.1.0 MAIL ok\r\n503 5.5.1 AUTH not allowed in a mail transaction\r\n250 2.0.0 ok\r\n");
  rig.client("AUTH PLAIN AGpvZQBzZWNyZXQ=\r\nAUTH PLAIN AGpvZQBzZWNyZXQ=\r\n");
  EXPECT_EQ(rig.output(), "235 2.7.0 authentication successful\r\n503 5.5.1 already authenticated\r\n");
}

TEST(ServerAuth, GuessingEndsTheSession) {
  ServerSettings settings = with_auth();
  settings.bad_commands_max = 2;
  Guard guard(settings);
  guard.rig.client("EHLO c\r\n");
  guard.rig.output();
  for (int i = 0; i < 3; ++i) guard.rig.client("AUTH PLAIN AGpvZQB3cm9uZw==\r\n");
  EXPECT_EQ(guard.rig.output(),
            "535 5.7.8 no\r\n535 5.7.8 no\r\n421 4.7.0 mta.example too many errors, closing connection\r\n");
}

TEST(ServerAuth, NotOfferedOrOnlyUnderTls) {
  Guard none(test_settings());
  none.rig.client("EHLO c\r\n");
  EXPECT_EQ(none.rig.output().find("AUTH"), std::string::npos);
  none.rig.client("AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n");
  EXPECT_EQ(none.rig.output(), "502 5.5.1 command not offered\r\n");
  EXPECT_EQ(none.claimed, "");

  ServerSettings settings = with_auth();
  settings.auth = {.cram_md5 = true};
  Guard guard(settings);
  guard.rig.client("EHLO c\r\nAUTH PLAIN AGpvZQBzZWNyZXQ=\r\n");
  const std::string said = guard.rig.output();
  EXPECT_NE(said.find("250-AUTH CRAM-MD5\r\n"), std::string::npos);
  EXPECT_TRUE(said.ends_with("538 5.7.11 encryption required for this mechanism\r\n"));
}

TEST(ServerAuth, LateAnswerAndLongLine) {
  Guard guard(with_auth());
  ServerRig& rig = guard.rig;
  rig.client("EHLO c\r\n");
  rig.output();
  rig.log.judge = [](const SaslClaim&, std::string_view) { return Answer::later(); };
  rig.client("AUTH PLAIN AGpvZQBzZWNyZXQ=\r\nNOOP\r\n");
  EXPECT_EQ(rig.output(), "");
  rig.server.answer(Answer::accept());
  EXPECT_EQ(rig.output(), "235 2.7.0 authentication successful\r\n250 2.0.0 ok\r\n");

  Guard other(with_auth());
  other.rig.client("EHLO c\r\nAUTH LOGIN\r\n");
  other.rig.output();
  other.rig.client(std::string(5000, 'A') + "\r\nNOOP\r\n");
  EXPECT_EQ(other.rig.output(), "500 5.5.2 line too long\r\n250 2.0.0 ok\r\n");
}

TEST(ServerTls, PlainTextBehindStartTlsIsThrownAway) {
  ServerSettings settings = with_auth();
  settings.offer_starttls = true;
  settings.auth = {};
  for (const std::size_t fragment : {SIZE_MAX, std::size_t{1}, std::size_t{9}}) {
    ServerRig rig(settings, fragment);
    rig.server.start();
    rig.output();
    rig.client("EHLO c\r\n");
    const std::string plain = rig.output();
    EXPECT_NE(plain.find("250-STARTTLS\r\n"), std::string::npos);
    EXPECT_EQ(plain.find("AUTH"), std::string::npos);
    rig.log.take();
    rig.client("MAIL FROM:<a@x>\r\nSTARTTLS\r\nEHLO injected\r\nMAIL FROM:<evil@x>\r\n");
    EXPECT_FALSE(rig.server.wants_tls());  // the 220 is not sent yet
    EXPECT_FALSE(rig.server.wants_input());
    EXPECT_EQ(rig.output(), "250 2.1.0 MAIL ok\r\n220 2.0.0 ready to start TLS\r\n");
    EXPECT_TRUE(rig.server.wants_tls());
    rig.client("more plain text\r\n");
    rig.server.on_tls_ready();
    EXPECT_EQ(rig.output(), "");
    EXPECT_EQ(rig.log.take(), "mail a@x\nreset\n");
    rig.client("MAIL FROM:<a@x>\r\n");
    EXPECT_EQ(rig.output(), "503 5.5.1 EHLO or HELO first\r\n");
    rig.client("EHLO c\r\n");
    const std::string secure = rig.output();
    EXPECT_EQ(secure.find("STARTTLS"), std::string::npos);
    EXPECT_NE(secure.find("250-AUTH CRAM-MD5 LOGIN PLAIN\r\n"), std::string::npos);
    rig.client("STARTTLS\r\n");
    EXPECT_EQ(rig.output(), "503 5.5.1 TLS is active already\r\n");
  }
}

TEST(ServerTls, WaitsForUnansweredMessages) {
  ServerSettings settings = test_settings();
  settings.offer_starttls = true;
  ServerRig rig(settings);
  rig.greet();
  rig.log.decide = [](std::string_view what) {
    return what.starts_with("end") ? Answer::later() : Answer::accept();
  };
  rig.client("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 0 LAST\r\nSTARTTLS\r\n");
  rig.output();
  EXPECT_FALSE(rig.server.wants_tls());
  rig.server.answer_message(MessageSeq(1), Answer::accept());
  EXPECT_EQ(rig.output(), "250 2.6.0 message received\r\n220 2.0.0 ready to start TLS\r\n");
  EXPECT_TRUE(rig.server.wants_tls());
}

TEST(ServerTls, FromTheBeginning) {
  ServerSettings settings = with_auth();
  settings.offer_starttls = true;
  ServerRig rig(settings);
  rig.server.on_tls_ready();
  rig.server.start();
  rig.client("EHLO c\r\n");
  const std::string said = rig.output();
  EXPECT_TRUE(said.starts_with("220 mta.example"));
  EXPECT_EQ(said.find("STARTTLS"), std::string::npos);
}

TEST(Server, ChangedSettings) {
  ServerRig rig;
  rig.greet();
  ServerSettings settings = test_settings();
  settings.host = "ignored";
  settings.message_bytes_max = 7;
  rig.server.change_settings(settings);
  rig.client("EHLO c\r\n");
  const std::string said = rig.output();
  EXPECT_TRUE(said.starts_with("250-mta.example says hello\r\n"));
  EXPECT_NE(said.find("250-SIZE 7\r\n"), std::string::npos);
}

TEST(SaslClient, ShowsPasswordsOnlyWhereAllowed) {
  const auto begin = [](std::uint8_t offered, SaslClient::Settings settings) {
    settings.user = "joe";
    settings.password = "secret";
    SaslClient sasl(settings);
    Capabilities capabilities;
    capabilities.auth.bits = offered;
    return std::string(sasl.begin(capabilities));
  };
  const std::uint8_t both = AuthMechanisms::kPlain | AuthMechanisms::kLogin;
  EXPECT_EQ(begin(both, {}), "");
  EXPECT_EQ(begin(both, {.encrypted = true}), "AUTH PLAIN AGpvZQBzZWNyZXQ=");
  EXPECT_EQ(begin(both, {.plain_unencrypted = true}), "AUTH PLAIN AGpvZQBzZWNyZXQ=");
  EXPECT_EQ(begin(AuthMechanisms::kLogin, {.encrypted = true}), "AUTH LOGIN");
  EXPECT_EQ(begin(both | AuthMechanisms::kCramMd5, {}), "AUTH CRAM-MD5");
  EXPECT_EQ(begin(0, {.encrypted = true}), "");
}

TEST(SaslClient, EndlessChallenges) {
  SaslClient sasl({.user = "joe", .password = "x", .encrypted = true});
  ClientScript script({}, {}, &sasl);
  script.server("220 x\r\n");
  script.sent();
  script.server("250-x\r\n250 AUTH LOGIN\r\n");
  for (std::uint32_t i = 0; i <= Client::kAuthRoundsMax; ++i) {
    script.sent();
    script.server("334 eA==\r\n");
  }
  EXPECT_EQ(script.events(), "over protocol error at AUTH 0\n");
}

}  // namespace
}  // namespace sluice::net::test
