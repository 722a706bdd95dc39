#include "engine/injection/submission.h"

namespace sluice::injection {

Client::Client(std::string_view its_name, const Endpoint& client, const Endpoint& local,
               std::string_view its_user)
    : name(its_name),
      address(client),
      local_address(local),
      user(its_user),
      source_ip(client.address.text()),
      local_ip(local.address.text()) {
  source_mta = name + " (" + source_ip + ')';
}

void Submission::Work::reset() {
  headers.reset();
  front.clear();
  job.clear();
  pieces.clear();
  placed.clear();
  recipients.clear();
  addresses.clear();
  texts.clear();
}

void Submission::reset() {
  sender.clear();
  auth_results.clear();
  auth_host = {};
  env_id.clear();
  job.clear();
  ret = 0;
  smtp_utf8 = false;
  verp = false;
  is_copy = false;
  is_report = false;
  recipient_count = 0;
  text.clear();
  eight_bit = false;
  has_dot_lines = false;
  stop.renew();
  work.reset();
}

}  // namespace sluice::injection
