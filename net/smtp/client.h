#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/smtp/capabilities.h"
#include "net/smtp/dsn.h"
#include "net/smtp/reply_parser.h"
#include "policy/base/smtp_reply.h"
#include "policy/base/units.h"

namespace sluice::net {

using Bytes = std::span<const std::byte>;
/// Names a transaction towards its owner; the machine only hands it back.
using TransactionTag = Strong<struct TransactionTagTag>;

/// What the connection waits for: chooses the time-out, and says where a reply or a failure belongs.
enum class ClientPhase : std::uint8_t {
  Greeting,  ///< smtp-greeting-timeout
  Ehlo,      ///< EHLO or HELO
  StartTls,  ///< reply to STARTTLS, or the handshake the owner was asked for
  Auth,
  Idle,   ///< usable, nothing to wait for: connection-idle-timeout
  Reset,  ///< reply to the RSET behind a transaction, which shows that replies and commands are in step
  Mail,
  Rcpt,
  Data,          ///< the 354
  BodyTransfer,  ///< bytes of a body are still to be sent: data-send-timeout
  FinalReply,    ///< all of a message is sent: smtp-data-termination-timeout
  Quit,
  Closed,  ///< over; only destruction is left
};
[[nodiscard]] std::string_view name_of(ClientPhase phase);

struct OutgoingRecipient {
  std::string_view address;  ///< local@domain, without angle brackets
  DsnNotify notify;
  std::string_view orcpt;  ///< "rfc822;xtext" or empty
};

/// One message for one or more recipients. The texts, the recipient list and the list of body spans are only
/// read during Client::add(); the bytes the body spans name are sent from where they lie and have to stay
/// there until on_finished(), and until the caller's own send operation on them is over.
struct Transaction {
  TransactionTag tag;
  std::string_view sender;  ///< empty = null path
  DsnReturn ret = DsnReturn::Unset;
  std::string_view envid;                         ///< xtext or empty
  std::span<const OutgoingRecipient> recipients;  ///< at least one
  std::span<const Bytes> body;  ///< CRLF line ends, no dot stuffing; at most kBodySpansMax. A missing last
                                ///< CRLF is added in front of the dot
  bool eight_bit = false;       ///< body has bytes above 127
  bool smtp_utf8 = false;       ///< addresses or headers need SMTPUTF8
  bool has_dot_lines = false;   ///< a line of the body begins with a dot
};

/// How a transaction ended. Recipients that got a refusal of their own (on_recipient) keep it in every case.
enum class Ending : std::uint8_t {
  Replied,  ///< `reply` answers for all recipients that were not refused: positive only with phase FinalReply
  AllRefused,  ///< every recipient was refused by its own reply
  NoChunking,  ///< the server offers BDAT and does not know it: nothing was delivered. The machine goes on by
               ///< DATA; retry is safe
  NeverStarted,  ///< connection over, or withdraw(), and no byte of it was sent: retry is safe
  PartlySent,    ///< connection over before the end of the message: retry is safe
  Unknown,       ///< connection over after all of the message was sent: it may or may not have been delivered
};
[[nodiscard]] std::string_view name_of(Ending ending);

/// Why a connection is over.
enum class ClientFault : std::uint8_t {
  None,     ///< quit() was answered
  Refused,  ///< `reply` says why: greeting, EHLO and HELO, STARTTLS (if required), AUTH, RSET, or a 421
  ConnectionLost,  ///< on_closed()
  ProtocolError,   ///< bytes that are no reply, or replies out of step with the commands: one nobody asked
                   ///< for, a code that does not fit (2xx to DATA)
  TlsNotOffered,   ///< TLS is required, STARTTLS was not offered
  TlsInjection,    ///< plain bytes behind the 220 to STARTTLS (RFC 3207 6)
};
[[nodiscard]] std::string_view name_of(ClientFault fault);

/// What the machine tells its owner. Called only from inside Client::on_bytes, consumed, on_tls_ready and
/// on_closed; the callee calls only const functions of the Client. References are valid during the call.
class ClientEvents {
 public:
  /// The server accepted us (greeting, EHLO or HELO, TLS, AUTH): add() may be used.
  virtual void on_ready(const Capabilities& capabilities) = 0;
  /// STARTTLS was answered with 220: do the handshake, then call on_tls_ready() or on_closed().
  virtual void on_tls_wanted() = 0;
  /// Reply to one RCPT; `index` counts in Transaction::recipients. A positive one is told as it comes. A
  /// refusal is told once it is sure to answer that RCPT: see Client, "In step". Not called for the RCPTs
  /// behind a refused MAIL.
  virtual void on_recipient(TransactionTag tag, std::uint32_t index, const SmtpReply& reply) = 0;
  /// Exactly once per accepted add(). `phase`: where `reply` belongs, or how far the transaction had come.
  /// `reply` has code 0 when there is none.
  virtual void on_finished(TransactionTag tag, Ending ending, ClientPhase phase, const SmtpReply& reply) = 0;
  /// The session is over: exactly once, after on_finished() of every transaction. `reply` as above; for
  /// ProtocolError its text says what was wrong. Behind a refusal QUIT may still be on its way: is_over() says
  /// when the connection is.
  virtual void on_over(ClientFault fault, ClientPhase phase, const SmtpReply& reply) = 0;

