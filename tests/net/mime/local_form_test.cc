// Goal: files and programs of this host get a message they understand, and nothing in it can fake an envelope
// line or the next entry of an mbox. How: small messages with the lines that matter.
#include "net/mime/local_form.h"

#include <gtest/gtest.h>

namespace sluice::net {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(LocalForm, LineFeedsAndReturnPath) {
  std::string out;
  append_local_message(out, "a@b", bytes("S: x\r\n\r\nb\rc\n.\r\nend"));
  EXPECT_EQ(out, "Return-Path: <a@b>\nS: x\n\nb\rc\n.\nend");
  out.clear();
  append_local_message(out, "", bytes("S: x\r\n\r\n"));
  EXPECT_EQ(out, "Return-Path: <>\nS: x\n\n");
}

TEST(LocalForm, Pickup) {
  std::string out;
  append_pickup_message(
      out, {.sender = "a@b", .receiver = "c@d", .env_id = "e\nx-receiver: evil@d", .job_id = "j"},
      bytes("S: x\r\n\r\nb\r\n"));
  EXPECT_EQ(out, "x-sender: a@b\nx-receiver: c@d\nx-envid: e_x-receiver: evil@d\nx-job: j\nS: x\n\nb\n");
  out.clear();
  append_pickup_message(out, {.sender = "", .receiver = "c@d", .env_id = {}, .job_id = {}}, bytes("\r\nb"));
  EXPECT_EQ(out, "x-sender: \nx-receiver: c@d\n\nb");
}

TEST(LocalForm, Mbox) {
  std::string out;
  append_mbox_entry(out, "a b@c", "Sun Jan  4 15:04:05 2026",
                    bytes("S: x\r\n\r\nFrom here\r\n>From there\r\n>>>From\r\n From x\r\nFrom end"));
  EXPECT_EQ(
      out,
      "From a_b@c Sun Jan  4 15:04:05 2026\nReturn-Path: <a b@c>\nS: x\n\n>From here\n>>From there\n>>>From\n"
      " From x\n>From end\n\n");
  out.clear();
  append_mbox_entry(out, "", "T", bytes("From x\r\n"));
  EXPECT_EQ(out, "From MAILER-DAEMON T\nReturn-Path: <>\n>From x\n\n");
}

}  // namespace
}  // namespace sluice::net
