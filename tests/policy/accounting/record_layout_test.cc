// Goal: the header row of a file for every way to ask for it.
// How: a table of configurations and the header rows they give; a few sentences about errors.
#include "policy/accounting/record_layout.h"

#include <gtest/gtest.h>

namespace sluice::accounting {
namespace {

using enum config::RecordType;

config::AcctFile spec(std::vector<config::RecordType> records,
                      std::vector<config::RecordFields> fields = {}) {
  config::AcctFile out;
  out.records = std::move(records);
  out.record_fields = std::move(fields);
  return out;
}

config::RecordFields fields(config::RecordType type, std::vector<std::string> words) {
  return {type, words, {}};
}

std::string header(const config::AcctFile& of) {
  const auto layout = RecordLayout::make(of);
  EXPECT_TRUE(layout) << layout.error().message;
  return layout ? layout->header_row() : "";
}

constexpr const char* kDelivery =
    "type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,"
    "dlvType,"
    "dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool";

TEST(RecordLayout, DefaultColumns) {
  EXPECT_EQ(header(spec({Delivery, Bounce})), std::string(kDelivery) + "\r\n");
  EXPECT_EQ(header(spec({Bounce})), std::string(kDelivery) + "\r\n");
  EXPECT_EQ(header(spec({TransientQueue})),
            "type,timeLogged,dsnStatus,dsnDiag,dsnMta,dlvType,dlvSourceIp,dlvDestinationIp,vmta,queue\r\n");
  EXPECT_EQ(
      header(spec({Reception})),
      "type,timeLogged,orig,rcpt,orcpt,srcType,srcMta,rcvSourceIp,rcvDestinationIp,vmta,jobId,envId\r\n");
  EXPECT_EQ(header(spec({RemoteBounce})),
            "type,timeLogged,orig,rcpt,orcpt,dsnStatus,dsnDiag,dsnMta,dsnReportingMta,bounceCat,srcType,"
            "srcMta,envId"
            "\r\n");
}

TEST(RecordLayout, SeveralTypesAppendWhatTheFirstDoesNotHave) {
  const std::string want =
      std::string(kDelivery) +
      ",repSourceIp,feedbackType,format,userAgent,reportingMta,reportedDomain,header_From,"
      "header_Return-Path,header_X-job,header_Subject,rcvSourceIp,rcvDestinationIp,"
      "dsnReportingMta\r\n";
  EXPECT_EQ(header(spec({Delivery, Bounce, Feedback, RemoteBounce, Reception})), want);
  EXPECT_EQ(header(spec({Reception, RemoteBounce, Feedback, Bounce, Delivery})), want)
      << "order of words is nothing";
}

TEST(RecordLayout, ListsTable) {
  const struct {
    const char* name;
    config::AcctFile spec;
    const char* want;
  } rows[] = {
      {"an explicit list sets the order", spec({Bounce}, {fields(Bounce, {"rcpt", "dsnDiag", "timeLogged"})}),
       "type,rcpt,dsnDiag,timeLogged"},
      {"names compare without case and are shown as ours",
       spec({Bounce}, {fields(Bounce, {"RCPT", "DsnDiag"})}), "type,rcpt,dsnDiag"},
      {"type stays in front", spec({Bounce}, {fields(Bounce, {"rcpt", "type"})}), "type,rcpt"},
      {"exclusion from the default",
       spec({TransientQueue}, {fields(TransientQueue, {"!dsnDiag", "!dlvSourceIp"})}),
       "type,timeLogged,dsnStatus,dsnMta,dlvType,dlvDestinationIp,vmta,queue"},
      {"star and more", spec({TransientQueue}, {fields(TransientQueue, {"*", "userString", "!queue"})}),
       "type,timeLogged,dsnStatus,dsnDiag,dsnMta,dlvType,dlvSourceIp,dlvDestinationIp,vmta,userString"},
      {"headers", spec({Delivery}, {fields(Delivery, {"rcpt", "header_Subject", "header_X-Id"})}),
       "type,rcpt,header_Subject,header_X-Id"},
      {"lines of one type add up",
       spec({Bounce}, {fields(Bounce, {"rcpt"}), fields(Bounce, {"orig", "rcpt"})}), "type,rcpt,orig"},
      {"first type first, then what is new",
       spec({Delivery, Bounce},
            {fields(Delivery, {"rcpt", "jobId"}), fields(Bounce, {"bounceCat", "jobId", "rcpt"})}),
       "type,rcpt,jobId,bounceCat"},
      {"lists of types that are not recorded do not matter",
       spec({Bounce}, {fields(Delivery, {"jobId"}), fields(Bounce, {"rcpt"})}), "type,rcpt"},
      {"extensions", spec({Delivery}, {fields(Delivery, {"dlvStatus", "recordId"})}),
       "type,dlvStatus,recordId"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(header(row.spec), std::string(row.want) + "\r\n");
  }
}

TEST(RecordLayout, ErrorsAndWarnings) {
  EXPECT_FALSE(RecordLayout::make(spec({Bounce}, {fields(Bounce, {"nonsense"})})));
  EXPECT_FALSE(RecordLayout::make(spec({Bounce}, {fields(Bounce, {"header_"})})));
  const auto odd = RecordLayout::make(spec({Bounce}, {fields(Bounce, {"rcvSourceIp", "rcpt"})}));
  ASSERT_TRUE(odd);
  ASSERT_EQ(odd->warnings().size(), 1u);
  EXPECT_NE(odd->warnings()[0].find("rcvSourceIp"), std::string::npos);
  std::vector<std::string> many;
  for (int i = 0; i < 300; ++i) many.push_back("header_X" + std::to_string(i));
  EXPECT_FALSE(RecordLayout::make(spec({Bounce}, {fields(Bounce, many)})));
}

TEST(RecordLayout, MappingsMakeColumnsAndAskForHeaders) {
  auto with =
      spec({Delivery, Feedback}, {fields(Delivery, {"rcpt", "header_Subject"}), fields(Feedback, {"rcpt"})});
  with.map_header_to_field = {
      {Feedback, "X-Job", "jobId"}, {Feedback, "X-Other", "jobId"}, {Bounce, "X-B", "jobId"}};
  const auto layout = RecordLayout::make(with);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->header_row(), "type,rcpt,header_Subject,jobId\r\n");
  EXPECT_EQ(layout->headers_needed(Delivery), std::vector<std::string>{"Subject"});
  EXPECT_EQ(layout->headers_needed(Feedback), (std::vector<std::string>{"X-Job", "X-Other"}));
  with.map_header_to_field = {{TransientQueue, "X", "jobId"}};
  EXPECT_FALSE(RecordLayout::make(with));
  with.map_header_to_field = {{Delivery, "X", "nonsense"}};
  EXPECT_FALSE(RecordLayout::make(with));
}

}  // namespace
}  // namespace sluice::accounting
