#!/usr/bin/env bash
# The main job, end to end, with nothing but this checkout: a generated session is played by `mdreplay serve` as the venue
# would, heard by `mdpipe run`, written to the journal, published, aggregated and stored; an independent client reads back.
#
#   scripts/demo.sh            into the broker that is built in (it forgets everything when mdpipe ends)
#   scripts/demo.sh --kafka    into a real Apache Kafka on 127.0.0.1, started and stopped by this script
set -euo pipefail
cd "$(dirname "$0")/.."

real_kafka=''
case "${1-}" in
  '') ;;
  --kafka) real_kafka=1 ;;
  *) sed -n '2,7p' "$0"; exit 2 ;;
esac

readonly trades=20000 symbols=12 rate=8000 seed=7
readonly out=data/demo build=${BUILD:-build}
venue='' pipe=''
finish() {
  for pid in $pipe $venue; do kill "$pid" 2>/dev/null || true; done
  [[ ! $real_kafka ]] || scripts/kafka.sh stop --data "$out/kafka" >/dev/null 2>&1 || true
}
trap finish EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
# The first capture of a pattern in a file, waiting for it as long as its writer lives.
wait_for() { # FILE PATTERN PID
  local found
  for _ in $(seq 600); do
    found=$(sed -nE "s/.*$2.*/\\1/p" "$1" | head -n 1)
    [[ ! $found ]] || { echo "$found"; return; }
    kill -0 "$3" 2>/dev/null || break
    sleep 0.05
  done
  echo "demo.sh: no /$2/ in $1:" >&2
  cat "$1" >&2
  return 1
}

setup=(scripts/setup.sh --build)
[[ ! $real_kafka ]] || setup=(scripts/setup.sh --kafka)
"${setup[@]}"
scripts/build.sh --quiet --programs
rm -rf "$out"
mkdir -p "$out"
touch "$out/mdpipe.log"

kafka=embedded
if [[ $real_kafka ]]; then
  say 'A real Apache Kafka, on 127.0.0.1'
  port=$((20000 + RANDOM % 20000))
  scripts/kafka.sh start --port "$port" --data "$out/kafka"
  kafka=127.0.0.1:$port
  "$build"/tools/mdpipe topics create --kafka "$kafka"
fi

say 'A session of the project'"'"'s own, and a venue that plays it'
"$build"/replay/mdreplay generate --symbols $symbols --trades $trades --seed $seed -o "$out/session.jsonl.gz"
"$build"/replay/mdreplay info "$out/session.jsonl.gz" | head -n 12
"$build"/replay/mdreplay serve "$out/session.jsonl.gz" --listen 127.0.0.1:0 --rate $rate --once >"$out/venue.log" 2>&1 &
venue=$!
address=$(wait_for "$out/venue.log" '(127\.0\.0\.1:[0-9]+)' "$venue")
"$build"/replay/mdreplay info "$out/session.jsonl.gz" --list-symbols >"$out/symbols.txt"

say "mdpipe hears it: journal, Kafka ($kafka), metrics, files"
"$build"/tools/mdpipe run --feed "ws://$address" --symbols "@$out/symbols.txt" --kafka "$kafka" \
  --journal "$out/journal" --store "$out/trades" --listen 127.0.0.1:0 --progress 2> >(tee "$out/mdpipe.log" >&2) &
pipe=$!
bootstrap=$(wait_for "$out/mdpipe.log" 'bootstrap=([0-9.:]+)' "$pipe")
health=$(wait_for "$out/mdpipe.log" 'health=([0-9.:]+)' "$pipe")
wait "$venue" || true
venue=''

# The venue has played everything: wait until the broker has acknowledged it.
acknowledged=0
for _ in $(seq 200); do
  acknowledged=$(scripts/get.sh "$health" /metrics | sed -nE 's/^mdpipe_kafka_acknowledged_total\{.*topic="raw-market-data".*\} ([0-9]+).*/\1/p')
  [[ ${acknowledged:-0} -lt $trades ]] || break
  sleep 0.1
done

say "Read back from Kafka by kcat: the last three trades of each partition, then metrics"
kcat -b "$bootstrap" -t raw-market-data -C -o -3 -e -q -f '  partition %p  offset %o  key %k  %s\n'
kcat -b "$bootstrap" -t aggregated-metrics -C -o -1 -e -q -f '  %s\n'

say 'Stopped (SIGTERM): the summary, in which the counts add up'
kill -TERM "$pipe"
wait "$pipe"
pipe=''

say 'What it wrote'
find "$out/trades" "$out/journal" -name '*.jsonl' -printf '  %12s  %p\n' -o -name '*.segment' -printf '  %12s  %p\n' | sort -k 2
head -n 2 "$out"/trades/*.jsonl

say 'Try next'
cat <<X
  $build/tools/mdpipe journal export $out/journal --frames >mine.jsonl && $build/replay/mdreplay info mine.jsonl
  scripts/demo.sh --kafka        the same into a real Apache Kafka
  FINNHUB_API_KEY=… $build/tools/mdpipe run --kafka embedded        live trades
  $build/tools/mdpipe run --help
X
