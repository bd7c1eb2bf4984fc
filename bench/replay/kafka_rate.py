"""mdreplay kafka SESSION --speed max on a real Kafka: the rate of the whole process, start and end included, beside a bare
librdkafka loop that sends the same messages with such a header (produce_floor), and beside `kcat -P -l`, which sends none.
Both peers have the messages ready in a file; mdreplay reads and decompresses the session. Each round runs them in another
order: whoever comes behind a process that has just freed its memory gets it warm.

Before a number counts its answer is proven: the topic holds as many messages as the session has trades.

  kafka_rate.py [SESSION]      ROUNDS=5, BOOTSTRAP=HOST:PORT of a broker that runs already
"""
import os, random, re, statistics, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('MDPIPE_BUILD', f'{ROOT}/build-bench')
MDPIPE, MDREPLAY = f'{BUILD}/tools/mdpipe', f'{BUILD}/replay/mdreplay'
ROUNDS = int(os.environ.get('ROUNDS', '5'))


def output(*command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f'{command[:3]} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}')
    return done.stdout


def timed(bootstrap, topic, trades, *command):
    output(MDPIPE, 'topics', 'create', '--kafka', bootstrap, '--raw-topic', topic)
    begin = time.monotonic()
    output(*command)
    seconds = time.monotonic() - begin
    described = output(MDPIPE, 'topics', 'describe', '--kafka', bootstrap, '--raw-topic', topic)
    assert int(re.search(rf'^{re.escape(topic)} .* (\d+) offsets$', described, re.M).group(1)) == trades, described
    return trades / seconds


def keyed_lines(session, directory):
    """Key, tab, value of every trade, sliced out by a decoder that keeps positions; how many."""
    import gzip, json
    decoder, lines, trades = json.JSONDecoder(), f'{directory}/keyed', 0
    with (gzip.open if session.endswith('.gz') else open)(session, 'rt') as source, open(lines, 'w') as out:
        for line in source:
            begin = line.find('"data":[')
            if begin < 0:
                continue
            at = begin + len('"data":[')
            while line[at] == '{':
                trade, end = decoder.raw_decode(line, at)
                out.write(f'{trade["s"]}\t{line[at:end]}\n')
                trades += 1
                at = end + 1 if line[end] == ',' else end
    return lines, trades


def main():
    bootstrap = os.environ.get('BOOTSTRAP') or '127.0.0.1:29473'
    run = f'{os.getpid()}-{int(time.time())}'
    with tempfile.TemporaryDirectory(prefix='mdpipe-bench-') as directory:
        kafka = [f'{ROOT}/scripts/kafka.sh', '--data', f'{directory}/kafka', '--port', '29473']
        if not os.environ.get('BOOTSTRAP'):
            output(kafka[0], 'start', *kafka[1:])
        try:
            session = sys.argv[1] if len(sys.argv) > 1 else f'{directory}/session.jsonl.gz'
            if len(sys.argv) < 2:
                output(MDREPLAY, 'generate', '--symbols', 24, '--trades', 400000, '--seed', 1, '--plain', '-o', session)
            lines, trades = keyed_lines(session, directory)
            commands = {
                'mdreplay kafka --speed max': lambda topic: [MDREPLAY, 'kafka', session, '--kafka', bootstrap, '--topic', topic, '--speed', 'max', '--quiet'],
                'bare librdkafka, same header': lambda topic: [f'{BUILD}/bench/replay/produce_floor', bootstrap, topic, lines],
                'kcat -P -l, no header': lambda topic: ['kcat', '-P', '-b', bootstrap, '-t', topic, '-K', '\t', '-z', 'snappy', '-X', 'enable.idempotence=true',
                                                       '-X', 'partitioner=murmur2_random', '-l', lines],
            }
            rates = {name: [] for name in commands}
            for number in range(-1, ROUNDS):  # the first warms the broker up and is not counted
                for place, (name, command) in random.sample(list(enumerate(commands.items())), len(commands)):
                    topic = f'rate-{run}-{number + 1}-{place}'
                    rate = timed(bootstrap, topic, trades, *command(topic))
                    if number >= 0:
                        rates[name].append(rate)
            ours = statistics.median(next(iter(rates.values())))
            for name, values in rates.items():
                middle = statistics.median(values)
                print(f'{name:30} {middle:10,.0f} trades/s   ({min(values):,.0f} to {max(values):,.0f})   x{ours / middle:.2f}', flush=True)
        finally:
            if not os.environ.get('BOOTSTRAP'):
                subprocess.run([kafka[0], 'stop', *kafka[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


if __name__ == '__main__':
    main()
