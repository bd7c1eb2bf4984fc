"""The same session, the same bytes: live, replayed, by one thread or many, fast or slow, through the journal or through Kafka.

Each way of playing a session gives one row of digests: per partition the keys and values of raw-market-data and
aggregated-metrics in order, and the files' lines per symbol. The first row is an oracle's, which reads the session alone."""
import atexit, collections, concurrent.futures, contextlib, datetime, decimal, functools, glob, hashlib, json, os, random, struct, sys

import fault_log, tap
from harness import *

LONG = bool(os.environ.get('MDPIPE_TEST_LONG'))
ONE_CALLER = os.environ.get('MDPIPE_ONE_CALLER')
RATIOS = {'avg_price', 'vwap', 'price_change_pct'}


def _oracle_modules():
    directory = tap.shared('oracle')
    tap.shared('oracle', 'sessions.py')
    if directory not in sys.path:
        sys.path.insert(0, directory)
    decimal.getcontext().prec = 60
    import metrics, partition, sessions, topic
    return metrics, partition, sessions, topic


@functools.lru_cache
def _broker():
    """One for all tests; each row has topics of its own."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(Broker(stack.enter_context(folder())))


class Digest:
    """Over parts in their order, each with its length."""

    def __init__(self):
        self.hash, self.count = hashlib.sha256(), 0

    def add(self, *parts):
        self.count += 1
        for part in parts:
            self.hash.update(struct.pack('<I', len(part)))
            self.hash.update(part)

    def text(self):
        return self.hash.hexdigest()[:12] if self.count else ''


def _texts(digests, partitions):
    return tuple(digests[p].text() for p in range(partitions))


def _as_numbers(metric):
    """A metric whatever its numbers look like: decimals that are equal, the same double."""
    shown = {}
    for key, value in metric.items():
        if isinstance(value, str):
            shown[key] = value
        else:
            shown[key] = repr(float(value)) if key in RATIOS else str(decimal.Decimal(value).normalize() + 0)
    return json.dumps(shown, sort_keys=True).encode()


class Row(collections.namedtuple('Row', 'name raw metrics numbers files')):
    def shown(self):
        files = Digest()
        for symbol in sorted(self.files):
            files.add(symbol.encode(), self.files[symbol].encode())
        return [self.name, *self.raw, *(self.metrics or ('–',) * len(self.numbers)), *self.numbers, files.text()]


def _date(ms):
    return datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc).strftime('%Y-%m-%d')


def _oracle_row(session, partitions, trades=None):
    """`trades`: their texts as the venue sent them, where the lines of the session have blanks in place of what ends a line."""
    metrics, partition, sessions, _ = _oracle_modules()
    raw, numbers = collections.defaultdict(Digest), collections.defaultdict(Digest)
    by_date = collections.defaultdict(list)
    sent = iter(trades or ())
    for symbol, text, ms in sessions.trades(session):
        raw[partition.partition(symbol.encode(), partitions)].add(symbol.encode(), next(sent) if trades else text.encode())
        by_date[symbol, _date(ms)].append(text)
    assert next(sent, None) is None, 'the session has fewer trades than were sent'
    files = collections.defaultdict(Digest)
    for symbol, date in sorted(by_date):
        for text in by_date[symbol, date]:
            files[symbol].add(text.encode())
    for metric in metrics.messages(session, 20, 10, None):
        numbers[partition.partition(metric['symbol'].encode(), partitions)].add(_as_numbers(metric))
    row = Row('oracle', _texts(raw, partitions), None, _texts(numbers, partitions), {s: d.text() for s, d in files.items()})
    assert all(row.raw) and all(row.numbers) and row.files and all(row.files.values()), row
    return row


def _messages(bootstrap, name):
    """What a reader gets that applies the filter, partition by partition."""
    topic = _oracle_modules()[3]
    last = {}
    for _, message in topic.messages(bootstrap, name):
        _, _, source, position, previous = struct.unpack('<BBQQQ', dict(message.headers())['mdp'])
        slot = (message.partition(), source)
        if position <= last.get(slot, 0):
            continue
        assert previous == last.get(slot, 0), f'a gap in {name}[{message.partition()}] at offset {message.offset()}'
        last[slot] = position
        yield message


def _row(name, bootstrap, partitions, store):
    raw, metrics, numbers = (collections.defaultdict(Digest) for _ in range(3))
    topics = f'{name}-raw', f'{name}-metrics'
    with concurrent.futures.ThreadPoolExecutor() as readers:  # each waits a while for the end
        raw_messages, metrics_messages = readers.map(lambda topic: list(_messages(bootstrap, topic)), topics)
    for message in raw_messages:
        raw[message.partition()].add(message.key(), message.value())
    for message in metrics_messages:
        metrics[message.partition()].add(message.key(), message.value())
        numbers[message.partition()].add(
            _as_numbers(json.loads(message.value(), parse_float=decimal.Decimal, parse_int=decimal.Decimal)))
    files = collections.defaultdict(Digest)
    for path in sorted(glob.glob(f'{store}/trades_*.jsonl')):
        with open(path, 'rb') as lines:
            for line in lines:
                files[json.loads(line)['s']].add(line.rstrip(b'\n'))
    return Row(name, *(_texts(d, partitions) for d in (raw, metrics, numbers)), {s: d.text() for s, d in files.items()})


class Gate:
    """One session, played in every way, each into topics of its own."""

    def __init__(self, directory, session):
        self.directory, self.broker, self.session = directory, _broker(), session
        self.symbols = run(MDREPLAY, 'info', session, '--list-symbols').split('\n')
        with open(f'{directory}/symbols.txt', 'w', encoding='utf-8') as out:
            out.write('\n'.join(self.symbols) + '\n')
        partition = _oracle_modules()[1].partition
        wanted = (3, 2, 4, 5, 6, 7, 1)  # so many that none is empty
        self.partitions = next(n for n in wanted if len({partition(s.encode(), n) for s in self.symbols if s}) == n)
        self.rows = [_oracle_row(session, self.partitions)]

    def topics(self, name):
        # One caller's messages are as old as the session: the broker would delete them when it next looks, half a minute on.
        run(MDPIPE, 'topics', 'create', '--kafka', self.broker.bootstrap, '--partitions', self.partitions, '--retention', '36500d',
            '--raw-topic', f'{name}-raw',
            '--metrics-topic', f'{name}-metrics', '--alerts-topic', f'{name}-alerts', '--dead-letter-topic', f'{name}-dead')
        return ['--raw-topic', f'{name}-raw', '--metrics-topic', f'{name}-metrics', '--alerts-topic', f'{name}-alerts',
                '--dead-letter-topic', f'{name}-dead']

    def add(self, name):
        self.rows.append(_row(name, self.broker.bootstrap, self.partitions, f'{self.directory}/{name}/trades'))

    def run(self, name, played, *serve_options, more=()):
        """A venue that plays it, mdpipe with every stage on a thread of its own, each pinned."""
        cores = sorted(os.sched_getaffinity(0))
        stages = ('feed', 'publish', 'aggregate', 'store')
        place = ','.join(f'{stage}={cores[i % len(cores)]}' for i, stage in enumerate(stages))
        topics = self.topics(name)
        venue, address = serve(played, '--once', *serve_options)
        with venue, mdpipe_run(f'{self.directory}/{name}', address, '--symbols', f'@{self.directory}/symbols.txt', '--place', place,
                               '--kafka', self.broker.bootstrap, '--once', *topics, *more) as pipe:
            pipe.wait()
            venue.wait()
        self.add(name)

    def one_caller(self, name):
        self.topics(name)
        place = f'{self.directory}/{name}'
        run(ONE_CALLER, self.session, f'{place}/journal', self.broker.bootstrap, f'{name}-raw', f'{name}-metrics', f'{name}-dead',
            f'{place}/trades')
        self.add(name)

    def consumers(self, name):
        self.topics(name)
        place = f'{self.directory}/{name}'
        kafka = ['--kafka', self.broker.bootstrap]
        run(MDREPLAY, 'kafka', self.session, *kafka, '--topic', f'{name}-raw', '--speed', 'max')
        partitions = ','.join(map(str, range(self.partitions)))
        common = [*kafka, '--topic', f'{name}-raw', '--partitions', partitions, '--until-end', '--listen', 'none',
                  '--dead-letter-topic', f'{name}-dead', '--group']
        with Process(MDPIPE, 'aggregate', *common, f'{name}-aggregate', '--state', f'{place}/state', '--metrics-topic', f'{name}-metrics') as a, \
                Process(MDPIPE, 'store', *common, f'{name}-store', '--store', f'{place}/trades') as b:
            a.wait()
            b.wait()
        self.add(name)

    def verify(self, name, *session, expect=0):
        """What mdreplay says of the same."""
        place = f'{self.directory}/{name}'
        journal = ['--journal', f'{place}/journal'] if os.path.isdir(f'{place}/journal') else []
        return run(MDREPLAY, 'verify', *(session or (self.session,)), '--kafka', self.broker.bootstrap, '--topic', f'{name}-raw', '--metrics',
                   f'{name}-metrics', '--store', f'{place}/trades', *journal, expect=expect)

    def judge(self):
        head = ['', *(f'raw {p}' for p in range(self.partitions)), *(f'metrics {p}' for p in range(self.partitions)),
                *(f'numbers {p}' for p in range(self.partitions)), 'files']
        table = [head, *(row.shown() for row in self.rows)]
        for line in table:
            print('#   ' + ' '.join(f'{cell:<{max(len(row[i]) for row in table)}}' for i, cell in enumerate(line)).rstrip())
        oracle_row, first = self.rows[0], self.rows[1]
        for row in self.rows[1:]:
            for part in ('raw', 'numbers', 'files'):
                assert getattr(row, part) == getattr(oracle_row, part), f'{part} of {row.name} are not what the session says'
            assert row.metrics == first.metrics and all(row.metrics), f'metrics of {row.name} and {first.name} differ'


def _sub_slice(directory, session, name, from_s, seconds):
    """Some seconds of it, in a session of its own."""
    first = json.loads(run(MDREPLAY, 'info', session, '--json'))['first_ns']
    path = f'{directory}/{name}.jsonl'
    begin = first + from_s * 10**9
    run(MDREPLAY, 'convert', session, '--from', begin, '--to', begin + seconds * 10**9, '-o', path)
    return path


def _gate(name, session, slice_from_s):
    if ONE_CALLER is None:
        raise tap.Skip('MDPIPE_ONE_CALLER is not set')
    with folder() as directory:
        gate = Gate(directory, session)
        gate.run(f'{name}-live', session, '--speed', 'max')
        gate.one_caller(f'{name}-one-caller')
        gate.run(f'{name}-journal', f'{directory}/{name}-live/journal', '--speed', 'max')
        gate.consumers(f'{name}-consumers')
        gate.judge()
        for way in ('live', 'one-caller', 'consumers'):
            assert 'metrics: all in its place' in gate.verify(f'{name}-{way}')
        os.mkdir(f'{directory}/slow')
        slow = Gate(f'{directory}/slow', _sub_slice(directory, session, 'slice', slice_from_s, 600 if LONG else 30))
        slow.run(f'{name}-slice-at-20', slow.session, '--speed', 20)
        slow.run(f'{name}-slice-at-max', slow.session, '--speed', 'max')
        slow.judge()


def test_a_day_of_us_stocks_gives_the_same_bytes_in_every_way():
    day = tap.shared('data', 'sessions', 'us-stocks-2013-10-07.jsonl.gz')
    with folder() as directory:
        session = day
        if not LONG:
            session = f'{directory}/us.jsonl'
            run(MDREPLAY, 'convert', day, '--from', '2013-10-07T13:30:00Z', '--to', '2013-10-07T13:36:00Z', '-o', session)
        _gate('us', session, 60)


def test_crypto_gives_the_same_bytes_in_every_way():
    session = tap.shared('data', 'sessions', 'crypto-2024-08-08.jsonl.gz')
    _gate('crypto', session, 60)


def test_a_storm_gives_the_same_bytes_in_every_way():
    _oracle_modules()
    with folder() as directory:
        session = f'{directory}/storm.jsonl.gz'
        run(MDREPLAY, 'generate', '--symbols', 24, '--trades', 300000 if LONG else 12000, '--seed', 17, '-o', session)
        _gate('storm', session, 5)


def _notices(gate, wrong):
    """What the gate says where a wrong row is expected: it must not let it pass."""
    gate.rows[0] = wrong
    try:
        gate.judge()
    except AssertionError as noticed:
        return str(noticed)
    raise AssertionError('the gate did not notice')


def test_under_every_fault_of_the_venue_it_is_the_session_as_the_fault_log_leaves_it():
    _oracle_modules()
    seed = int(os.environ.get('MDPIPE_TEST_SEED') or random.randrange(1 << 32))
    print(f'# seed {seed} (MDPIPE_TEST_SEED)', flush=True)
    with folder() as directory:
        session, left = f'{directory}/session.jsonl', f'{directory}/left.jsonl'
        run(MDREPLAY, 'generate', '--symbols', 12, '--trades', 60000 if LONG else 6000, '--seed', seed, '-o', session)
        plan, faults, log = (f'{directory}/{name}' for name in ('faults.toml', 'faults.jsonl', 'sent.jsonl'))
        # How much of what is on its way a reset leaves is no matter of the fault log's.
        fault_log.write_plan(plan, [ending for ending in fault_log.ENDINGS if 'reset' not in ending[2]])
        gate = Gate(directory, session)
        gate.run('faults', session, '--speed', 'max', '--faults', plan, '--seed', seed, '--ping-interval', 1, '--fault-log', faults,
                 '--log', log, more=['--silence', 4])
        trades = fault_log.trades_left(session, faults, log)
        with open(left, 'w', encoding='utf-8') as out:
            out.writelines(fault_log.in_one_line(trade) + '\n' for trade in trades)
        without_faults, gate.rows[0] = gate.rows[0], _oracle_row(left, gate.partitions, trades)
        gate.judge()
        print(f'# {len(fault_log.read_fault_log(faults))} faults leave {len(trades)} trades')
        wanted = gate.rows[0]
        for part in ('raw', 'numbers', 'files'):
            assert f'{part} of faults' in _notices(gate, wanted._replace(**{part: getattr(without_faults, part)}))


def _swapped(session, path):
    """The session with two trades of one symbol in each other's place: (symbol, ordinal of the first, its place in the symbol)."""
    lines = run(MDREPLAY, 'convert', session, '--format', 'trade').splitlines()
    lines = [line for line in lines if line.startswith('{')]
    last, places = {}, collections.Counter()
    for i, line in enumerate(lines):
        symbol = json.loads(line)['s']
        places[symbol] += 1
        if i > len(lines) // 2 and symbol in last and lines[last[symbol]] != line and json.loads(lines[last[symbol]])['t'] // 86_400_000 == json.loads(line)['t'] // 86_400_000:
            lines[last[symbol]], lines[i] = line, lines[last[symbol]]
            with open(path, 'w', encoding='utf-8') as out:
                out.write('\n'.join(lines) + '\n')
            return symbol, last[symbol] + 1, places[symbol] - 1
        last[symbol] = i
    raise AssertionError('no two trades to swap')


def test_two_trades_swapped_in_one_place_are_named_by_symbol_and_position():
    _oracle_modules()
    with folder() as directory:
        session = f'{directory}/session.jsonl'
        run(MDREPLAY, 'generate', '--symbols', 9, '--trades', 4000, '--seed', 23, '-o', session)
        gate = Gate(directory, session)
        gate.run('live', session, '--speed', 'max')
        gate.judge()
        other = f'{directory}/other.jsonl'
        symbol, ordinal, place = _swapped(session, other)
        said = gate.verify('live', other, expect=1)
        print('# ' + said.strip().replace('\n', '\n# '))
        for role in ('received', 'published'):
            assert f'{role}: {symbol} differs first at its trade {place} (trade {ordinal} of the session)' in said, (symbol, ordinal, place)
        assert f'stored: {symbol} of 2024-03-1' in said and f'(trade {ordinal} of the session)' in said, said
        # The gate's own digests see it, too.
        honest, swapped = _oracle_row(session, gate.partitions), _oracle_row(other, gate.partitions)
        assert sum(a != b for a, b in zip(honest.raw, swapped.raw)) == 1 and honest.files != swapped.files
        assert 'raw of live' in _notices(gate, swapped)


tap.run(globals())
