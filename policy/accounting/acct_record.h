#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "policy/base/units.h"
#include "policy/settings/values.h"

namespace sluice::accounting {

using config::RecordType;

/// One record as the formatter sees it. Lifetime: views whatever the caller holds. An empty view is an empty cell.
/// Names follow the fields of accounting files.
struct AcctRecord {
  RecordType type = RecordType::Delivery;
  WallTime time_logged{};
  WallTime time_queued{};
  WallTime time_first_attempt{};     ///< epoch: none
  std::uint64_t dlv_size_bytes = 0;  ///< 0: empty cell
  /// Identity of the record, extension field `recordId`: message, recipient in it, attempt.
  MessageId message;
  std::uint32_t recipient = 0;
  std::uint32_t attempt = 0;

  std::string_view orig, rcpt, orcpt;
  std::string_view dsn_action, dsn_status, dsn_diag, dsn_mta, dsn_reporting_mta, bounce_cat;
  std::string_view src_type, src_mta;
  std::string_view dlv_type, dlv_source_ip, dlv_destination_ip, dlv_esmtp_available;
  std::string_view dlv_tls_protocol, dlv_tls_cipher;
  std::string_view vmta, vmta_pool, job_id, env_id, queue;
  std::string_view rcv_smtp_user, rcv_source_ip, rcv_destination_ip;
  std::string_view rep_source_ip, feedback_type, format, user_agent, reporting_mta, reported_domain;

  using Named = std::pair<std::string_view, std::string_view>;
  std::span<const Named> headers;  ///< of the original message: name without colon, value
  std::span<const Named> arf;      ///< of a feedback report
};

}  // namespace sluice::accounting