 protected:
  ~ClientEvents() = default;
};

/// AUTH as a client (RFC 4954). Optional; given to a Client by its owner.
class ClientAuth {
 public:
  /// The command line without CRLF ("AUTH PLAIN ..."), or empty when nothing fits: the session goes on
  /// without AUTH.
  virtual std::string_view begin(const Capabilities& capabilities) = 0;
  /// Answer to a 334 without CRLF; `challenge` is its text (base64).
  virtual std::string_view answer(std::string_view challenge) = 0;

 protected:
  ~ClientAuth() = default;
};

struct ClientSettings {
  enum class Tls : std::uint8_t { Never, IfOffered, Required };  ///< use-starttls, require-starttls
  std::string helo_name;
  Capabilities::Ignore ignore;
  Tls tls = Tls::Never;
  bool close_on_421 = false;   ///< smtp-421-means-mx-unavailable; else a 421 is one more 4xx
  bool pix_workaround = true;  ///< pix-bug-workaround: the final dot gets a segment of its own
  friend bool operator==(const ClientSettings&, const ClientSettings&) = default;
};

/// Sends many messages over one SMTP connection. No I/O, no clock: bytes come in and go out.
///
///   Greeting -> Ehlo -> [StartTls -> Ehlo] -> [Auth] -> Idle <-> transactions -> Quit -> Closed; any ->
///   Closed
///
/// Modes, by what the server offers:
///   lockstep     one command, one reply;
///   PIPELINING   MAIL RCPT.. DATA in one write, body and dot in the next;
///   + CHUNKING   for one recipient: MAIL RCPT BDAT n LAST body in one write. Several recipients go by DATA.
///
/// In step: SMTP replies carry no names; only their order says what they answer, so one reply too many, or one
/// that never comes, turns each later one into the answer to the wrong command. What is told is told on proof:
///   - A reply counts only if it began to arrive after its command was sent, a positive one to a message after
///     the message's last byte was, and had reached the server's side where the message is large. The owner keeps
///     the order of consumed() and on_bytes() for this.
///   - Nothing is sent behind a message before its reply is here: no other reply can take its place. Chunks may
///     go ahead of replies behind kTrustAfter clean transactions in a row. RSET stands in front of each then, so
///     that none meets what a refused one left open; and where its reply reads like no reply to a message, it is
///     the proof of all that stands before it. Where it reads otherwise, nothing more leaves, and EHLO behind
///     all that has left is the proof. A 2xx whose code names another command contradicts there.
///   - 354 stands nowhere but behind DATA: at its place it proves the replies before it. Where none comes,
///     enhanced codes may prove as much of BDAT (2.1.0 to MAIL, 2.1.5 to RCPT, another subject to the
///     message); else RSET follows. Behind a chunk or a 5xx, one to the message too, it is EHLO, which ends a
///     transaction as well: any 2xx could pass for RSET's, a list of extensions is nothing else. Until then
///     refusals are held back, and so is the end of a BDAT transaction.
///   - What contradicts (2xx to a message nobody was accepted for, a refused RSET, a reply without a command)
///     ends the connection as ProtocolError; transactions without proof end as PartlySent or Unknown.
///   - A chunk whose recipient was refused may be read as commands by a server that does not discard it. The
///     next message goes by DATA then, whose 354 no text can fake.
///   - When the connection ends before the proof, a reply stands if it can mean nobody else: one recipient,
///     lockstep, or only 4xx.
///
/// Caller, in a loop: while (free_slots() > 0 and mail is there) add(); send what output() names and report
/// consumed(); feed what arrives to on_bytes(). A transaction ends only after all of its bytes that output()
/// ever showed were consumed(), or with the connection, so body memory can be freed in on_finished() when no
/// send is in flight.
///
/// Thread:   one at a time.
/// Lifetime: `events` and `auth` outlive the machine. What output() returned stays valid until it is
///   consumed, whatever is called in between: an asynchronous send may hold it. Neither copied nor moved.
/// Limits:   kWindowMax, kRecipientsMax, kBodySpansMax; replies as ReplyParser.
/// Errors:   everything a server can do is an event. Misuse by the caller is asserted.
/// Memory:   buffers keep their capacity: no allocation per message in the steady state.
/// Source:   RFC 5321, 2920 (PIPELINING), 3030 (CHUNKING), 1870 (SIZE), 3461 (DSN), 3207 (STARTTLS), 9422
/// (LIMITS).
class Client {
 public:
  static constexpr std::uint32_t kWindowMax = 4;
  static constexpr std::uint32_t kWindowUsual = 2;  ///< one on the wire, the next ready behind it
  static constexpr std::uint32_t kTrustAfter =
      8;  ///< transactions by BDAT in a row, each reply named by its code
  static constexpr std::uint32_t kResetsAlike =
      2;  ///< replies to RSET that read alike, before chunks go ahead
  static constexpr std::uint64_t kArrivesAtOnce = 32 << 10;  ///< see asks_what_arrived()
  static constexpr std::uint64_t kAheadBytesMax = 64 << 10;  ///< a larger message waits: it is no gain for it
  static constexpr std::uint32_t kRecipientsMax = 10'000;
  static constexpr std::size_t kBodySpansMax = 64;
  static constexpr std::size_t kAddressBytesMax = 1024;
  static constexpr std::uint32_t kAuthRoundsMax = 8;  ///< challenges of one AUTH

