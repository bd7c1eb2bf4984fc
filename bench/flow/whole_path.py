"""The whole path on a real Kafka: mdreplay serve -> mdpipe run (journal, publish, aggregate, store) -> Kafka, beside
`kcat -P -l` with the same trades. Five rounds, alternating; the time of each is from its process's start to its end.

Before a number counts its answer is proven: the summary says that every trade was published and stored, and the topic
holds as many messages as there are trades. kcat sends neither header nor time stamp, parses nothing and stores nothing.

  SESSION=FILE scripts/bench.sh --kafka     another session than a generated one
"""
import os, re, shutil, statistics, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MDPIPE, MDREPLAY = f'{ROOT}/build-bench/tools/mdpipe', f'{ROOT}/build-bench/replay/mdreplay'
ROUNDS = 5


def output(*command, **more):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    if done.returncode != 0:
        sys.exit(f'{command[:3]} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}')
    return done.stdout


def count_messages(bootstrap, topic):
    described = output(MDPIPE, 'topics', 'describe', '--kafka', bootstrap, '--raw-topic', topic)
    return int(re.search(rf'^{re.escape(topic)} .* (\d+) offsets$', described, re.M).group(1))


def play(directory, session, symbols, bootstrap, round_number):
    topics = [f'--raw-topic=raw-{round_number}', f'--metrics-topic=metrics-{round_number}', f'--dead-letter-topic=dead-{round_number}']
    output(MDPIPE, 'topics', 'create', '--kafka', bootstrap, *topics)
    venue = subprocess.Popen([MDREPLAY, 'serve', session, '--speed', 'max', '--once', '--listen', '127.0.0.1:0'], stdout=subprocess.PIPE, text=True)
    address = re.search(r'127\.0\.0\.1:\d+', venue.stdout.readline()).group(0)
    here = f'{directory}/{round_number}'
    begin = time.monotonic()
    said = output(MDPIPE, 'run', '--feed', f'ws://{address}', '--symbols', symbols, '--kafka', bootstrap, *topics, '--journal', f'{here}/journal',
                  '--store', f'{here}/trades', '--listen', 'none', '--once')
    seconds = time.monotonic() - begin
    venue.wait()
    trades = int(re.search(r'^trades\s+([\d,]+)', said, re.M).group(1).replace(',', ''))
    for what in ('published', 'stored'):
        assert re.search(rf'^  {what}\s+[\d,]+  = trades$', said, re.M), said
    assert count_messages(bootstrap, f'raw-{round_number}') == trades
    return trades, seconds, here


def produce_by_kcat(bootstrap, lines, round_number, trades):
    topic = f'kcat-{round_number}'
    output(MDPIPE, 'topics', 'create', '--kafka', bootstrap, '--raw-topic', topic)
    begin = time.monotonic()
    output('kcat', '-P', '-b', bootstrap, '-t', topic, '-K', '\t', '-z', 'snappy', '-X', 'enable.idempotence=true', '-l', lines)
    seconds = time.monotonic() - begin
    assert count_messages(bootstrap, topic) == trades
    return seconds


def main():
    directory = tempfile.mkdtemp(prefix='mdpipe-bench-')
    kafka = [f'{ROOT}/scripts/kafka.sh', '--data', f'{directory}/kafka', '--port', '29471']
    try:
        session = os.environ.get('SESSION')
        if not session:
            session = f'{directory}/session.jsonl.gz'
            output(MDREPLAY, 'generate', '--symbols', 24, '--trades', 400000, '--seed', 1, '-o', session)
        symbols = f'{directory}/symbols'
        with open(symbols, 'w') as out:
            out.write(output(MDREPLAY, 'info', session, '--list-symbols'))
        output(kafka[0], 'start', *kafka[1:])
        bootstrap = '127.0.0.1:29471'
        ours, theirs = [], []
        for number in range(-1, ROUNDS):  # the first warms the broker up and is not counted
            trades, seconds, here = play(directory, session, '@' + symbols, bootstrap, number + 1)
            lines = f'{here}/keyed'
            with open(lines, 'w') as out:
                for line in output(MDPIPE, 'journal', 'export', f'{here}/journal').splitlines():
                    out.write(re.search(r'"s"\s*:\s*"((?:[^"\\]|\\.)*)"', line).group(1) + '\t' + line + '\n')
            kcat = produce_by_kcat(bootstrap, lines, number + 1, trades)
            if number >= 0:
                ours.append(trades / seconds)
                theirs.append(trades / kcat)
            shutil.rmtree(here)
        for name, rates in (('mdpipe, whole path', ours), ('kcat -P -l', theirs)):
            print(f'{name:20} {statistics.median(rates):10,.0f} trades/s   ({min(rates):,.0f} to {max(rates):,.0f})')
        print(f'{"x_kcat":20} {statistics.median(ours) / statistics.median(theirs):10.2f}')
    finally:
        subprocess.run([kafka[0], 'stop', *kafka[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == '__main__':
    main()
