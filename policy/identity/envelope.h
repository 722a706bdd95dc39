#pragma once
// Small rules about the texts of an envelope.

#include <string>
#include <string_view>

namespace sluice::identity {

/// VERP: "list@me.example" to "joe@x.example" becomes "list-joe=x.example@me.example" (PowerMTA,
/// `verp-default`). The null sender stays, as does a sender without domain.
void append_verp(std::string& out, std::string_view sender, std::string_view recipient);

/// `jobid-prefix` with its `{auth}` replaced by the name of the authenticated user, in front of `job`. Empty
/// when both are.
[[nodiscard]] std::string job_id(std::string_view prefix, std::string_view user, std::string_view job);

}  // namespace sluice::identity