  Client(ClientSettings settings, ClientEvents& events, ClientAuth* auth = nullptr);
  Client(Client&&) = delete;

  enum class Add : std::uint8_t {
    Accepted,
    NoSlot,         ///< free_slots() == 0
    MessageTooBig,  ///< larger than the server's SIZE
    Needs8BitMime,  ///< 8-bit body, 8BITMIME not offered: re-encode, or clear `eight_bit` to send it all the
                    ///< same
    NeedsSmtpUtf8,  ///< SMTPUTF8 not offered
    TooManyRecipients,  ///< more than LIMITS RCPTMAX or kRecipientsMax: split
    BadInput,  ///< a control byte, blank or angle bracket in an address, envid or orcpt; no recipient; too
               ///< long
  };
  /// Queues a transaction. Anything but Accepted: nothing was taken and no event will come.
  [[nodiscard]] Add add(const Transaction& transaction);
  /// How many more transactions add() takes now. 0 before on_ready(), after quit() and when LIMITS MAILMAX is
  /// reached.
  [[nodiscard]] std::uint32_t free_slots() const;
  /// Transactions accepted and not yet finished.
  [[nodiscard]] std::uint32_t in_flight() const { return slot_count_; }
  /// True when LIMITS MAILMAX is used up: finish, quit, take a new connection.
  [[nodiscard]] bool used_up() const;

