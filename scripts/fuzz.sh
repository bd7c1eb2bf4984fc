#!/usr/bin/env bash
# Fuzzes one thing with libFuzzer, the decoder where none is named:
#   decoder   against the slow reference parser: first sees that each bug of tests/fuzz/planted is found, then looks for
#             others, then reports which of the decoder's lines all those inputs reach. Fails on a difference, on a planted
#             bug that is not found, below 95 % of the lines. About half an hour for ten million
#   journal   damage to a journal: readers, verification, recovery; a wrong record fails it
#   header    the header mdp     state   state files, checkpoint, cursors, snapshots     store   the store's start
#
#   scripts/fuzz.sh [TARGET] [RUNS] [--seed N] [--build DIR]   RUNS: how many executions (10000000; the others 100000);
#                                                              DIR: build-fuzz
#
# One core. The same seed runs the same inputs again. What ended a run is kept in DIR/difference-…: see
# tests/fuzz/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

target=decoder runs='' seed=$((RANDOM * 32768 + RANDOM + 1)) build=build-fuzz
while [[ $# -gt 0 ]]; do
  case $1 in
    --seed) seed=${2-}; shift ;;
    --build) build=${2-}; shift ;;
    decoder | journal | header | state | store) target=$1 ;;
    *) runs=$1 ;;
  esac
  shift || true
done
if [[ ! $runs ]]; then
  runs=100000
  [[ $target != decoder ]] || runs=10000000
fi
# libFuzzer takes the seed 0 for "any".
if [[ ! $runs =~ ^[0-9]+$ || ! $seed =~ ^[1-9][0-9]*$ || ! $build ]]; then
  sed -n '2,14p' "$0" >&2
  exit 2
fi

readonly corpus=tests/fuzz/corpus/$target dictionary=tests/fuzz/decoder.dict lines_percent_min=95
# Executions within which a planted bug must be found.
readonly planted_runs=2000000
# Most messages are short, and short ones are quick; every tenth execution takes from longer ones, and deeper.
readonly short_bytes=512 long_bytes=4096
export ASAN_OPTIONS=${ASAN_OPTIONS-} UBSAN_OPTIONS=print_stacktrace=1

scripts/setup.sh
tool() { command -v "$1-16" || command -v "$1"; }
if [[ ! -e $build/build.ninja ]]; then
  CXX="ccache $(tool clang++)" meson setup "$build" -Dfuzz=true -Db_lundef=false -Doptimization=2 >/dev/null
fi

executions_of() { sed -n 's/^stat::number_of_executed_units: *//p' "$1"; } # LOG

# Runs a fuzzer from the corpus of the tree; what it finds goes to FOUND.
fuzz() { # PROGRAM FOUND LOG OPTION…
  local program=$1 found=$2 log=$3
  shift 3
  mkdir -p "$found"
  "$build/tests/fuzz/$program" -seed="$seed" -print_final_stats=1 -artifact_prefix="$build/difference-$program-" \
    "$@" "$found" "$corpus" >"$log" 2>&1
}

echo "seed $seed"
rm -rf "$build/found"

if [[ $target != decoder ]]; then
  ninja -C "$build" --quiet "tests/fuzz/${target}_fuzzer"
  log=$build/fuzz-$target.log
  if ! fuzz "${target}_fuzzer" "$build/found/$target" "$log" -runs="$runs" -max_len="$short_bytes"; then
    tail -n 60 "$log" >&2
    echo "fuzz.sh: $target fails (seed $seed)" >&2
    exit 1
  fi
  echo "$target: $(executions_of "$log") executions, nothing found, in $SECONDS s"
  exit 0
fi

planted=()
for patch in tests/fuzz/planted/*.patch; do planted+=("$(basename "$patch" .patch)"); done
ninja -C "$build" --quiet tests/fuzz/decoder_fuzzer tests/fuzz/decoder_coverage "${planted[@]/#/tests/fuzz/decoder_fuzzer_}"
for bug in "${planted[@]}"; do
  log=$build/planted-$bug.log
  if fuzz "decoder_fuzzer_$bug" "$build/found/planted-$bug" "$log" -dict="$dictionary" -runs="$planted_runs" -max_len="$short_bytes"; then
    echo "fuzz.sh: $planted_runs executions did not find the planted bug $bug (tests/fuzz/planted/$bug.patch): see $log" >&2
    exit 1
  fi
  # Whatever else ended it found nothing.
  if ! grep -q -e 'The decoder and the reference differ' -e 'ERROR: AddressSanitizer' -e 'runtime error' "$log"; then
    tail -n 30 "$log" >&2
    exit 1
  fi
  echo "planted bug $bug: found after $(executions_of "$log") executions"
  rm -f "$build/difference-decoder_fuzzer_$bug-"*
done

executions=0
for length in "$short_bytes" "$long_bytes"; do
  part=$((runs / 10))
  [[ $length == "$long_bytes" ]] || part=$((runs - part))
  log=$build/fuzz-$length.log
  if ! fuzz decoder_fuzzer "$build/found/decoder" "$log" -dict="$dictionary" -runs="$part" -max_len="$length"; then
    tail -n 60 "$log" >&2
    echo "fuzz.sh: a difference (seed $seed)" >&2
    exit 1
  fi
  executions=$((executions + $(executions_of "$log")))
  echo "messages of up to $length bytes: $(executions_of "$log") executions, no difference"
done
echo "$executions executions, no difference, in $SECONDS s"

LLVM_PROFILE_FILE=$build/decoder.profraw "$build/tests/fuzz/decoder_coverage" -runs=0 "$build/found/decoder" "$corpus" >"$build/coverage.log" 2>&1
"$(tool llvm-profdata)" merge -o "$build/decoder.profdata" "$build/decoder.profraw"
"$(tool llvm-cov)" report "$build/tests/fuzz/decoder_coverage" -instr-profile="$build/decoder.profdata" src/feed/decoder*.cpp src/feed/decoder*.hpp >"$build/coverage.txt"
cat "$build/coverage.txt"
# The columns in threes, from the second: regions, functions, lines, branches; of each: all, missed, the part covered.
read -r lines missed < <(awk '$1 == "TOTAL" { print $8, $9 }' "$build/coverage.txt")
echo "decoder: $((lines - missed)) of $lines lines covered ($(find "$build/found/decoder" "$corpus" -type f | wc -l) inputs)"
if ((100 * (lines - missed) < lines_percent_min * lines)); then
  echo "fuzz.sh: less than $lines_percent_min % of the decoder's lines" >&2
  exit 1
fi
