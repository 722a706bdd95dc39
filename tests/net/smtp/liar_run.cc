#include "tests/net/smtp/liar_run.h"

#include <array>

#include "tests/net/smtp/liar_connection.h"

namespace sluice::net::test {

void LiarRun::run() {
  for (std::uint32_t id = 1; id <= kMessages; ++id) waiting_.push_back(make_mail(id));
  while (!waiting_.empty() && faults_.empty()) {
    transcript_.clear();
    LiarConnection(*this).play();
  }
}

LiarMail LiarRun::make_mail(std::uint32_t id) {
  LiarMail mail{.id = id};
  const std::uint64_t recipients = 1 + (chance_.chance(0.5) ? chance_.below(4) : 0);
  for (std::uint32_t i = 0; i < recipients; ++i) mail.open.insert(i);
  constexpr std::array<std::string_view, 9> kLines = {
      "text\r\n",       ".\r\n",      "..\r\n",
      ".dot\r\n",       "\r\n",       "a much longer line of text than the others\r\n",
      "look: QUIT\r\n", "250 ok\r\n", "x\r\n"};
  const std::uint64_t lines = chance_.below(chance_.chance(0.2) ? 30 : 5);
  for (std::uint64_t i = 0; i < lines; ++i) mail.text += kLines[chance_.below(kLines.size())];
  return mail;
}

}  // namespace sluice::net::test
