# Shared by the scripts in tools/, tests/fresh and bench/peers: where the tree is, how to speak, how many
# jobs. Sourced, never run: `source "$(dirname "$0")/shell/common.sh"`. Bash 5 (Debian 12).

SLUICE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '== %s\n' "$*"; }
warn() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
  warn "$@"
  exit 1
}

# Parallel compile jobs. A coroutine-heavy file can take 1.5 GB in the compiler, so memory counts as well as
# cores. SLUICE_JOBS overrides.
compile_jobs() {
  if [[ -n ${SLUICE_JOBS:-} ]]; then
    echo "$SLUICE_JOBS"
    return
  fi
  local cores memory_kib by_memory
  cores=$(nproc)
  memory_kib=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)
  by_memory=$((memory_kib / (1536 * 1024)))
  ((by_memory < 1)) && by_memory=1
  echo $((by_memory < cores ? by_memory : cores))
}

# Prints the comment block at the top of the running script as its help text.
usage() { sed -n '2,/^[^#]/ { /^#/ s/^# \{0,1\}//p }' "$0"; }
