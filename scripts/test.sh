#!/usr/bin/env bash
# All tests: unit and end to end with gcc, the tree's rules, clang-tidy, AddressSanitizer with UndefinedBehaviorSanitizer,
# ThreadSanitizer (clang), a real Kafka. Installs what is missing. Last line: N passed, N failed, N skipped.
#
#   scripts/test.sh            from nothing it builds three times over: much less with warm caches
#   scripts/test.sh --long     also what takes longer: fuzzing, every kill loop at full length, 10,000 images of a power loss
#
# The references that some tests compare with lie in MDPIPE_SHARED (../shared); where that folder exists, a test that
# skips for want of something in it has failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

long=''
case ${1-} in
  '') ;;
  --long) long=1 ;;
  *) sed -n '2,9p' "$0"; exit 2 ;;
esac

scripts/setup.sh || exit
clang=$(command -v clang++-16 || command -v clang++)
shared=${MDPIPE_SHARED:-$PWD/../shared}
[[ ! -d $shared ]] || export MDPIPE_SHARED=$shared
export MDPIPE_TEST_PATIENCE_S=${MDPIPE_TEST_PATIENCE_S:-120}
# Not detect_stack_use_after_return: gcc 12 then puts what must lie at multiples of 64 at multiples of 32.
export ASAN_OPTIONS=detect_stack_use_after_return=0:strict_string_checks=1:check_initialization_order=1
export UBSAN_OPTIONS=print_stacktrace=1
# What is suppressed is told by its name: without a symbolizer there are none. It is named here, for clang-16 looks in PATH
# only for one of its own version, and any does.
symbolizer=$(command -v llvm-symbolizer-16 || command -v llvm-symbolizer) || { echo 'test.sh: no llvm-symbolizer; install llvm' >&2; exit 3; }
export TSAN_OPTIONS=suppressions=$PWD/tests/thread.suppressions:halt_on_error=1:second_deadlock_stack=1:external_symbolizer_path=$symbolizer
if [[ $long ]]; then
  export MDPIPE_TEST_LONG=1 MDPIPE_FAULT_IMAGES=${MDPIPE_FAULT_IMAGES:-10000} MDPIPE_TEST_TIMES=${MDPIPE_TEST_TIMES:-5}
  export MDPIPE_KILLS=${MDPIPE_KILLS:-1000} MDPIPE_KILLS_HELD_BACK=${MDPIPE_KILLS_HELD_BACK:-30} MDPIPE_CONSUMER_KILLS=${MDPIPE_CONSUMER_KILLS:-200}
  export MDPIPE_BROKER_KILLS=${MDPIPE_BROKER_KILLS:-10} MDPIPE_BROKER_AWAY_S=${MDPIPE_BROKER_AWAY_S:-60} MDPIPE_NO_LEADER_S=${MDPIPE_NO_LEADER_S:-20} MDPIPE_PROXY_FAULTS=${MDPIPE_PROXY_FAULTS:-50} MDPIPE_STOPPED_S=${MDPIPE_STOPPED_S:-30}
  export MDPIPE_FAULT_RECORDS=${MDPIPE_FAULT_RECORDS:-100000000} MDPIPE_REPLAY_KILLS=${MDPIPE_REPLAY_KILLS:-50} MDPIPE_HOUR_S=${MDPIPE_HOUR_S:-3600}
fi

results=build-results
rm -rf "$results"
mkdir -p "$results"
say() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

# One case that is a command: it passes or fails.
step() { # NAME COMMAND…
  local name=$1 log
  shift
  say "$name"
  log=$results/$(tr -c 'a-z0-9\n' '-' <<<"$name").txt
  if "$@" >"$log" 2>&1; then
    echo passed >"$log.result"
  else
    tail -n 60 "$log"
    echo "FAILED: $name"
    echo failed >"$log.result"
    return 1
  fi
}

configure_and_build() { # FOLDER COMPILER OPTION…
  local folder=$1 compiler=$2
  shift 2
  if [[ ! -e $folder/build.ninja ]]; then
    CXX="ccache $compiler" meson setup "$folder" "$@" || return
  fi
  ninja -C "$folder"
}

run_suites() { # NAME FOLDER SUITE…   every case of them counts by itself
  local name=$1 folder=$2 suites=() suite
  shift 2
  say "$name: $*"
  for suite; do suites+=(--suite "$suite"); done
  meson test -C "$folder" --no-rebuild --print-errorlogs --timeout-multiplier 4 "${suites[@]}" 2>&1 | grep --line-buffered -v '^ninja: \|^$'
  echo "${PIPESTATUS[0]}" >"$results/$name.exit"
  cp "$folder/meson-logs/testlog.junit.xml" "$results/$name.xml"
}

passed() { [[ $(cat "$results/$1.txt.result" 2>/dev/null) == passed ]]; }

# While the suites wait for brokers, sockets and clocks, the other builds and clang-tidy take what is left.
beside() {
  renice -n 10 -p "$BASHPID" >/dev/null
  step 'address build' configure_and_build build-asan g++ -Db_sanitize=address,undefined -Doptimization=1 -Dcpp_args=-g1
  step 'thread build' configure_and_build build-tsan "$clang" -Db_sanitize=thread -Db_lundef=false -Doptimization=1 -Dcpp_args=-g1
  step clang-tidy scripts/tidy.sh ${long:+--all} build-gcc
}

if step 'gcc build' configure_and_build build-gcc g++ -Dbench=true; then
  beside &
  others=$!
  run_suites gcc build-gcc unit shared tree install model e2e broker
  until [[ -e $results/thread-build.txt.result ]] || ! kill -0 "$others" 2>/dev/null; do sleep 1; done
fi
if passed address-build; then
  run_suites address-and-undefined build-asan unit e2e
fi
if passed thread-build; then
  run_suites thread build-tsan unit e2e
fi
wait  # for clang-tidy
if [[ $long ]]; then
  step 'fuzz the decoder, 10 million executions' scripts/fuzz.sh 10000000
  for target in journal header state store; do
    step "fuzz $target, 20,000 executions" scripts/fuzz.sh "$target" 20000
  done
fi

say 'Result'
python3 tests/count_cases.py "$results" "${MDPIPE_SHARED-}"
