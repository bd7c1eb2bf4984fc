"""What reads a whole topic of a real Kafka: `mdpipe tail --json` and `mdpipe store`, beside `kcat -C` (values alone) and
`kcat -C -J` (JSON with partition, offset, key and time, as tail writes it). Alternating; the time of each is from its
process's start to its end, and each has to have written a line for every message before its time counts.

librdkafka stops fetching when its queue is full and looks up to a second later whether there is room: kcat has that, too.

  TRADES=N scripts/bench.sh --kafka     messages in the topic (2,000,000)
"""
import os, shutil, statistics, subprocess, tempfile, time

from whole_path import MDPIPE, MDREPLAY, ROOT, output

ROUNDS = 3


def timed(directory, count, *command):
    """Messages a second; what is written goes to a file."""
    lines = f'{directory}/lines'
    with open(lines, 'wb') as out:
        begin = time.monotonic()
        subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True)
        seconds = time.monotonic() - begin
    with open(lines, 'rb') as text:
        written = sum(block.count(b'\n') for block in iter(lambda: text.read(1 << 20), b''))
    os.unlink(lines)
    assert written == count, f'{command[:2]}: {written} of {count} lines'
    return count / seconds


def stored(directory, bootstrap, count, number):
    files = f'{directory}/trades-{number}'
    begin = time.monotonic()
    output(MDPIPE, 'store', '--kafka', bootstrap, '--group', f'bench-{number}', '--until-end', '--listen', 'none', '--store', files)
    seconds = time.monotonic() - begin
    written = 0
    for name in os.listdir(files):
        if name.endswith('.jsonl'):
            with open(f'{files}/{name}', 'rb') as text:
                written += sum(block.count(b'\n') for block in iter(lambda: text.read(1 << 20), b''))
    shutil.rmtree(files)
    assert written == count, f'mdpipe store: {written} of {count} lines'
    return count / seconds


def main():
    directory = tempfile.mkdtemp(prefix='mdpipe-bench-')
    kafka = [f'{ROOT}/scripts/kafka.sh', '--data', f'{directory}/kafka', '--port', '29481']
    count, bootstrap = int(os.environ.get('TRADES', '2000000')), '127.0.0.1:29481'
    try:
        output(kafka[0], 'start', *kafka[1:])
        output(MDPIPE, 'topics', 'create', '--kafka', bootstrap)
        session = f'{directory}/session.jsonl'
        output(MDREPLAY, 'generate', '--plain', '--symbols', 24, '--trades', count, '--seed', 1, '-o', session)
        output(MDREPLAY, 'kafka', session, '--kafka', bootstrap, '--speed', 'max')
        os.unlink(session)
        read = ['kcat', '-b', bootstrap, '-C', '-q', '-e', '-o', 'beginning', '-t', 'raw-market-data']
        rates = {name: [] for name in ('mdpipe tail --json', 'mdpipe store', 'kcat -C', 'kcat -C -J')}
        for number in range(ROUNDS):
            rates['kcat -C'].append(timed(directory, count, *read))
            rates['mdpipe tail --json'].append(timed(directory, count, MDPIPE, 'tail', '--kafka', bootstrap, '--partitions', '0,1,2', '--from',
                                                     'earliest', '--until-end', '--json', '--listen', 'none'))
            rates['kcat -C -J'].append(timed(directory, count, *read, '-J'))
            rates['mdpipe store'].append(stored(directory, bootstrap, count, number))
        for name, seen in rates.items():
            ratio = '' if name.startswith('kcat') else f'  x_kcat {statistics.median(seen) / statistics.median(rates["kcat -C"]):.2f}'
            print(f'{name:20} {statistics.median(seen):10,.0f} messages/s ({min(seen):,.0f} to {max(seen):,.0f}){ratio}')
    finally:
        subprocess.run([kafka[0], 'stop', *kafka[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == '__main__':
    main()
