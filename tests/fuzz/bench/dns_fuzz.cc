// Goal: any datagram is answered with nothing or with a message of the asker's id that keeps to the size limit.
// How: any bytes as a query, over both transports, against an internet with every fault.

#include <cstdint>

#include "bench/dns/dns_responder.h"
#include "bench/provider/provider_file.h"
#include "policy/base/assert.h"

using namespace sluice;
using namespace sluice::bench;

namespace {

const Internet& internet() {
  static const Internet kInternet = *parse_provider_file(
      "provider p\n domain p.example d[0-9].example\n mx 10 m.example 127.0.0.1\nend\n"
      "record CNAME c.example c.example\nrecord TXT t.example \"x\"\n"
      "dns-fault m.p.example many-mx 5000\ndns-fault h.p.example huge 70000\ndns-fault l.p.example "
      "cname-loop\n"
      "dns-fault q.p.example wrong-question\ndns-fault n.p.example null-mx\ndns-fault t.p.example "
      "truncate\n");
  return kInternet;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Directory kDirectory(internet());
  static const DnsResponder kResponder(kDirectory);
  const auto query = std::as_bytes(std::span(data, size));
  for (const DnsTransport transport : {DnsTransport::Udp, DnsTransport::Tcp}) {
    const DnsAnswer answer = kResponder.answer(query, transport, size);
    if (answer.bytes.empty()) continue;
    const auto question = parse_dns_question(query);
    SLUICE_ASSERT(question);
    SLUICE_ASSERT(answer.bytes.size() >= 12);
    SLUICE_ASSERT(static_cast<std::uint8_t>(answer.bytes[0]) == data[0]);
    SLUICE_ASSERT(static_cast<std::uint8_t>(answer.bytes[1]) == data[1]);
    SLUICE_ASSERT(answer.bytes.size() <= DnsResponse::kBytesMax);
    const bool cut = (static_cast<std::uint8_t>(answer.bytes[2]) & 2) != 0;
    if (transport == DnsTransport::Udp && !cut) SLUICE_ASSERT(answer.bytes.size() <= question->udp_bytes_max);
  }
  return 0;
}
