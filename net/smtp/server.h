#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/smtp/body_scan.h"
#include "net/smtp/command.h"
#include "net/smtp/dsn.h"
#include "net/smtp/sasl.h"
#include "policy/base/mail_address.h"
#include "policy/base/units.h"
#include "policy/base/version.h"

namespace sluice::net {

/// Numbers the messages of one connection from 1 on, in the order they ended.
using MessageSeq = Strong<struct MessageSeqTag>;

/// The owner's answer to a command or a message.
struct Answer {
  std::uint16_t code = 0;  ///< 0: accept with the usual text
  std::string text;        ///< with its enhanced code: "5.7.1 relaying denied"; control bytes become '?'
  bool pending = false;    ///< comes later: Server::answer() or Server::answer_message()
  bool close = false;      ///< say it and close the connection (421, 521)

  [[nodiscard]] static Answer accept() { return {}; }
  [[nodiscard]] static Answer later() { return {.code = 0, .text = {}, .pending = true}; }
  [[nodiscard]] static Answer reply(std::uint16_t code, std::string text) {
    return {.code = code, .text = std::move(text)};
  }
  [[nodiscard]] static Answer hang_up(std::uint16_t code, std::string text) {
    return {.code = code, .text = std::move(text), .close = true};
  }
};

/// MAIL FROM. Valid during the call.
struct MailCommand {
  const MailAddress& sender;  ///< null path: sender.is_null(); may lack a domain (auto-qualify-domain)
  std::optional<std::uint64_t> size_bytes;
  BodyType body = BodyType::SevenBit;
  DsnReturn ret = DsnReturn::Unset;
  std::string_view envid;  ///< xtext
  bool smtp_utf8 = false;
  bool verp = false;  ///< PowerMTA's VERP parameter
};

/// RCPT TO. Valid during the call.
struct RcptCommand {
  const MailAddress& recipient;       ///< the null path when `fault` is set
  std::string_view raw;               ///< the path as written, with its brackets
  std::optional<AddressFault> fault;  ///< only with ServerSettings::accept_invalid_recipients
  DsnNotify notify;
  std::string_view orcpt;  ///< "rfc822;xtext" or empty
};

/// Why a message begun will not end: its bytes are to be thrown away, no 250 was or will be sent.
enum class Dropped : std::uint8_t {
  Closed,       ///< the connection ended before the end of data
  TooBig,       ///< max-message-size
  BareLineEnd,  ///< bare CR or LF (RFC 5321 2.3.8)
  Refused,      ///< on_message_bytes said no, or RSET, EHLO or QUIT between chunks
};

/// The engine's side. Called only from inside functions of the Server, also answer() and consumed() which may
/// let kept bytes be worked on; the callee calls only const functions of the Server. Order per message:
/// on_mail, on_rcpt.., on_data, on_message_bytes.., then exactly one of on_message_end and
/// on_message_dropped. on_reset ends a transaction whose message was not begun.
class ServerOwner {
 public:
  /// EHLO or HELO; `name` is the client's argument, printable ASCII or UTF-8, at most 255 bytes.
  virtual Answer on_hello(std::string_view name, bool esmtp) = 0;
  virtual Answer on_mail(const MailCommand& mail) = 0;
  virtual Answer on_rcpt(const RcptCommand& rcpt) = 0;
  /// DATA or the first BDAT of a message with at least one accepted recipient. A refusal keeps the
  /// transaction open (DATA), or ends it with on_reset and swallows the chunks (BDAT).
  virtual Answer on_data(std::uint32_t recipients) = 0;
  /// Message bytes in order, with CRLF line ends, unstuffed. `bytes` is often part of what feed() was given:
  /// copy or use it now. An answer that refuses drops the message; the rest is swallowed and the answer given
  /// at its end.
  virtual Answer on_message_bytes(std::span<const std::byte> bytes) = 0;
  /// The message is complete. Its reply usually is later(), and answer_message(seq, ..) follows when it is
  /// durable. The transaction is over here: the next on_mail may come before that.
  virtual Answer on_message_end(MessageSeq seq, const BodyFacts& facts) = 0;
  virtual void on_message_dropped(Dropped why) = 0;
  virtual void on_reset() = 0;
  /// AUTH came to its end: is `claim` true? For CRAM-MD5 hold its digest against cram_md5_hex(password,
  /// challenge). accept() says 235. Called only when a mechanism is offered.
  virtual Answer on_auth(const SaslClaim& claim, std::string_view cram_challenge);

