#pragma once
// Accounting files of a simulated machine, as tests read them.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/runtime/sim/disk.h"

namespace sluice::test {

/// One row of an accounting file, by column name; `type` is one of them.
using Row = std::map<std::string, std::string>;

/// Rows of /var/log/NAME-*.csv, file by file: those of `type`, or all. A row still being written is left out; one
/// whose fields are not those of its header fails the test.
std::vector<Row> acct_rows(runtime::sim::Disk& disk, std::string_view name, std::string_view type = {});

}  // namespace sluice::test
