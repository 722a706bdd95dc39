#include "policy/base/version.h"

namespace sluice {

std::string_view version() { return SLUICE_VERSION; }
std::string_view build_date() { return SLUICE_BUILD_DATE; }
std::string_view own_product() { return "Sluice " SLUICE_VERSION; }

}  // namespace sluice