 protected:
  ~ServerOwner() = default;
};

struct ServerSettings {
  std::string host;                    ///< host-name of the listener
  std::string product{own_product()};  ///< in the greeting, as "(PRODUCT)"
  bool offer_chunking = true;          ///< allow-chunking
  bool offer_pipelining = true;        ///< whether it is announced; a client may do it all the same
  bool offer_smtp_utf8 = true;         ///< allow-smtputf8
  bool offer_verp = true;
  bool offer_starttls = false;   ///< allow-starttls; the owner has a certificate and does the handshake
  SaslMechanisms auth;           ///< offered in plain (allow-auth, allow-unencrypted-plain-auth)
  SaslMechanisms auth_with_tls;  ///< offered under TLS
  std::string cram_nonce;        ///< part of CRAM-MD5 challenges: unguessable, new for every connection
  std::optional<std::uint64_t>
      message_bytes_max;                        ///< max-message-size; nothing: unlimited, announced as "SIZE"
  std::optional<std::uint32_t> recipients_max;  ///< max-rcpt-per-message
  bool too_many_rcpts_fails_message = false;    ///< refuse at DATA instead of per RCPT
  bool disconnect_on_transient_error = false;   ///< close instead of a 4xx
  bool accept_invalid_recipients = false;
  bool accept_no_domain = true;    ///< auto-qualify-domain: addresses without a domain reach the owner
  bool accept_loose_dots = false;  ///< AddressRules::allow_loose_dots
  /// What becomes of LF without CR in a message. A bare CR is refused in both cases. Neither ever ends the
  /// data.
  enum class BareLf : std::uint8_t { Refuse, Normalise };
  BareLf bare_lf = BareLf::Refuse;
  /// Bytes behind EHLO, HELO or DATA before our reply: 554 and close instead of working on them.
  bool refuse_unauthorised_pipelining = false;
  std::uint32_t command_line_bytes_max = 2048;
  std::uint32_t bad_commands_max = 20;    ///< refused AUTHs count; of the whole connection; then 421
  std::uint32_t idle_commands_max = 100;  ///< NOOP, RSET, VRFY, HELP, hellos between two messages; then 421
  std::optional<std::uint32_t> transactions_max;  ///< messages per connection; then 421 to MAIL
  /// Message ends that may wait for answer_message() while the commands behind them are already worked on.
  /// 0: every command behind a message end waits for its answer.
  std::uint32_t unanswered_max = 4;  ///< below Server::kUnansweredMax
};

/// Receives mail over one SMTP connection. No I/O, no clock: bytes come in and go out.
///
/// The end of data is CRLF.CRLF and nothing else (RFC 5321 4.1.1.4). "LF.LF", "LF.CRLF", "CR.CR" and the like
/// are bytes of the message, which then is refused as a whole with 550 5.6.0 after the true end of data (SMTP
/// smuggling cannot work). Command lines may end with a bare LF: that changes no framing of messages.
///
/// Replies keep the order of commands. A message end waiting for its answer holds back the replies behind it,
/// so that one send carries "250 message received", "250 MAIL ok", "250 RCPT ok" and "354".
///
/// Caller, in a loop: feed() what arrives while wants_input(); send output(), report consumed(); close when
/// wants_close() says so. Time-outs by phase(): on_timeout().
///
/// Thread:   one at a time.
/// Lifetime: `owner` outlives the machine. output() stays valid until consumed. Neither copied nor moved.
/// Limits:   ServerSettings; kBacklogBytesMax of bytes fed while wants_input() was false, then 421 and close;
///           kRecipientsMax accepted recipients per message.
/// Errors:   whatever a client does is answered here. Misuse by the caller is asserted.
/// Source:   RFC 5321, 1870, 2920, 3030, 3461, 6152, 6531; texts: PowerMTA 5.
class Server {
 public:
  static constexpr std::uint32_t kUnansweredMax = 32;
  static constexpr std::uint32_t kRecipientsMax = 100'000;
  static constexpr std::size_t kBacklogBytesMax = 1024 * 1024;
  static constexpr std::size_t kOutputBytesMax = 256 * 1024;  ///< above it no more input is worked on

