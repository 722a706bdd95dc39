// Goal: records and answers of strangers cannot break the check, nor make it ask more than its limit. How:
// the input is cut into answers, one for each question; the first byte of each says what kind it is.

#include <cstdint>
#include <string>
#include <string_view>

#include "policy/base/assert.h"
#include "policy/base/dns_name.h"
#include "policy/spf/check.h"
#include "policy/spf/iprev.h"

namespace {

using sluice::spf::DnsAnswer;

/// Takes the next answer, of up to the next zero byte, off the input.
DnsAnswer take_answer(std::string_view& input, const sluice::IpAddress& client) {
  DnsAnswer out;
  const std::string_view one = input.substr(0, input.find('\0'));
  input.remove_prefix(one.size() < input.size() ? one.size() + 1 : one.size());
  if (one.empty()) {
    out.kind = DnsAnswer::Kind::NoDomain;
    return out;
  }
  switch (one.front() & 3) {
    case 0: out.kind = DnsAnswer::Kind::Failure; return out;
    case 1: out.kind = DnsAnswer::Kind::NoData; return out;
    default: break;
  }
  out.kind = DnsAnswer::Kind::Records;
  if ((one.front() & 4) != 0) out.addresses.push_back(client);
  if ((one.front() & 8) != 0) out.addresses.emplace_back();
  std::string_view rest = one.substr(1);
  while (!rest.empty()) {
    const std::string_view text = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(text.size() < rest.size() ? text.size() + 1 : text.size());
    out.texts.emplace_back((one.front() & 16) != 0 ? "v=spf1 " + std::string(text) : std::string(text));
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice::spf;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.empty()) return 0;
  const bool v6 = (input.front() & 1) != 0;
  const auto client = *sluice::IpAddress::parse(v6 ? "2001:db8::7" : "192.0.2.7");
  const std::string sender =
      (input.front() & 2) != 0 ? "" : "joe@" + std::string(input.substr(1, 20)) + ".example";
  {
    std::string_view answers = input;
    Check check(client, identity_of("mail.example", sender), {.wants_explanation = true, .receiver = "us"});
    std::size_t asked = 0;
    while (const Question* question = check.question()) {
      SLUICE_ASSERT(++asked <= Check::kQuestionsMax && sluice::is_plain_dns_name(question->name));
      if (asked == 50 && (input.front() & 4) != 0) {
        check.give_up();
        break;
      }
      check.answer(take_answer(answers, client));
    }
    for (const char c : check.outcome().explanation) SLUICE_ASSERT(c >= ' ' && c <= '~');
  }
  ClientNames names(client);
  std::size_t asked = 0;
  while (names.question() != nullptr) {
    SLUICE_ASSERT(++asked <= 1 + ClientNames::kNamesMax);
    names.answer(take_answer(input, client));
  }
  (void)judge_iprev(names);
  return 0;
}
