#!/usr/bin/env bash
# Installs what is missing on Debian or Ubuntu; quick and silent where nothing is.
#
#   scripts/setup.sh            all that the tests need (compilers, libraries, checkers, Java for a real Kafka)
#   scripts/setup.sh --build    what building and the demonstration need
#   scripts/setup.sh --kafka    that, and Java for a real Kafka
set -euo pipefail

build=(
  ca-certificates g++ git meson ninja-build ccache pkg-config
  libbenchmark-dev libcli11-dev libconcurrentqueue-dev libexpected-dev libfmt-dev libgmock-dev libgtest-dev libisal-dev libjemalloc-dev
  librdkafka-dev
  libreaderwriterqueue-dev libsimdjson-dev libspdlog-dev libssl-dev libtomlplusplus-dev libxxhash-dev libzstd-dev prometheus-cpp-dev
  rapidjson-dev zlib1g-dev
  kcat
)
kafka=(default-jre-headless maven)
check=(node-ws nodejs openssl patch python3 python3-confluent-kafka python3-websocket python3-websockets shellcheck spin)

# The first of these names that is installed, else the first that this system's archive has.
first_of() {
  local name
  for name; do
    [[ $(missing "$name") ]] || { echo "$name"; return; }
  done
  ask_archive
  for name; do
    ! apt-cache show "$name" >/dev/null 2>&1 || { echo "$name"; return; }
  done
  echo "setup.sh: none of $* is to be had here" >&2
  return 3
}
# On a machine that has never asked its archive, nothing is to be had.
ask_archive() {
  apt-cache show librdkafka-dev >/dev/null 2>&1 || "${run[@]}" apt-get update -q >/dev/null
}
missing() {
  local name
  for name; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || echo "$name"
  done
}

names() {
  printf '%s\n' "${build[@]}" "$(first_of libboost1.81-dev libboost-dev)"
  case $1 in
    --build) ;;
    --kafka) printf '%s\n' "${kafka[@]}" ;;
    '')
      printf '%s\n' "${kafka[@]}" "${check[@]}"
      local tool
      for tool in clang clang-format clang-tidy llvm; do first_of "$tool-16" "$tool"; done
      first_of libclang-rt-16-dev libclang-rt-dev
      ;;
  esac
}

case ${1-} in
  '' | --build | --kafka) ;;
  *) sed -n '2,6p' "$0"; exit 2 ;;
esac
command -v apt-get >/dev/null || { echo 'setup.sh: this needs the apt-get of Debian or Ubuntu' >&2; exit 3; }

run=()
[[ $(id -u) == 0 ]] || run=(sudo)
mapfile -t wanted < <(names "${1-}")
mapfile -t absent < <(missing "${wanted[@]}")
[[ ${#absent[@]} -gt 0 ]] || exit 0

echo "setup.sh: installing ${absent[*]}" >&2
"${run[@]}" apt-get update -q >/dev/null
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${absent[@]}" >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  exit 3
fi