  enum class Phase : std::uint8_t {
    Command,  ///< smtp-command-timeout
    Body,     ///< DATA or BDAT bytes: smtp-data-timeout
    Answer,   ///< waits for the owner, not for the client
    Closing,  ///< close when output is sent
  };

  Server(ServerSettings settings, ServerOwner& owner);
  Server(Server&&) = delete;

  /// Sends the greeting. Bytes fed before it are early talk: kept, or refused
  /// (refuse_unauthorised_pipelining).
  void start();
  /// Instead of start(): "521 HOST does not accept mail from you", or another refusal, and close.
  void refuse_client();
  void refuse_client(const Answer& answer);

  /// Works on bytes in fragments of any size. Bytes that cannot be worked on now are copied and kept.
  void feed(std::span<const std::byte> input);
  /// True when the 220 to STARTTLS is sent: read no more bytes for feed(), do the handshake, then
  /// on_tls_ready() or on_closed(). Whatever the client sent in plain behind STARTTLS was thrown away (RFC
  /// 3207 4).
  [[nodiscard]] bool wants_tls() const;
  /// The connection runs under TLS: from now on, or (before start()) from the beginning.
  void on_tls_ready();
  /// New limits and offers, for example those of the <source> that AUTH or the listener names. Host and
  /// product stay. Not from inside a callback.
  void change_settings(ServerSettings settings);
  /// False while kept bytes wait for the owner or for output to be sent: stop reading from the connection.
  [[nodiscard]] bool wants_input() const;
  /// The answer that a callback of the command under way promised with later().
  void answer(const Answer& answer);
  /// The answer to message `seq`, once, in any order; replies leave in the order of messages.
  void answer_message(MessageSeq seq, const Answer& answer);
  /// End of file or reset from the client. Messages without an answer stay the owner's business.
  void on_closed();
  /// 421 and close; "4.4.2 HOST timeout".
  void on_timeout();
  /// Says `answer` (421 4.3.2 at a shutdown) behind the replies already due, and closes. A message under way
  /// is dropped.
  void hang_up(const Answer& answer);

  /// The next bytes to send; empty = none.
  [[nodiscard]] std::span<const std::byte> output();
  void consumed(std::size_t bytes);
  /// True when the connection is to be closed: nothing is left to be sent or waited for.
  [[nodiscard]] bool wants_close() const;
  [[nodiscard]] Phase phase() const;
  /// Command lines taken so far, those too long included.
  [[nodiscard]] std::uint64_t commands() const { return commands_; }
  /// Bytes of DATA and BDAT taken so far, those of refused messages included.
  [[nodiscard]] std::uint64_t body_bytes() const { return body_bytes_; }
  /// A message has begun and not ended: also between two of its chunks.
  [[nodiscard]] bool in_message() const { return in_message_; }
  [[nodiscard]] bool esmtp() const { return esmtp_; }
  [[nodiscard]] bool tls_active() const { return tls_active_; }
  [[nodiscard]] bool authenticated() const { return authenticated_; }
  [[nodiscard]] std::string_view hello_name() const { return hello_name_; }
  [[nodiscard]] std::uint32_t unanswered() const { return unanswered_count_; }
  [[nodiscard]] std::uint32_t bad_commands() const { return bad_commands_; }

 private:
  enum class State : std::uint8_t { Command, SkipLine, AuthLine, Data, Chunk, Waiting, Tls };
  enum class Wait : std::uint8_t { Hello, Mail, Rcpt, Data, Auth };
  // Reading the end of data across fragments: how much of CRLF.CRLF was seen and held back.
  enum class Dot : std::uint8_t { None, Seen, SeenCr };

  struct Unanswered {
    MessageSeq seq;
    bool answered = false;
    bool close = false;
    std::string reply;   // complete line once answered
    std::string behind;  // replies to the commands between this message end and the next
  };

