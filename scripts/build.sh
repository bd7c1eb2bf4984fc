#!/usr/bin/env bash
# Builds everything into build/ (another folder: BUILD=…), setting up what is missing. --quiet: says only what fails.
# --programs: mdpipe and mdreplay alone, without the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --build
build=${BUILD:-build}
quiet=
targets=()
for option; do
  case $option in
    --quiet) quiet=1 ;;
    --programs) targets=(tools/mdpipe replay/mdreplay) ;;
    *) sed -n '2,3p' "$0"; exit 2 ;;
  esac
done

say() { # COMMAND…   its output, or with --quiet only that of a failure
  if [[ $quiet ]]; then
    local log
    log=$(mktemp)
    "$@" >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; return 1; }
    rm -f "$log"
  else
    "$@"
  fi
}
[[ -e $build/build.ninja ]] || say env CXX="${CXX:-ccache g++}" meson setup "$build"
[[ ! $quiet ]] || ninja -C "$build" -n "${targets[@]}" | grep -q 'no work to do' || echo 'building: minutes for the first time, seconds from then on' >&2
say ninja -C "$build" "${targets[@]}"
