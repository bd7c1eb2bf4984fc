"""What is judged after a fault: the venue's log against the journal, the journal against topics, files and metrics.

The judges are independent of mdpipe: journal_file.py reads the journal's bytes by its FORMAT.md, the oracles of the shared
references read Kafka and the files."""
import base64, bisect, collections, os, re

import journal_file
from fault_log import ends
from harness import *

Killed = collections.namedtuple('Killed', 'time_ns in_flight position')


def sent_frames(log):
    """The frames that mdreplay serve has sent, by connection, in order."""
    connections = collections.OrderedDict()
    with open(log, 'rb') as lines:
        for line in lines:
            head = re.match(rb'\{"time_ns":\d+,"connection":(\d+),"event":"(\w+)"', line)
            frames = connections.setdefault(int(head.group(1)), [])
            if head.group(2) == b'frame':
                what, _, rest = line[head.end():].rstrip(b'\n')[:-1].partition(b':')
                frames.append(rest if what == b',"frame"' else base64.b64decode(rest.strip(b'"')))
    return connections


def journal_connections(records):
    """The frames that the journal holds, by connection, in order."""
    connections = collections.OrderedDict()
    current = None
    for record in records:
        if isinstance(record, journal_file.Event):
            if record.kind == 'connected':
                assert record.connection not in connections, f'connection {record.connection} begins twice'
                current = connections.setdefault(record.connection, [])
        else:
            current.append(record)
    return connections


def cut_messages(faults):
    """Of which connections the venue has sent but a beginning of the last message: how many bytes, as they are on the wire."""
    return {fault['connection']: fault['sent_bytes'] for fault in faults if fault['kind'] == 'stall' and ends(fault)}


def judge_beginnings(sent, connections, cut=None):
    """Each connection's frames in the journal are a contiguous beginning of what the venue has sent on it; behind all of it may
    lie what there was of a message that it has `cut`."""
    heard = 0
    left = iter(sent.items())
    for number, records in connections.items():
        frames = [record.payload for record in records]
        if not frames:
            continue
        # A life that ended between connecting and committing anything leaves a connection that the journal knows nothing of.
        at, its = next(((n, f) for n, f in left if f and f[0] == frames[0]), (None, []))
        assert at is not None, f'connection {number} of the journal begins with what no connection of the venue began with'
        if at in (cut or {}) and len(frames) == len(its) + 1:
            head = cut[at] - len(frames.pop())
            assert head in (2, 4), f'connection {number}: {cut[at]} bytes were sent of its last message, with a head of {head}'
        first = next((i for i, (a, b) in enumerate(zip(frames, its)) if a != b), min(len(frames), len(its)))
        assert frames == its[:len(frames)], f'connection {number}: frame {first} of {len(frames)} is not what the venue sent on its {at}'
        heard += len(frames)
    return heard, sum(len(frames) for frames in sent.values())


def judge_positions(records):
    """Positions are contiguous: every record takes one, then each of its trades."""
    last = 0
    for record in records:
        assert record.position > last, (last, record.position)
        positions = [record.position] + [t.position for t in getattr(record, 'trades', [])]
        assert positions == list(range(positions[0], positions[0] + len(positions))), positions[:10]
        last = positions[-1]


def committed_just_before(records, kills, within_ns=100_000_000):
    """Those of the kills before which trades were committed. A kill's time is taken before the signal."""
    times = sorted(record.receive_ns for record in records if getattr(record, 'trades', None))
    counted = []
    for kill in kills:
        at = bisect.bisect_right(times, kill.time_ns)
        if at and kill.time_ns - times[at - 1] <= within_ns:
            counted.append(kill)
    return counted


def judge_commits(records, kills):
    """What a life said that it had committed, just before it was killed, the journal holds."""
    times = [record.receive_ns for record in records]
    ends = [(record.trades[-1] if getattr(record, 'trades', None) else record).position & (1 << 48) - 1 for record in records]
    symbols = 4  # of a new symbol a record of its own comes before its first trade: it has a position, and no time
    for kill in kills:
        at = bisect.bisect_right(times, kill.time_ns)
        assert kill.position <= (ends[at - 1] if at else 0) + symbols, (kill, ends[at - 1])


def export(directory, records, journal='journal'):
    """The journal's trades as a session, by mdpipe; by the second hand they must be the same."""
    path = f'{directory}/exported.jsonl'
    run(MDPIPE, 'journal', 'export', f'{directory}/{journal}', '-o', path)
    with open(path, 'rb') as lines:
        exported = lines.read().splitlines()
    read = [t.text.replace(b'\r', b' ').replace(b'\n', b' ') for record in records for t in getattr(record, 'trades', [])]
    assert exported == read, f'{len(exported)} trades exported, {len(read)} in the journal'
    return path


def raw_duplicates(said):
    return int((re.findall(r'(\d+) raw duplicates', said) or ['0'])[-1])


def judge_topic(bootstrap, *sessions, flags=(), expect=0, topic='raw-market-data'):
    """Raw duplicates; fails where the topic differs after the filter."""
    said = oracle('topic.py', *flags, '--bootstrap', bootstrap, '--topic', topic, *sessions, expect=expect).strip()
    print('# topic: ' + said.splitlines()[-1])
    return raw_duplicates(said)


def judge_files(folder_, *sessions, expect=0):
    print('# files: ' + oracle('store.py', folder_, *sessions, expect=expect).strip().splitlines()[-1])


def judge_metrics(directory, bootstrap, session, topic='aggregated-metrics', expect=0):
    """Raw duplicates of the metrics; fails where they differ from an offline recomputation."""
    path = f'{directory}/metrics.jsonl'
    dump = oracle('topic.py', '--bootstrap', bootstrap, '--topic', topic, '--dump').splitlines()
    with open(path, 'w', encoding='utf-8') as out:
        out.write('\n'.join(line for line in dump if line.startswith('{')) + '\n')
    print('# metrics: ' + oracle('metrics.py', '--compare', session, path, expect=expect).strip().splitlines()[-1])
    return raw_duplicates('\n'.join(line for line in dump if not line.startswith('{')))


def judge_all(directory, bootstrap, session, flags=()):
    """Topic, files and metrics against the session: (raw duplicates of trades, of metrics)."""
    duplicates = judge_topic(bootstrap, session, flags=flags)
    judge_files(f'{directory}/trades', session)
    return duplicates, judge_metrics(directory, bootstrap, session)


def seed_of(name='MDPIPE_TEST_SEED'):
    """The seed that the environment asks for, else a new one; printed, so that a failure can be had again."""
    seed = int(os.environ.get(name) or int.from_bytes(os.urandom(4), 'little'))
    print(f'# seed {seed} ({name})', flush=True)
    return seed
