#!/usr/bin/env bash
# A real Apache Kafka on 127.0.0.1, for tests and demonstrations: no Docker, no ZooKeeper.
#
#   scripts/kafka.sh start [--port P] [--nodes N] [--data DIR]    starts it (9092, one node, build/kafka) and waits until it answers
#                    [--set KEY=VALUE]...                         with such lines in its server.properties
#                    [--user NAME:PASSWORD]...                    who may come in by SCRAM-SHA-512 (from the first start on)
#                    [--version V]                                another Kafka than the pinned one
#   scripts/kafka.sh stop | status [--data DIR]
#
# The broker is Kafka's own, from its Maven artifacts, kept under ${XDG_CACHE_HOME:-~/.cache}/mdpipe. With --nodes 3 the
# nodes listen on P, P+1, P+2. Their controllers take the ports 1000 above.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly scala=2.13 log4j=2.25.4
version=4.3.1
verb=${1-}
shift || true
port=9092 nodes=1 data=build/kafka
settings=() users=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --port) port=$2; shift 2 ;;
    --nodes) nodes=$2; shift 2 ;;
    --data) data=$2; shift 2 ;;
    --set) settings+=("$2"); shift 2 ;;
    --version) version=$2; shift 2 ;;
    --user) users+=(--add-scram "SCRAM-SHA-512=[name=${2%%:*},password=${2#*:}]"); shift 2 ;;
    *) echo "kafka.sh: unknown option $1" >&2; exit 2 ;;
  esac
done
readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/mdpipe/kafka-$version

fetch() {
  [[ -e $cache/.complete ]] && return
  for tool in mvn java; do
    command -v $tool >/dev/null || { echo "kafka.sh: there is no $tool here: run scripts/setup.sh" >&2; exit 3; }
  done
  local work
  work=$(mktemp -d)
  cat >"$work/pom.xml" <<X
<project><modelVersion>4.0.0</modelVersion><groupId>mdpipe</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_$scala</artifactId><version>$version</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$version</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$log4j</version></dependency>
</dependencies></project>
X
  mkdir -p "$cache"
  if ! mvn -q -B -f "$work/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$cache" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    rm -rf "$work"
    exit 3
  fi
  rm -rf "$work"
  touch "$cache/.complete"
}

configure() { # NODE
  local node=$1 dir=$data/node-$1 voters=
  for n in $(seq "$nodes"); do voters+=${voters:+,}$n@127.0.0.1:$((port + 999 + n)); done
  mkdir -p "$dir"
  local copies=$((nodes < 3 ? nodes : 3))
  cat >"$dir/server.properties" <<X
process.roles=broker,controller
node.id=$node
controller.quorum.voters=$voters
listeners=PLAINTEXT://127.0.0.1:$((port + node - 1)),CONTROLLER://127.0.0.1:$((port + 999 + node))
advertised.listeners=PLAINTEXT://127.0.0.1:$((port + node - 1))
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/log
auto.create.topics.enable=false
delete.topic.enable=true
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=$copies
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.min.isr=1
X
  # The last of a name wins.
  if [[ ${#settings[@]} -gt 0 ]]; then printf '%s\n' "${settings[@]}" >>"$dir/server.properties"; fi
  cat >"$dir/log4j2.properties" <<X
status=error
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c %m%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
X
}

alive() { # NODE
  local pid
  pid=$(cat "$data/node-$1/pid" 2>/dev/null) && [[ -r /proc/$pid/cmdline && $(tr '\0' ' ' <"/proc/$pid/cmdline") == *kafka.Kafka*"$data/node-$1/"* ]]
}
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start() {
  fetch
  mkdir -p "$data"
  data=$(cd "$data" && pwd)
  local id=$data/cluster-id
  # 16 random bytes in base64 without padding: what Kafka calls a cluster id. One that began with - would be an option.
  [[ -s $id ]] || head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' | sed 's/^-/A/' >"$id"
  for node in $(seq "$nodes"); do
    if alive "$node"; then continue; fi
    if answers $((port + node - 1)); then echo "kafka.sh: port $((port + node - 1)) is taken: choose another with --port" >&2; exit 3; fi
    configure "$node"
    local dir=$data/node-$node
    if [[ ! -e $dir/log/meta.properties ]]; then
      java -Xmx128m -cp "$cache/*" kafka.tools.StorageTool format -t "$(<"$id")" -c "$dir/server.properties" "${users[@]}" >"$dir/format.log" 2>&1 ||
        { cat "$dir/format.log" >&2; exit 3; }
    fi
    nohup java -Xmx512m -XX:+UseSerialGC "-Dlog4j2.configurationFile=$dir/log4j2.properties" -cp "$cache/*" \
      kafka.Kafka "$dir/server.properties" >>"$dir/broker.log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
  done
  echo "$port $nodes" >"$data/running"
  for node in $(seq "$nodes"); do
    for _ in $(seq 600); do
      if answers $((port + node - 1)); then continue 2; fi
      alive "$node" || { tail -n 30 "$data/node-$node/broker.log" >&2; exit 3; }
      sleep 0.1
    done
    echo "kafka.sh: node $node does not answer; see $data/node-$node/broker.log" >&2
    exit 3
  done
  status
}

each_node() {
  for dir in "$data"/node-*; do [[ -d $dir ]] && echo "${dir##*-}"; done
}

stop() {
  [[ -d $data ]] || return 0
  data=$(cd "$data" && pwd)
  for node in $(each_node); do
    if alive "$node"; then kill "$(<"$data/node-$node/pid")"; fi
  done
  for node in $(each_node); do
    for _ in $(seq 100); do
      alive "$node" || break
      sleep 0.1
    done
    # A broker whose controllers are gone already waits for them for minutes.
    if alive "$node"; then kill -9 "$(<"$data/node-$node/pid")"; fi
    rm -f "$data/node-$node/pid"
  done
}

status() {
  [[ -d $data ]] || { echo "not running"; return 1; }
  data=$(cd "$data" && pwd)
  local running=0
  for node in $(each_node); do
    if alive "$node"; then
      running=$((running + 1))
      echo "node $node: running (pid $(<"$data/node-$node/pid"))"
    else
      echo "node $node: stopped"
    fi
  done
  [[ $running -gt 0 ]] && echo "bootstrap: 127.0.0.1:$(cut -d' ' -f1 "$data/running")"
}

case $verb in
  start) start ;;
  stop) stop ;;
  status) status ;;
  *) sed -n '2,12p' "$0" >&2; exit 2 ;;
esac
