#pragma once
// A zone as text, and checks run against it.

#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "policy/spf/check.h"

namespace sluice::spf::test {

/// Lines "NAME TYPE VALUE"; type FAIL with value "TXT" and the like: that question fails. TXT values go to
/// the end of the line. Names that nothing is known of do not exist.
class Zone {
 public:
  explicit Zone(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string name, type, value;
      words >> name >> type >> std::ws;
      std::getline(words, value);
      if (name.empty()) continue;
      exists_[name] = true;
      if (type == "FAIL") {
        failing_[{name, value}] = true;
      } else {
        records_[{name, type}].push_back(value);
      }
    }
  }
  [[nodiscard]] DnsAnswer ask(const Question& question) const {
    std::string name = question.name;
    for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    const std::string type(name_of(question.type));
    DnsAnswer out;
    if (failing_.contains({name, type})) return out;
    const auto found = records_.find({name, type});
    if (found == records_.end()) {
      out.kind = exists_.contains(name) ? DnsAnswer::Kind::NoData : DnsAnswer::Kind::NoDomain;
      return out;
    }
    out.kind = DnsAnswer::Kind::Records;
    for (const std::string& value : found->second) {
      if (question.type == RecordType::A || question.type == RecordType::Aaaa) {
        out.addresses.push_back(*IpAddress::parse(value));
      } else {
        out.texts.push_back(value);
      }
    }
    return out;
  }

 private:
  std::map<std::string, bool> exists_;
  std::map<std::pair<std::string, std::string>, bool> failing_;
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> records_;
};

struct Ran {
  Outcome outcome;
  std::vector<std::string> asked;  ///< "TXT example.com"
};

inline Ran run(const Zone& zone, const std::string& client, const std::string& helo,
               const std::string& sender, CheckSettings settings = {}) {
  Check check(*IpAddress::parse(client), identity_of(helo, sender), std::move(settings));
  Ran out;
  while (const Question* question = check.question()) {
    out.asked.push_back(std::string(name_of(question->type)) + ' ' + question->name);
    check.answer(zone.ask(*question));
  }
  out.outcome = check.outcome();
  return out;
}

inline std::string result(const std::string& zone, const std::string& client,
                          const std::string& sender = "joe@example.com",
                          const std::string& helo = "mail.example.com") {
  return std::string(name_of(run(Zone(zone), client, helo, sender).outcome.result));
}

}  // namespace sluice::spf::test
