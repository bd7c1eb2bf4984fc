#!/usr/bin/env bash
# The benchmarks: each proves its answer, then times itself beside its peers in the same run, and prints ratios (x_peer:
# how many times as fast as the peer; counters without x_ are rates or nanoseconds).
#
#   scripts/bench.sh            decoder, journal (append and hop), aggregator: two minutes
#   scripts/bench.sh --kafka    also the whole path into a real Kafka, and reading a topic, beside kcat with the
#                               same messages, and mdreplay kafka beside a bare librdkafka loop and kcat
#   scripts/bench.sh --pacing SESSION [--from T] [--to T] [--speed N]...
#                               how well mdreplay serve keeps the times of a session (bench/replay/pacing.py)
set -euo pipefail
cd "$(dirname "$0")/.."

kafka='' pacing=''
case ${1-} in
  '') ;;
  --kafka) kafka=1 ;;
  --pacing) shift; pacing=1 ;;
  *) sed -n '2,9p' "$0"; exit 2 ;;
esac

[[ -e build-bench/build.ninja ]] || {
  scripts/setup.sh --build
  CXX="${CXX:-ccache g++}" meson setup build-bench -Dbench=true -Dtests=false >/dev/null
}
ninja -C build-bench --quiet

printf '%s · %s cores · %s\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" "$(build-bench/tools/mdpipe --version)"
[[ ! $pacing ]] || exec python3 bench/replay/pacing.py "$@"
build-bench/bench/feed/decoder_bench --benchmark_filter=ratios --benchmark_counters_tabular=true
build-bench/bench/journal/journal_bench --benchmark_counters_tabular=true
build-bench/bench/stage/aggregate_bench --benchmark_counters_tabular=true
if [[ $kafka ]]; then
  python3 bench/flow/whole_path.py
  python3 bench/flow/consumers.py
  python3 bench/replay/kafka_rate.py
fi