  /// Fills `room` with the next bytes to send, in order, and returns how many spans were filled; 0 = nothing
  /// to send now. Shows the same bytes again until consumed() is told. Shown bytes count as possibly sent.
  [[nodiscard]] std::size_t output(std::span<Bytes> room);
  /// `bytes` <= the sum of what the last output() showed.
  /// Means: handed to the kernel before whatever on_bytes() is given next arrived.
  void consumed(std::size_t bytes);
  /// Bytes from the server, as they arrive. `on_the_way`: consumed bytes, the last ones, that had not reached the
  /// server's side then, so `input` answers none of them; asked for where asks_what_arrived() says so.
  void on_bytes(Bytes input, std::uint64_t on_the_way = 0);
  /// A message is under way that is larger than what always arrives at once.
  [[nodiscard]] bool asks_what_arrived() const;
  /// Ends transactions that have not begun, as NeverStarted: nothing of them may have been shown by output().
  void withdraw();
  /// The handshake on_tls_wanted() asked for is done; EHLO follows.
  void on_tls_ready();

  /// What became of bytes that were shown but not consumed.
  enum class Unconsumed : std::uint8_t { MayBeSent, NotSent };
  /// The connection ended or the owner gives it up (time-out, stop): ends every transaction, then on_over().
  /// Once; more calls and calls after on_over() do nothing.
  void on_closed(Unconsumed unconsumed);
  /// Asks for QUIT once nothing is in flight. on_over(None) follows its reply; the owner may also just close.
  void quit();

  [[nodiscard]] ClientPhase phase() const;
  /// Complete replies so far.
  [[nodiscard]] std::uint64_t replies() const { return replies_; }
  /// Part of a reply has come.
  [[nodiscard]] bool in_reply() const { return parser_.in_reply(); }
  /// The host has all of a message in flight when it has the first `arrived` bytes of the conversation.
  [[nodiscard]] bool may_have_delivered(std::uint64_t arrived) const;
  /// A message was answered positively by BDAT on this connection.
  [[nodiscard]] bool chunking_works() const { return chunking_works_; }
  /// The tag that phase() and the next reply belong to; nothing when no transaction is in flight.
  [[nodiscard]] std::optional<TransactionTag> current() const;
  [[nodiscard]] bool is_over() const { return stage_ == Stage::Over; }
  [[nodiscard]] bool wants_output() const { return head_ < queue_.size(); }
  /// As offered, without what settings ignore; valid from on_ready() on.
  [[nodiscard]] const Capabilities& capabilities() const { return capabilities_; }
  /// A greeting with ten or more '*': a Cisco PIX in between (bounce-upon-pix-transfer-failure).
  [[nodiscard]] bool is_pix() const { return is_pix_; }
  [[nodiscard]] bool tls_active() const { return tls_active_; }
  /// Reply to STARTTLS when it was refused and the session went on in plain; code 0 otherwise.
  [[nodiscard]] const SmtpReply& tls_refusal() const { return tls_refusal_; }

 private:
  enum class Stage : std::uint8_t { Greeting, Ehlo, Helo, StartTls, TlsHandshake, Auth, Ready, Quit, Over };
  enum class Mode : std::uint8_t { Lockstep, Pipelining, Chunking };
  // The replies of a transaction in order: Reset where one stands in front, Mail Rcpt* then Data Final or, for
  // BDAT, Final alone; then Proof where RSET or EHLO follows.
  enum class Expect : std::uint8_t { Reset, Mail, Rcpt, Data, Final, Proof, Nothing };

  struct Refusal {
    std::uint32_t recipient = 0;
    SmtpReply reply;
  };

