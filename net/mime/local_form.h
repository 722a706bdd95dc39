#pragma once
// A stored message as programs and files of this host expect it: line feeds, a Return-Path in front (RFC
// 5321 4.4 wants it at final delivery, and scripts around PowerMTA read it).

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace sluice::net {

/// "Return-Path: <SENDER>\n" and `message` with CRLF turned into LF.
void append_local_message(std::string& out, std::string_view sender, std::span<const std::byte> message);

/// What the pickup directory of another server takes: x-sender, x-receiver, x-envid and x-job lines (the last
/// two when they say something), then the message as it is, with LF line ends.
struct PickupEnvelope {
  std::string_view sender, receiver, env_id, job_id;
};
void append_pickup_message(std::string& out, const PickupEnvelope& envelope,
                           std::span<const std::byte> message);

/// One entry of an mbox file in the mboxrd form: "From SENDER CTIME", the local message with '>' in front of
/// every line that is "From " behind any number of '>', an empty line. `ctime`: "Sun Jan  4 15:04:05 2026".
void append_mbox_entry(std::string& out, std::string_view sender, std::string_view ctime,
                       std::span<const std::byte> message);

}  // namespace sluice::net
