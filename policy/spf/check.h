#pragma once
// check_host() of RFC 7208 4, without I/O.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/ip_address.h"
#include "policy/base/units.h"
#include "policy/spf/dns.h"
#include "policy/spf/macro.h"
#include "policy/spf/record.h"

namespace sluice::spf {

struct CheckSettings {
  std::uint32_t void_lookups_max = 2;  ///< check-spf-inbound-max-void-lookups
  bool wants_explanation = false;      ///< asks for the text of exp= when the result is Fail
  std::string receiver;                ///< %{r}: our name
  WallTime now{};                      ///< %{t}
};

/// Who is checked (RFC 7208 2.4): the domain of MAIL FROM, or the HELO name under the null path.
struct Identity {
  std::string local;   ///< "postmaster" when the sender has none
  std::string domain;  ///< of `local`
  std::string helo;
  bool is_helo = false;  ///< the null path: the HELO name was taken
};
/// `sender` without brackets, empty for the null path; may lack a domain, which then is none.
[[nodiscard]] Identity identity_of(std::string_view helo, std::string_view sender);

struct Outcome {
  Result result = Result::None;
  std::string matched;      ///< the directive that decided, as written: "-all"; empty: none matched
  std::string why;          ///< of an error or None: what is wrong and where
  std::string explanation;  ///< of the sender's domain, for a Fail; printable ASCII, may be empty
  /// The local part has been part of a question or text: without it, the outcome is that of every sender at
  /// the domain, from this address with this HELO name.
  bool used_local_part = false;
};

/// One check. Ask question(), give its answer(), until question() is null; then outcome().
///
/// Thread: one at a time. Lifetime: moved freely between calls.
/// Limits: kLookupsMax terms that ask DNS, kMxHostsMax hosts of one mx, void_lookups_max answers without
///         records: beyond it PermError (RFC 7208 4.6.4). So at most kQuestionsMax questions, whatever is
///         answered.
/// Errors: none: every ending is an Outcome.
class Check {
 public:
  static constexpr std::uint32_t kLookupsMax = 10;
  static constexpr std::size_t kMxHostsMax = 10;
  /// Ten terms of at most eleven questions, the client's names, the first record, the explanation.
  static constexpr std::size_t kQuestionsMax =
      kLookupsMax * (1 + kMxHostsMax) + (1 + ClientNames::kNamesMax) + 2;
  static constexpr std::size_t kExplanationBytesMax = 300;

  Check(const IpAddress& client, Identity identity, CheckSettings settings);

  [[nodiscard]] const Question* question() const;
  /// Requires question().
  void answer(const DnsAnswer& answer);
  /// Requires that question() is null.
  [[nodiscard]] const Outcome& outcome() const;
  /// The time for the whole check is over (RFC 7208 4.6.4): TempError.
  void give_up();

 private:
  enum class Step : std::uint8_t { Record, Names, Addresses, MxHosts, MxAddress, Exists, Explanation, Done };
  /// check_host() for one domain; the record of an include lies above the one that includes it.
  struct Frame {
    std::string domain;
    SpfRecord record;
    std::size_t next = 0;  // directive
    bool counted = false;  // against kLookupsMax, of `next`
  };

  void open(std::string domain, bool replaces);
  void take_record(const DnsAnswer& answer);
  void take_addresses(const DnsAnswer& answer);
  void take_mx_hosts(const DnsAnswer& answer);
  void take_exists(const DnsAnswer& answer);
  void take_explanation(const DnsAnswer& answer);
  void explain();
  void run();
  [[nodiscard]] bool evaluate(const Directive& directive);
  void end_of_record();
  void ask_mx_host();
  void ask(Step step, RecordType type, std::string name);
  [[nodiscard]] bool need_names();
  void no_match();
  void match();
  void frame_ended(Result result);
  void conclude(Result result, std::string why = {});
  [[nodiscard]] bool is_error(const DnsAnswer& answer);
  [[nodiscard]] bool count_lookup();
  [[nodiscard]] std::optional<std::string> expand(std::string_view text);
  [[nodiscard]] std::string target_of(std::string_view spec);
  [[nodiscard]] std::string client_name() const;
  [[nodiscard]] const Directive& current() const;

  IpAddress client_;
  Identity identity_;
  CheckSettings settings_;
  Step step_ = Step::Record;
  Question question_;
  std::vector<Frame> frames_;
  std::optional<ClientNames> names_;
  std::vector<std::string> mx_hosts_;
  std::size_t next_host_ = 0;
  std::uint32_t lookups_ = 0;
  std::uint32_t voids_ = 0;
  bool explaining_ = false;  // the result is known
  std::string explanation_;  // as published
  Outcome outcome_;
};

}  // namespace sluice::spf