  struct Slot {
    TransactionTag tag;
    std::string commands;             // RSET, then MAIL RCPT* DATA|BDAT, each with CRLF
    std::vector<std::uint32_t> ends;  // where each command ends in `commands`, counted from MAIL on
    std::vector<Bytes> body;
    std::vector<Refusal> refusals;  // of recipients, not yet told
    std::uint64_t reset_start = 0;  // stream position of the RSET in front, or `start`
    std::uint64_t start = 0;        // stream position of MAIL
    std::uint64_t body_start = 0;   // stream position of the first byte of body or dot, once queued
    std::uint64_t message_end = 0;  // stream position behind the last byte of the message, once complete
    std::uint64_t end = 0;          // stream position behind the last byte queued so far
    SmtpReply decided;              // what answers for the whole transaction, once known
    ClientPhase decided_phase = ClientPhase::Mail;
    std::uint64_t body_bytes = 0;
    std::uint32_t recipients = 0;
    std::uint32_t accepted = 0;
    std::uint32_t next_reply = 0;  // index into `ends` of the command whose reply comes next
    std::uint32_t queued = 0;      // commands already in queue_
    bool has_dot_lines = false;
    bool started = false;  // first byte queued
    bool chunked = false;  // by BDAT
    bool body_queued = false;
    bool complete = false;  // the last byte is queued: body and dot, BDAT's body, or a lone dot
    bool mail_refused = false;
    bool is_decided = false;    // `decided` is set
    bool no_chunking = false;   // BDAT was answered as an unknown command
    bool awaits_proof = false;  // every reply but that to RSET is here
    bool proof_lists = false;   // ... which is to be the list of extensions
    bool is_held = false;       // every reply is here; those to the transactions behind it are the proof
    bool resets = false;        // RSET stands in front of MAIL
    bool reset_heard = false;   // and was answered
    bool in_step = false;       // proved
    bool codes_fit = false;     // enhanced codes say of each reply so far which command it answers
    bool is_named = false;      // ... and that the message was taken
    EnhancedStatus mail_code;   // of the reply to MAIL
    bool replies_done = false;
  };

  struct Segment {
    enum class Kind : std::uint8_t { Plain, Stuffed, LoneDot };
    Bytes bytes;
    Kind kind = Kind::Plain;
    bool at_line_start = false;  // Stuffed: the first byte begins a line and its dot has not been doubled yet
    [[nodiscard]] Bytes front() const;
    void drop_front(std::size_t bytes);
  };

  [[nodiscard]] Slot& slot(std::uint32_t index) { return slots_[(first_slot_ + index) % kWindowMax]; }
  [[nodiscard]] const Slot& slot(std::uint32_t index) const {
    return slots_[(first_slot_ + index) % kWindowMax];
  }
  /// Index of the transaction the next reply belongs to; slot_count_ when none waits for one.
  [[nodiscard]] std::uint32_t waiting_slot() const;
  [[nodiscard]] Expect expectation(const Slot& slot) const;
  [[nodiscard]] ClientPhase phase_of(const Slot& slot) const;
  [[nodiscard]] std::uint32_t window() const;
  [[nodiscard]] bool may_go_ahead() const;
  [[nodiscard]] bool is_last_begun(std::uint32_t index) const;
  [[nodiscard]] bool goes_ahead_of(std::uint32_t index) const;

  // client_send.cc: what goes out
  [[nodiscard]] Add check(const Transaction& transaction, std::uint64_t body_bytes) const;
  void encode(Slot& slot, const Transaction& transaction, std::uint64_t body_bytes) const;
  void queue(Bytes bytes, Segment::Kind kind = Segment::Kind::Plain, bool at_line_start = false);
  void queue_text(std::string_view text) { queue(std::as_bytes(std::span(text))); }
  void queue_control(std::string_view line);
  void queue_commands(Slot& slot, std::uint32_t upto);
  void queue_body(Slot& slot);
  void queue_dot(Slot& slot);
  void queue_proof(Slot& slot);
  void begin(Slot& slot);
  void advance();  // opens whatever the state now allows to be sent, ends finished transactions
  bool advance_slot(std::uint32_t index);
  void retire();
  void tell_refusals(Slot& slot);
  void tell_end(Slot& slot);