  // server.cc: input, output, order of replies
  [[nodiscard]] bool can_work() const;
  std::size_t work(std::span<const std::byte> input);
  std::size_t work_commands(std::span<const std::byte> input);
  void keep(std::span<const std::byte> rest);
  void work_backlog();
  void say(std::uint16_t code, std::string_view text);
  void say_lines(std::string_view lines);
  void say_answer(const Answer& answer, std::uint16_t usual_code, std::string_view usual_text);
  [[nodiscard]] bool append_answer(std::string& out, const Answer& answer, std::uint16_t usual_code,
                                   std::string_view usual_text) const;
  /// Where the next reply goes.
  std::string& reply_end();
  [[nodiscard]] const std::string& reply_end() const;
  void release_replies();
  void end_session(std::uint16_t code, std::string_view text);
  void begin_closing();
  void abandon_transaction(Dropped why);

  // server_commands.cc
  void take_line(std::string_view line, bool more_follows);
  void take_hello(std::string_view argument, bool esmtp);
  void take_mail(std::string_view argument);
  void take_rcpt(std::string_view argument);
  void take_data(std::string_view argument);
  void take_bdat(std::string_view argument);
  void take_other(const CommandLine& command);
  void bad_command(std::uint16_t code, std::string_view text);
  [[nodiscard]] bool is_flood();
  [[nodiscard]] AddressRules address_rules(bool bare) const;
  void finish_hello(const Answer& answer);
  void finish_mail(const Answer& answer);
  void finish_rcpt(const Answer& answer);
  void finish_data(const Answer& answer);
  void forget_transaction();

  // server_security.cc
  [[nodiscard]] const SaslMechanisms& offered_auth() const;
  void take_starttls(std::string_view argument);
  void take_auth(std::string_view argument);
  void take_auth_outcome(SaslServer::Outcome outcome);
  void finish_auth(const Answer& answer);

  // server_body.cc
  void begin_message();
  void begin_chunk();
  std::size_t work_data(std::span<const std::byte> input);
  std::size_t work_chunk(std::span<const std::byte> input);
  std::size_t scan_and_pass(std::span<const std::byte> input, bool stop_at_dot_lines, BodyScan::Stop& stop);
  void pass(std::span<const std::byte> bytes);
  void drop(Dropped why, const Answer& answer);
  void refuse_chunk(const Answer& answer);
  void end_message();
  void end_chunk();

  ServerSettings settings_;
  ServerOwner* owner_;

  State state_ = State::Command;
  Wait wait_ = Wait::Hello;
  bool started_ = false;
  bool closing_ = false;  // no more input is worked on
  bool ended_ = false;    // the client is gone: no more output either

  // the session
  bool greeted_ = false;  // HELO or EHLO was accepted
  bool esmtp_ = false;
  std::string hello_name_;
  std::string pending_name_;
  bool pending_esmtp_ = false;
  bool tls_active_ = false;
  bool authenticated_ = false;
  std::optional<SaslServer> sasl_;
  std::uint32_t auth_attempts_ = 0;
  std::uint32_t bad_commands_ = 0;
  std::uint32_t idle_commands_ = 0;
  std::uint32_t messages_ = 0;
  std::uint64_t commands_ = 0;
  std::uint64_t body_bytes_ = 0;

  // the transaction
  bool in_mail_ = false;
  bool utf8_ = false;
  bool too_many_ = false;  // a recipient beyond recipients_max, with too_many_rcpts_fails_message
  std::uint32_t accepted_ = 0;
  MailAddress sender_;
  MailAddress recipient_;

  // the message
  bool in_message_ = false;  // on_data was accepted, neither ended nor dropped
  bool by_chunks_ = false;   // BDAT was used in this transaction
  bool drops_ = false;       // bytes are swallowed, drop_answer_ says why
  BdatArguments chunk_;      // the chunk under way
  std::uint64_t chunk_left_bytes_ = 0;
  BodyScan scan_;
  Dot dot_ = Dot::None;
  Answer drop_answer_;

  // bytes
  std::string line_;     // the beginning of a command line
  std::string backlog_;  // fed, not worked on
  std::string sending_;  // shown by output()
  std::size_t sent_ = 0;
  std::string ready_;  // may be sent next
  std::array<Unanswered, kUnansweredMax> unanswered_;
  std::uint32_t unanswered_first_ = 0;
  std::uint32_t unanswered_count_ = 0;
  std::uint64_t last_seq_ = 0;
};

}  // namespace sluice::net
