// What codes say, once no phrase has decided: enhanced codes with one meaning, then words of refusal that stand beside
// codes with many, then the rest of the codes, then bare reply codes.
#include "policy/classify/bounce_category.h"

namespace sluice {
namespace {

constexpr ShippedBounceRule kCodeRules[] = {
    {R"({code}\.1\.[1346]\b)", "bad-mailbox", "550 5.1.1 <x@b.example> rejected\n450 4.1.6 moved away"},
    {R"({code}\.1\.(2|10)\b)", "bad-domain", "550 5.1.2 rejected\n=5.1.10;\n=5.1.2;"},
    {R"({code}\.(1\.[789]|7\.27)\b)", "invalid-sender",
     "550 5.1.8 Access denied\n553 5.1.7 <b@>: address syntax"},
    {R"({code}\.(2\.1|7\.13)\b)", "inactive-mailbox", "550 5.2.1 not accepting messages\n525 5.7.13 sorry"},
    {R"({code}\.(2\.[23]|3\.[14])\b)", "quota-issues", "452 4.2.2 try later\n=5.3.4;\n452 4.3.1 system full"},
    {R"({code}\.2\.4\b)", "bad-mailbox", "550 5.2.4 mailing list expansion problem"},
    {R"({code}\.(3\.3|6\.\d+|7\.7)\b)", "content-related", "554 5.6.0 rejected\n=5.6.3;"},
    {R"({code}\.3\.5\b)", "bad-configuration", "451 4.3.5 sorry"},
    {R"({code}\.4\.1\b)", "no-answer-from-host", "=4.4.1;\n451 4.4.1 sorry"},
    {R"({code}\.4\.2\b)", "bad-connection", "=4.4.2;\n421 4.4.2 sorry"},
    {R"({code}\.4\.[346]\b)", "routing-errors", "=4.4.3;\n=5.4.4;\n550 5.4.6 sorry\n550 4.4.4 sorry"},
    {R"({code}\.7\.17\b)", "bad-mailbox", "551 5.7.17 owner has changed"},
    {R"({code}\.7\.18\b)", "bad-domain", "551 5.7.18 owner has changed"},
    {R"(denied|prohibit|refus(e|al)|not (be )?(allowed|permitted|authori[sz]ed|acceptable|accepted|)"
     R"(welcome)|forbidden|forbids?|banned|disallow|polic(y|ies)|restrict|administrative|)"
     R"(unauthori[sz]ed|gr[ea]y-?list|violat|terms of service|\baup\b|rejected by (the )?(recipient|)"
     R"(user|admin|rule|filter|local)|service (is )?not provided|not accept(ing)? (mail|e-?mail|)"
     R"(messages|connections) from|filter)",
     "policy-related",
     "554 5.7.9 Message not accepted for policy reasons.\n"
     "550 administrative prohibition\n"
     "450 4.2.0 <x@b.example>: Recipient address rejected: Greylisted\n"
     "550 5.7.606 Access denied, banned sending IP [192.0.2.1]\n"
     "554 Transaction failed. Reject due to policy restrictions.\n"
     "550 5.7.1 [HM08] Message rejected due to local policy"},
    {R"({code}\.5\.3\b)", "policy-related", "452 4.5.3 later\n550 5.5.3 sorry"},
    {R"({code}\.5\.\d+\b)", "protocol-errors", "554 5.5.0 transaction failed\n550 5.5.1 sorry"},
    {R"({code}\.7\.\d+\b)", "policy-related", "550 5.7.1 rejected\n451 4.7.500 Server busy\n=4.7.4;"},
    {R"({code}\.2\.0\b|^5\.1\.0;)", "bad-mailbox", "550 5.2.0 sorry\n550 5.1.0 sorry"},
    {R"(^[45]\.0\.0;smtp; ?(550 (<\S+@\S+> ?)?|551\b.*)$)", "bad-mailbox",
     "551 not local\n=5.0.0;smtp;550 <x@b.example>"},
    {R"(^[45]\.0\.0;smtp; ?(452|552)\b)", "quota-issues", "552 sorry\n452 sorry"},
    {R"(^[45]\.0\.0;smtp; ?50\d\b)", "protocol-errors", "502 sorry\n503 sorry"},
    {R"(^[45]\.0\.0;smtp; ?53\d\b)", "policy-related", "535 sorry"},
    {R"(^[45]\.0\.0;smtp; ?(521|556)\b)", "bad-domain", "521 sorry"},
    {"", "other", "451 Temporarily unable to process your email\n421 4.3.2 Service shutting down\n=5.0.0;"},
};

}  // namespace

std::span<const ShippedBounceRule> shipped_code_rules() { return kCodeRules; }

}  // namespace sluice
