#!/usr/bin/env bash
# clang-tidy over the source files of the product, with --all also over tests and benchmarks. A file that was clean is
# not looked at again until it, a header of ours that it includes, its command or the configuration changes
# (~/.cache/mdpipe/tidy remembers).
#   scripts/tidy.sh [--all] [BUILD]    BUILD: a configured build folder (build)
set -euo pipefail
cd "$(dirname "$0")/.."
files=('src/*.cpp' 'tools/*.cpp' 'replay/*.cpp')
if [[ ${1-} == --all ]]; then
  files+=('bench/*.cpp' 'tests/*.cpp')
  shift
fi
build=${1:-build}
tool=$(command -v clang-tidy-16 || command -v clang-tidy)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mdpipe/tidy
mkdir -p "$cache"
export build tool cache
salt=$(sha256sum .clang-tidy "$tool" | sha256sum | cut -c 1-16)
export salt

check() { # FILE   prints what is wrong; leaves a mark where nothing is
  local file=$1 object key
  object=$(ninja -C "$build" -t query "../$file" 2>/dev/null | sed -n 's/^ *\([^ ]*\.o\)$/\1/p' | head -n 1)
  # Without an object (never built) everything is looked at.
  key=$(
    {
      echo "$salt"
      [[ ! $object ]] || ninja -C "$build" -t commands -s "$object"
      sha256sum "$file"
      [[ ! $object ]] || ninja -C "$build" -t deps "$object" | sed -n 's|^ *\.\./||p' | grep -E '^(src|include|tools|replay|tests|bench)/' | xargs -r sha256sum
    } 2>/dev/null | sha256sum | cut -c 1-32
  )
  [[ ! -e $cache/$key ]] || return 0
  local said
  if said=$("$tool" -p "$build" --quiet --warnings-as-errors='*' --extra-arg=-Wno-unknown-warning-option "$file" 2>/dev/null); then
    touch "$cache/$key"
  else
    printf '%s\n' "$said"
    return 1
  fi
}
export -f check

# shellcheck disable=SC2016  # the inner bash expands it
git ls-files "${files[@]}" |
  grep -v -e '^tests/fuzz/' -e '^tests/install/' |
  xargs -P "$(nproc)" -I{} bash -c 'check "$1"' _ {}
