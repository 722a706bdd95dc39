// What replies say. From the certain to the vague: a phrase that leaves no doubt comes before a word that many replies
// share. Written from the documented replies of large providers and of the common server programs.
#include "policy/classify/bounce_category.h"

namespace sluice {
namespace {

constexpr ShippedBounceRule kWordRules[] = {
    // --- Messages that ran out of time or in circles.
    {R"({code}\.4\.7\b|(message|delivery time|queue)\W? ?(has |is |was )?expired|)"
     R"(retry time(out)? exceeded|could not be delivered (for|within|in) \d+ (day|hour))",
     "message-expired",
     "=4.4.7;\n"
     "550 4.4.7 QUEUE.Expired; message expired\n"
     "550 5.0.350 Remote server said: message has expired\n"
     "550 retry timeout exceeded"},
    {R"(too many hops|hop count (exceeded|too high)|(mail|routing|message)[ -]?loop|)"
     R"(loops? (back )?to (myself|itself)|too many received)",
     "routing-errors",
     "554 5.4.6 Too many hops\n"
     "554 5.4.14 Hop count exceeded - possible mail loop\n"
     "550 mail for example.com loops back to myself"},

    // --- The sender: its address or domain cannot exist.
    {R"(sender('s)? (address )?(verif(y|ication) (failed|failure)|could not be verified)|)"
     R"(verification failed for .*sender|(could not|cannot|unable to) verify (the )?(sender|)"
     R"(return path))",
     "invalid-sender",
     "550 Verification failed for <bob@a.example> No Such User Here Sender verify failed\n"
     "550-Callback setup failed while verifying <b@a.example> 550 Sender verify failed"},
    {R"((sender|mail from|return[- ]path|from) (e-?mail )?address( <?\S*@\S*>?)?:? (is )?(rejected|)"
     R"(refused|invalid|unknown|not valid)?.*((domain|host)( name)? (is )?(not found|unknown|)"
     R"(invalid|does(n't| not) exist)|unknown|undeliverable|unverified|does(n't| not) exist|no such|)"
     R"(malformed dns|null ?mx))",
     "invalid-sender",
     "450 4.1.8 <bob@a.example>: Sender address rejected: Domain not found\n"
     "550 5.1.0 <bob@a.example>: Sender address rejected: User unknown in virtual mailbox table\n"
     "550 5.7.27 <b@a.example>: Sender address rejected: Domain a.example does not accept mail (nullMX)"},
    {R"((sender|mail from|return[- ]path|)"
     R"(envelope[- ]from)('s)?( e-?mail)?( address)?('s)? domain.*(must (exist|resolve|be)|)"
     R"(not (exist|found|resolv|valid)|n't (exist|resolve|have)|(could|can) ?not (be )?(resolve|)"
     R"(found)|unresolvable|invalid|unknown|resolve fail|has no )|domain of (the )?(sender|)"
     R"(mail from|return[- ]path)( address)?( \S+)? (does(n't| not)|must|is not|could not|cannot)|)"
     R"(sender( \S+)? has no (a\b|aaaa|mx|valid|dns)|no mail hosts for domain)",
     "invalid-sender",
     "451 Domain of sender address bob@a.example does not resolve\n"
     "553 5.1.8 Sender domain must exist: a.example\n"
     "553 Domain of sender must be fully qualified\n"
     "550 sorry, no mail hosts for domain of sender\n"
     "550 Your envelope sender domain must exist\n"
     "554 Sender b@a.example has no A, AAAA or MX records"},

    // --- The sender does not prove who it is.
    {R"(\bdmarc|\bspf\b|\bdkim\b|sender policy framework|unauthenticated (e-?mail|mail|message|)"
     R"(email)|sender is unauthenticated|(fail|lack|have|pass|meet)\w* (the )?(required |)"
     R"(authentication |valid )*authentication (information|check|level|requirement)|does not (have|)"
     R"(meet|pass).*authentication)",
     "policy-related",
     "550-5.7.26 This mail has been blocked because the sender is unauthenticated.\n"
     "550 5.7.1 Unauthenticated email from a.example is not accepted due to domain's DMARC policy.\n"
     "550 5.7.515 Access denied, sending domain a.example does not meet the required authentication level.\n"
     "550 5.7.23 The message was rejected because of Sender Policy Framework violation\n"
     "421-4.7.0 This message does not have authentication information or fails to pass authentication "
     "checks."},
    {R"(reverse[- ](dns|hostname|lookup|address|name|record|resol)|\bptr\b|\brdns\b|)"
     R"(cannot find your (reverse )?hostname|no reverse|(helo|ehlo)( command)?( \S+)? (rejected|)"
     R"(refused|is invalid|name)|invalid (helo|ehlo)|fully[- ]qualified hostname)",
     "policy-related",
     "450 4.7.25 Client host rejected: cannot find your reverse hostname, [192.0.2.1]\n"
     "554 No SMTP service Bad DNS PTR resource record.\n"
     "550-5.7.25 The IP address sending this message does not have a PTR record setup\n"
     "504 5.5.2 <mail>: Helo command rejected: need fully-qualified hostname"},

    // --- A judgement about the whole stream, though it speaks of mailboxes.
    {R"((too many|excessive|exceed\w*|(high|large) (number|rate|percentage|volume|)"
     R"(amount) of) (\w+ ){0,3}(unknown|invalid|bad|non-?exist\w+|unrecogni[sz]ed|illegal|)"
     R"(unavailable|failed) (local )?(user|recipient|rcpt|mailbox|address|account|attempt))",
     "policy-related",
     "421 4.7.1 Too many invalid recipients\n"
     "550 5.7.1 Excessive unknown recipients - possible open relay\n"
     "554 rejected: high number of invalid users from your host"},
    // --- Relaying.
    {R"(relay(ing)?( access| mail| to .*)? (is |was )?(denied|not|prohibited|refused|disabled|)"
     R"(restricted|forbidden|reject)|(\bto|\bnot|n't|no|unauthori[sz]ed|illegal|anonymous|attempted|)"
     R"(third[- ]party|open|\bme|\bi) relay(ing)?\b|rcpthosts|relay access|non-local e-?mail|)"
     R"(relay.*not permitted|not (a|an) (open )?relay)",
     "relaying-issues",
     "554 5.7.1 <x@b.example>: Relay access denied\n"
     "550 5.7.1 Unable to relay\n"
     "550 relay not permitted\n"
     "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)\n"
     "550 5.7.64 TenantAttribution; Relay Access Denied\n"
     "550 5.7.1 We do not relay"},
    {R"(authentication (is )?(required|needed|failed|credentials)|(requires?|needs?|must|please|use|)"
     R"(turn on|enable|without) (an? |smtp |first |be |to )*(auth(entication|enticate|enticated)?|)"
     R"(starttls|tls|encryption)\b|must issue a starttls|not authenticated|authrequired|)"
     R"(auth(entication)? required|credentials (invalid|required))",
     "policy-related",
     "530 5.7.0 Must issue a STARTTLS command first\n"
     "530 5.7.1 Authentication required\n"
     "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required\n"
     "535 5.7.8 Error: authentication failed: credentials invalid"},

    {R"((sending|sender'?s?|hourly|daily|outbound|outgoing) (\w+ )?(quota|limit)|(rate|connections?|)"
     R"(frequency|session|recipients?|messages|mails|thread)[- ]?(\w+ )?(is |are |was |has been |)"
     R"(have been |temporarily )*(limit(ed|s|ing|er)?\b|throttl)|throttl|too (many|)"
     R"(much) (\w+ )?(messages|connections?|e-?mails?|mails?|sessions|recipients|concurrent|)"
     R"(simultaneous|requests|traffic|load)|ratelimit|try sending slower|)"
     R"(receiving mail (too quickly|at a rate)|(exceeded|reached) (the|your|its) (maximum |allowed |)"
     R"(max )?(number|rate)|sent too|(sending|send) too (many|much|fast)|more slowly)",
     "policy-related",
     "450 4.2.1 The user you are trying to contact is receiving mail too quickly.\n"
     "550 Ip frequency limited\n"
     "451 4.7.651 The mail server has been temporarily rate limited due to bad conduct\n"
     "421 4.7.0 Too many connections from your host\n"
     "432 4.3.2 Concurrent connections limit exceeded; throttled\n"
     "550 5.4.5 Daily user sending quota exceeded"},

    // --- A mailbox that exists and is closed.
    {R"(({who}|that you tried to reach)( \S+)? (has|have|had|is|was|are|which is)?( been)?( is|)"
     R"( are)?( currently| temporarily| permanently| administratively| now)?( been)? ?\b(disabled|)"
     R"(suspended|de-?activated|inactive|expired|closed|terminated|cancell?ed|discontinued|frozen|)"
     R"(locked|not (yet )?(active|activated|enabled)|dormant|blocked due to inactivity|)"
     R"(no longer (active|in use|used|monitored|accept\w*|enabled))|(inactive|disabled|suspended|)"
     R"(de-?activated|expired|dormant|closed|discontinued|unactivated) ((e-?mail|local) )?{who})",
     "inactive-mailbox",
     "550-5.2.1 The email account that you tried to reach is inactive.\n"
     "550 5.2.1 The email account that you tried to reach is disabled.\n"
     "554 delivery error: dd This account has been disabled or discontinued [#102].\n"
     "550 5.2.1 This mailbox has been blocked due to inactivity\n"
     "550 account is not active\n"
     "550 5.7.1 <x@b.example>... User suspended\n"
     "550 Account x@b.example is locked\n"
     "550 inactive user\n"
     "550 That e-mail address is no longer monitored"},
    {R"(inactivity|disableduser|userdisabled|mailboxdisabled|conta inativa|usu.{1,2}rio inativ|)"
     R"((compte|bo.{1,2}te).*(d.{1,2}sactiv|inacti[fv]|suspendu|ferm)|(cuenta|buz.{1,2}n|)"
     R"(usuario).*(inactiv|deshabilitad|desactivad|suspendid|bloquead)|(postfach|konto|)"
     R"(mailbox).*(deaktiviert|gesperrt|inaktiv)|casella.*(disabilitat|disattivat|sospes|inattiv))",
     "inactive-mailbox",
     "550 5.2.1 DisabledUser\n"
     "550 5.2.1 Boite du destinataire inactive\n"
     "550 El usuario tiene la cuenta suspendida\n"
     "550 Das Konto wurde deaktiviert"},

    // --- A mailbox that exists and is full; a message or a server beyond its size.
    {R"(quota|{who}( \S+)? (has |is |was )?(been )?(\w+ )?(too )?(full|stuffed)\b|full {who}|)"
     R"({who}.* (size|storage|space|limit) ?(limit )?(is )?(exceed|reached|full)|(exceed\w*|)"
     R"(over) (its |the |their |his |allocated |allowed |mailbox |maximum |size |storage )*(size|)"
     R"(storage|space|allot|allocation)|(insufficient|out of|not enough|no|low on|)"
     R"(too little) (\w+ )?(disk|storage|space)|disk (is )?full|limit exc?eeded|too much mail|)"
     R"(mailbox exceeds|inbox.*full|(bo.{1,2}te|buz.{1,2}n|casella|postfach|caixa).*(plein|llen|)"
     R"(pien|voll|cheia)|speicherplatz)",
     "quota-issues",
     "452-4.2.2 The recipient's inbox is out of storage space.\n"
     "552-5.2.2 The email account that you tried to reach is over quota.\n"
     "552 5.2.2 Mailbox size limit exceeded\n"
     "552 Requested mail action aborted: exceeded storage allocation\n"
     "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException\n"
     "550 mailbox is full\n"
     "452 4.3.1 Insufficient system storage\n"
     "550 5.2.2 Boite du destinataire pleine"},
    {R"((message|mail|e-?mail|data)( file| body)? (size )?(is )?(too (big|large|long)|)"
     R"(exceed\w*.*(size|limit|maximum|length))|(message|mail) size (exceed|limit)|(exceed|larger|)"
     R"(bigger).*(maximum|max) ?(message|mail|allowed)? ?size|size exceeds)",
     "quota-issues",
     "552 5.3.4 Message size exceeds fixed limit\n"
     "552 5.3.4 message file too big\n"
     "552-5.2.3 Your message exceeded Google's message size limits."},

    // --- The domain of the recipient.
    {R"((unknown|no such|invalid|bad|non-?existent|obsolete|unresolvable) (e-?mail |mail |)"
     R"(recipient |destination |local |virtual |to )?(domain|host(name)?)\b|)"
     R"(domain( name)?( \S*\.\S*)? (is |was )?(not (found|exist\w*|valid|hosted|known|local|)"
     R"(configured|served|registered|active)|unknown|invalid|obsolete|n't exist|does(n't|)"
     R"( not) exist|no longer|isn't (hosted|local|valid))|host or domain name not found|)"
     R"(host (name )?(not found|unknown)|null ?mx|(domain|host)( \S+)? (does(n't| not)|cannot|)"
     R"(never) (accept|receive) (any )?(e-?)?mail|domain isn't|tenant or domain not found)",
     "bad-domain",
     "550 5.1.2 unknown domain b.example\n"
     "550 5.4.4 Host or domain name not found. Name service error for name=b.example\n"
     "556 5.1.10 <x@b.example>: Recipient address rejected: Domain b.example does not accept mail (nullMX)\n"
     "550 5.1.2 Domain b.example does not exist\n"
     "554 The domain is obsolete\n"
     "=5.1.2;smtp;550 no such domain"},

    // --- No such mailbox.
    {R"((no such|unknown|invalid|bad|non-?exist\w*|illegal|undefined|unrecogni[sz]ed|incorrect|)"
     R"(not a (valid|known|local)|nonexistent) ((or \w+|local|e-?mail|destination|virtual|smtp|to|)"
     R"(final|system|recipient) )*{who}s?\b)",
     "bad-mailbox",
     "550 No such user here\n"
     "550 5.1.1 unknown or illegal alias: x@b.example\n"
     "550 Invalid recipient x@b.example\n"
     "550 5.1.1 Bad destination mailbox address\n"
     "550 5.7.1 No such user!\n"
     "550 Message was not accepted -- invalid mailbox. Local mailbox x@b.example is unavailable: user not "
     "found"},
    {R"({who}(\b.*)? (is |was |are |has been |were )?((currently )?unknown|not (be )?(found|known|)"
     R"(exist\w*|recogni[sz]ed|listed|present|on file|our customer|a valid|valid|local|here)|)"
     R"(n't (exist|found|be found)|does ?(n't| not) ?exist|doesn.t exist|unrecogni[sz]ed|invalid|)"
     R"(no longer (exist\w*|valid|available|here|at this|on|in service|with)|(been )?(deleted|)"
     R"(removed)|couldn't be (found|verified)|could not be (found|located)|cannot be found)\b)",
     "bad-mailbox",
     "550 5.1.1 <x@b.example>: Recipient address rejected: User unknown in local recipient table\n"
     "550-5.1.1 The email account that you tried to reach does not exist. Please check it for typos\n"
     "550 User x (x@b.example) not listed in Domino Directory\n"
     "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient x@b.example not found by SMTP address lookup\n"
     "550 Mailbox not found\n"
     "550 5.1.1 <x@b.example> user doesn't exist here\n"
     "550 Mailbox x no longer exists"},
    {R"((no|not a|isn't a|have an?) (valid )?(\w+\.\w+ |yahoo |such |e-?mail )*(account|mail-?box|)"
     R"(recipient)s?\b( \(| here| by| for| with| at|$)|no (mail-?box|account|user|one) (here )?(by|)"
     R"(with|at|named|called)|no such (id|person|alias|list|name|entry|member|customer|employee|)"
     R"(addressee|adressee|object)|not our customer|no ?(such ?)?user\b|(can ?not|can't|could not|)"
     R"(unable to) (find|locate) (the )?(user|recipient|mailbox|account)|recip(ient)?notfound|)"
     R"(adr\.\w*notfound|nosuchuser|delivery to (this|that) (address|user|recipient)|)"
     R"(invalid (rcptto|rcpt|id)\b|i cannot deliver mail for|)"
     R"(permanent failure for one or more recipients|not (have|known at) this (site|address)|)"
     R"(wrong (e-?mail|recipient|address)|does not have an? \S* ?account)",
     "bad-mailbox",
     "553 sorry, no mailbox here by that name (#5.1.1)\n"
     "554 delivery error: dd This user doesn't have a yahoo.example account (x@yahoo.example) [0]\n"
     "550 5.1.1 Not our Customer\n"
     "559 Invalid rcptto [@sm060103]\n"
     "550 There is no one at this address: no such person"},
    {R"(^5.*(mail-?box|recipient|address|user|account)( \S+)? (is )?(unavailable|not available)|)"
     R"(5\.4\.1 .*recipient address rejected: access denied|5\.1\.\d+ (<\S+> )?(recipient|)"
     R"(address)( address)? (rejected|refused)|undeliverable (address|recipient)|)"
     R"(unverified (address|recipient))",
     "bad-mailbox",
     "550 Requested action not taken: mailbox unavailable\n"
     "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).\n"
     "550 5.4.1 Recipient address rejected: Access denied. [mx.example 2026-01-01T00:00:00.000Z 08DD]\n"
     "550 #5.1.0 Address rejected.\n"
     "450 4.1.1 <x@b.example>: Recipient address rejected: unverified address: connection timed out"},
    {R"(utilisateur inconnu|(destinataire|adresse|bo.{1,2}te|compte).*(inconnu|invalide|inexist|)"
     R"(introuvable)|usu(a|.{1,2})rio.*(desconocid|no existe|inexistente|desconhecid|)"
     R"(n.{1,2}o (existe|encontrad))|no existe (el|la|esta|ese|este)? ?(usuario|cuenta|direcci|buz)|)"
     R"(destinat.{1,2}rio.*(desconhecid|inexistente|desconocid|sconosciut)|(empf.{1,2}nger|benutzer|)"
     R"(adresse|postfach).*(unbekannt|nicht (bekannt|gefunden|vorhanden)|existiert nicht|)"
     R"(ung.{1,2}ltig)|unbekannte[rn]? (empf|benutzer|adresse)|(utente|casella).*(sconosciut|)"
     R"(inesistente)|(gebruiker|ontvanger).*(onbekend|bestaat niet)|onbekende (gebruiker|ontvanger)|)"
     R"(nieznany (u|odbior|adres)|неизвестн|не найден|не существует|不存在|存在しません)",
     "bad-mailbox",
     "550 5.1.1 Adresse d au moins un destinataire invalide. OFR_416\n"
     "550 Utilisateur inconnu !\n"
     "550 5.1.1 El usuario no existe\n"
     "550 Der Empfaenger ist unbekannt\n"
     "550 5.1.1 Utente sconosciuto"},

    // --- What is in the message.
    {R"(\bvirus(es)?\b.*(found|detect|infect|contain)|(found|detect\w*|infect\w*|contain\w*|)"
     R"(carr\w+) .*\b(virus|malware|trojan|worm)\b|malware|\btrojan\b|\binfected\b|)"
     R"(^[^ ]* ?\d* ?(\d\.\d\.\d+ )?virus)",
     "virus-related",
     "554 5.7.1 Virus found in message: Eicar-Test-Signature\n"
     "550 This message contains malware\n"
     "552 Your mail is infected"},
    {R"((url|link|domain|uri|website)s? ((with)?in|contained in|found in|inside|of) (this|the|)"
     R"(your) (e-?mail|mail|message|body)|message content|content[- ]?(is |was |)"
     R"(has been )?(rejected|denied|refused|not (accept|allow)|restriction|filter(ed)? out)|)"
     R"((unacceptable|illegal|prohibited|banned|forbidden|objectionable|inappropriate|)"
     R"(malicious) (message )?(content|attachment)|(attachment|file ?(type|name|extension)|)"
     R"(extension).*(not (allowed|permitted|accepted)|block|reject|banned|prohibited|denied|)"
     R"(dangerous|security)|7-?bit data|8-?bit (data|characters?|content)|mail content denied)",
     "content-related",
     "550 Mail content denied\n"
     "550 A URL in this email (a.example) is listed on a block list\n"
     "554 5.7.1 message content rejected\n"
     "552-5.7.0 This message was blocked as it presents a security issue: attachment not allowed\n"
     "554 Invalid 7bit DATA"},
    {R"((missing|malformed|duplicate[sd]?|multiple|invalid|bad|illegal|improper|no) (or \w+ |an? |)"
     R"(the |valid )*(\W{0,2}(from|to|date|subject|message-?id|mime|cc|)"
     R"(sender)\W{0,3}(and \w+ )?)?(header|headers|mime|message-?id)\b|header(s|\(s\))? (is |are |)"
     R"(was )?(missing|malformed|too long|invalid|not rfc)|(message|line|body).*(not|)"
     R"(non).*rfc ?2?5?[238]22|not rfc.{0,3}\d* ?compliant|bare (<?lf>?|<?cr>?|line ?feed|newline)|)"
     R"(line (is )?too long|mime (error|structure|nesting))",
     "content-related",
     "550 5.7.1 Messages missing a valid Message-ID header are not accepted\n"
     "550-5.7.1 This message is not RFC 5322 compliant, the issue is: multiple From headers\n"
     "521 5.5.2 bare <LF> received"},

    // --- Held to be spam, or a bad name.
    {R"(spam|unsolicited|junk ?-?mail|\bjunk\b|bulk (e-?)?mail|\bu\.?c\.?e\b|\bube\b|(black|block|)"
     R"(deny)[- ]?list|\brbls?\b|dnsbl|black ?-?hole|\bsorbs\b|barracuda|sender ?(base|score)|)"
     R"(cloudmark|abuseat|surbl|uribl|abusix|reputation|complain|abusive|abuse (detect|report)|)"
     R"(phish|suspicious|suspected|bounce attack)",
     "spam-related",
     "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org\n"
     "550-5.7.1 Our system has detected that this message is likely unsolicited mail.\n"
     "421 4.7.0 [TSS04] Messages from 192.0.2.1 deferred due to unexpected volume or user complaints\n"
     "550 5.7.1 messages from [192.0.2.1] weren't sent. Their network is on our block list (S3140).\n"
     "554 Your access to this mail system has been rejected due to the sending MTA's poor reputation.\n"
     "550 JunkMail rejected\n"
     "550-5.7.1 likely suspicious due to the very low reputation of the sending domain"},
    {R"(\bblocked\b|\bblocking\b|(ip|host|server|client|address|network)( address)?( \S+)? (is |)"
     R"(was |has been |are )?(currently |also )?listed|listed (in|on|at|by) |\[?(ts0[123]|tss\d\d|)"
     R"(bl2\d)\]|permanently deferred|\bdt:s(pm|um)\b|\bmi:spb\b|\b(hvu|rly|dyn):b\d|)"
     R"(a problem occurred.*postmaster|bad (sending|outbound) (ip|sender|host)|blackmail)",
     "spam-related",
     "421 4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred\n"
     "550 Your host has been blocked, see our web page\n"
     "554 DT:SPM 163 smtp5\n"
     "554 5.7.1 The sending IP 192.0.2.1 is listed on bl.example\n"
     "554 IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact the operator)"},

    // --- The connection and the way to the host.
    {R"((connection|conversation|session)( to \S+| with \S+)? (was |has been |is |)"
     R"(unexpectedly )?(lost|dropped|reset|closed|timed? ?-?out|broken|aborted|interrupted)|)"
     R"(lost connection|time-?out (exceeded|while|waiting|reading|on)|timed out (while|waiting|)"
     R"(reading)|idle time-?out|\bbroken pipe\b|network error)",
     "bad-connection",
     "421 4.4.2 mx.b.example Error: timeout exceeded\n"
     "421 connection timed out\n"
     "451 4.4.2 lost connection with backend"},
    {R"(no answer from|connection refused|network is unreachable|no route to host|(could not|cannot|)"
     R"(can't|unable to|failed to) connect|host (is )?(down|unreachable|not responding))",
     "no-answer-from-host",
     "451 4.4.1 connection refused by backend\n"
     "450 unable to connect to the next host"},
    {R"(un-?route?able|\b(no )?route (to|for|found|available)|\brouting\b|no (valid |usable )?mx\b|)"
     R"(mx (record|lookup|host)s?\b|dns (failure|error|lookup|check|server|timeout)|name ?-?server|)"
     R"((lookup|resolution) (failed|failure)|cannot (be )?resolve|can't resolve)",
     "routing-errors",
     "550 Unrouteable address\n"
     "550 5.4.4 unable to find a route to the recipient\n"
     "498 No MX for b.example\n"
     "451 4.4.3 temporary DNS failure"},
    {R"(configuration (error|problem)|configured (incorrectly|wrong)|mis-?config|incorrectly configured)",
     "bad-configuration",
     "451 4.3.5 Server configuration error\n"
     "554 5.3.5 Local configuration error"},
    {R"(bad (command )?sequence|out of (sequence|order)|sequence of commands|syntax error|)"
     R"((unrecogni[sz]ed|unknown|invalid|unimplemented|illegal|unsupported|bad) (smtp )?(command|)"
     R"(parameter|argument|option|verb)|command (is )?(not (recogni[sz]ed|implemented|understood|)"
     R"(supported)|unrecogni[sz]ed|unknown|invalid|rejected)|protocol (error|violation)|pipelin|)"
     R"(people say he?lo|(need|send|expect\w*|issue|say|require\w*) (a |an )?(mail|rcpt|he?lo|ehlo|)"
     R"(data)\b( (command|before|first|from|to))?|parameters? not|too many (\w+ )?errors|)"
     R"(junk (smtp )?commands|synchroni[sz]ation error|must have at least|no valid recipients)",
     "protocol-errors",
     "503 Bad sequence of commands\n"
     "503 5.5.1 Error: need MAIL command\n"
     "500 5.5.2 unrecognized command\n"
     "501 syntax error in parameters\n"
     "503 polite people say HELO first\n"
     "554 SMTP synchronization error"},
};

}  // namespace

std::span<const ShippedBounceRule> shipped_word_rules() { return kWordRules; }

}  // namespace sluice