  // client.cc: the session
  void take_reply(const SmtpReply& reply);
  void take_greeting(const SmtpReply& reply);
  void take_ehlo(const SmtpReply& reply);
  void take_starttls(const SmtpReply& reply);
  void take_auth(const SmtpReply& reply);
  void after_ehlo();
  void become_ready();
  void protocol_error(std::string_view what);
  void refuse(ClientPhase phase, const SmtpReply& reply);
  void over(ClientFault fault, ClientPhase phase, const SmtpReply& reply, std::uint64_t sent_bytes);

  // client_replies.cc: what replies mean for their transactions
  void take_transaction_reply(const SmtpReply& reply);
  void take_reset(std::uint32_t index, const SmtpReply& reply);
  void take_mail(std::uint32_t index, const SmtpReply& reply);
  void take_rcpt(std::uint32_t index, const SmtpReply& reply);
  void take_data(std::uint32_t index, const SmtpReply& reply);
  void take_final(std::uint32_t index, const SmtpReply& reply);
  void take_proof(std::uint32_t index, const SmtpReply& reply);
  [[nodiscard]] bool was_asked_for(const Slot& slot) const;
  void ask_for_proof(std::uint32_t index);
  void prove_upto(std::uint32_t index);
  void note_second_yes(Slot& slot, const SmtpReply& reply) const;
  [[nodiscard]] bool reads_like_reset(const SmtpReply& reply) const;
  bool ends_with(const SmtpReply& reply, ClientPhase phase);
  static void decide(Slot& slot, ClientPhase phase, const SmtpReply& reply);
  [[nodiscard]] bool stands(const Slot& slot, ClientFault fault) const;
  void tell_lost(Slot& slot, ClientFault fault, const SmtpReply& reply, std::uint64_t sent_bytes);

  ClientSettings settings_;
  ClientEvents* events_;
  ClientAuth* auth_;
  Capabilities capabilities_;
  ReplyParser parser_;
  SmtpReply tls_refusal_;

  std::array<Slot, kWindowMax> slots_;
  std::uint32_t first_slot_ = 0;
  std::uint32_t slot_count_ = 0;
  std::uint64_t transactions_ = 0;

  std::vector<Segment> queue_;  // to send, in order; [head_, size)
  std::size_t head_ = 0;
  // Control lines (EHLO, QUIT, AUTH ..). Two, because the reply to one may be here before its consumed() is.
  std::array<std::string, 2> control_;
  std::uint32_t control_next_ = 0;
  std::uint64_t queued_bytes_ = 0;    // stream positions: queued ..
  std::uint64_t shown_bytes_ = 0;     // .. shown by output() ..
  std::uint64_t consumed_bytes_ = 0;  // .. and consumed
  std::uint64_t control_end_ = 0;     // position behind the control line
  std::uint64_t reply_from_ = 0;      // consumed when the first byte of the reply being read came
  std::uint64_t replies_ = 0;

  Stage stage_ = Stage::Greeting;
  Mode mode_ = Mode::Lockstep;
  std::uint32_t auth_rounds_ = 0;
  std::uint32_t clean_ = 0;         // see kTrustAfter
  SmtpReply reset_reply_;           // the last reply to an RSET in front of MAIL
  std::uint32_t resets_alike_ = 0;  // so many times in a row
  bool reset_tells_ = true;         // it reads like no other reply
  bool chunk_was_read_ = false;     // as commands, behind a refusal: that is what answers EHLO
  bool doubt_ = false;              // it did not come where it was due: only EHLO proves what went ahead
  bool next_by_data_ = false;       // a chunk was sent that the server had no use for
  bool chunking_works_ = false;
  bool told_over_ = false;  // on_over() was called; QUIT is still on its way
  bool quit_asked_ = false;
  bool tls_active_ = false;
  bool tls_tried_ = false;
  bool is_pix_ = false;
};

}  // namespace sluice::net
