#pragma once
// The words enumerations are written with.

#include "policy/config/value.h"
#include "policy/settings/values.h"

namespace sluice::config {

#define SLUICE_ENUM_WORDS(E, grammar, ...)                                    \
  template <>                                                                 \
  struct EnumWords<E> {                                                       \
    static constexpr std::string_view kGrammar = grammar;                     \
    static constexpr std::pair<std::string_view, E> kWords[] = {__VA_ARGS__}; \
  }

SLUICE_ENUM_WORDS(QueueType, "smtp|pipe|file|discard|http-delivery", {"smtp", QueueType::Smtp},
                  {"pipe", QueueType::Pipe}, {"file", QueueType::File}, {"discard", QueueType::Discard},
                  {"http-delivery", QueueType::HttpDelivery});
SLUICE_ENUM_WORDS(MxAddressGuard, "none|special|private", {"none", MxAddressGuard::None},
                  {"special", MxAddressGuard::Special}, {"private", MxAddressGuard::Private});
SLUICE_ENUM_WORDS(FileFormat, "newfile-plain|newfile-pickup|append-mbox",
                  {"newfile-plain", FileFormat::NewfilePlain}, {"newfile-pickup", FileFormat::NewfilePickup},
                  {"append-mbox", FileFormat::AppendMbox});
SLUICE_ENUM_WORDS(DkimSign, "BOOLEAN|if-x-dkim-options-present", {"no", DkimSign::No}, {"yes", DkimSign::Yes},
                  {"false", DkimSign::No}, {"true", DkimSign::Yes},
                  {"if-x-dkim-options-present", DkimSign::IfOptionsPresent});
SLUICE_ENUM_WORDS(DkimAlgorithm, "rsa-sha256|rsa-sha1", {"rsa-sha256", DkimAlgorithm::RsaSha256},
                  {"rsa-sha1", DkimAlgorithm::RsaSha1}, {"ed25519-sha256", DkimAlgorithm::Ed25519Sha256});
SLUICE_ENUM_WORDS(Canonicalization, "relaxed|simple", {"relaxed", Canonicalization::Relaxed},
                  {"simple", Canonicalization::Simple});
SLUICE_ENUM_WORDS(DsnFormat, "standard|plain-text", {"standard", DsnFormat::Standard},
                  {"plain-text", DsnFormat::PlainText});
SLUICE_ENUM_WORDS(DsnReturn, "headers|full|system", {"headers", DsnReturn::Headers},
                  {"full", DsnReturn::Full}, {"system", DsnReturn::System});
SLUICE_ENUM_WORDS(AddDateHeader, "no|yes|override", {"no", AddDateHeader::No}, {"yes", AddDateHeader::Yes},
                  {"false", AddDateHeader::No}, {"true", AddDateHeader::Yes},
                  {"override", AddDateHeader::Override});
SLUICE_ENUM_WORDS(DateHeaderTime, "reception|delivery", {"reception", DateHeaderTime::Reception},
                  {"delivery", DateHeaderTime::Delivery});
SLUICE_ENUM_WORDS(AuthenticationMethod, "password|system|certificate",
                  {"password", AuthenticationMethod::Password}, {"system", AuthenticationMethod::System},
                  {"certificate", AuthenticationMethod::Certificate});
SLUICE_ENUM_WORDS(SortOrder, "rcpt|name|size", {"rcpt", SortOrder::Recipients}, {"name", SortOrder::Name},
                  {"size", SortOrder::Size});
SLUICE_ENUM_WORDS(StatusProduct, "powermta|sluice", {"powermta", StatusProduct::PowerMta},
                  {"sluice", StatusProduct::Sluice});

#undef SLUICE_ENUM_WORDS

}  // namespace sluice::config
