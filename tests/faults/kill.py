"""kill -9 of mdpipe run, all stages, at random instants, on a real Apache Kafka; SIGSTOP: faults.md, rows 15, 16
and 27."""
import os, random, re, shutil, signal, time

import journal_file
import tap
from harness import *
from judge import *
from publishing import Publishing, Topics, kill
from venue import Venue, good

KILLS = int(os.environ.get('MDPIPE_KILLS', '50'))
RATE = int(os.environ.get('MDPIPE_KILLS_RATE', '2000'))  # trades/s; the topic's judge holds them all in memory
WITHOUT_SCAN = os.environ.get('MDPIPE_WITHOUT_SCAN', f'{os.path.dirname(MDPIPE)}/../tests/faults/mdpipe_without_scan')
HELD_BACK = int(os.environ.get('MDPIPE_KILLS_HELD_BACK', '4'))  # kills with a cursor held back
STOPPED_S = int(os.environ.get('MDPIPE_STOPPED_S', '3'))
SEGMENT_BYTES = 16 << 20


def _run(directory, address, broker, *more, binary=MDPIPE):
    return Process(binary, 'run', '--feed', f'ws://{address}', '--journal', f'{directory}/journal', '--store', f'{directory}/trades',
                   '--listen', '127.0.0.1:0', '--kafka', broker.bootstrap, '--segment-bytes', SEGMENT_BYTES, '--journal-keep', '1TiB,30d',
                   '--drain', 60, *more)


def _newest_trade_ns(journal):
    """Receive time of the last trades in the journal: read from its last segment alone."""
    last_two = journal_file.segments(journal)[-2:]  # the last one may be prepared and not begun
    return max((r.receive_ns for r in journal_file.records(journal, last_two) if getattr(r, 'trades', None)), default=0)


def _kill_again_and_again(directory, address, broker, rand):
    """So many kills that count. Every life but the last ends by one; the last drains and ends in order."""
    kills, counted = [], []
    while True:
        pipe = _run(directory, address, broker, '--symbols', 'SPY,AIG,BAC,IBM')
        with pipe:
            if len(counted) == KILLS:
                pipe.wait_for('subscribed')
                health = pipe.wait_for(r'health=([0-9.:]+)')
                until('the last life to publish', lambda: metric(health, 'mdpipe_kafka_acknowledged_total', topic='raw-market-data'))
                pipe.signal(signal.SIGTERM)
                said = pipe.wait()
                assert 'they stay in the journal' not in said, said
                return kills, counted
            # Most lives are killed while they publish; some while they recover, connect, or have only begun.
            time.sleep(rand.uniform(0.4, 1.6) if rand.random() < 0.85 else rand.uniform(0, 0.4))
            assert pipe.process.poll() is None, f'a life ended by itself with {pipe.process.returncode}:\n{pipe.output}'
            killed = kill(pipe, pipe.find(r'health=([0-9.:]+)'))
        kills.append(killed)
        if 0 <= killed.time_ns - _newest_trade_ns(f'{directory}/journal') <= 100_000_000:
            counted.append(killed)


def test_row_15_killed_at_random_instants_nothing_is_lost_nothing_is_twice_nothing_out_of_order():
    session = tap.shared('data', 'sessions', 'us-stocks-2013-10-07.jsonl.gz')
    rand = random.Random(seed_of())
    with folder() as directory, Broker(directory) as broker:
        run(MDPIPE, 'topics', 'create', '--kafka', broker.bootstrap)
        log = f'{directory}/venue.log'
        venue, address = serve(session, '--rate', RATE, '--loop', 0, '--log', log)
        begin = time.monotonic()
        with venue:
            kills, counted = _kill_again_and_again(directory, address, broker, rand)
            venue.signal(signal.SIGTERM)
            venue.wait()
        seconds = time.monotonic() - begin
        records = list(journal_file.records(f'{directory}/journal'))
        assert set(counted) <= set(committed_just_before(records, kills))
        in_flight = sum(bool(killed.in_flight) for killed in counted)
        judge_positions(records)
        judge_commits(records, kills)
        heard, sent = judge_beginnings(sent_frames(log), journal_connections(records))
        print(f'# {len(kills)} kills in {seconds:.0f} s, {len(counted)} of them within 100 ms of a commit, {in_flight} of these with messages '
              f'in flight; {heard} frames of {sent} sent are in the journal')
        assert in_flight > 0
        duplicates = judge_all(directory, broker.bootstrap, export(directory, records))
        print('# raw duplicates: %d trades, %d metrics' % duplicates)


def test_row_16_a_publisher_that_is_stopped_and_continued_goes_on_and_nobody_takes_its_place_meanwhile():
    tap.shared('oracle', 'topic.py')
    with folder() as directory, Broker(directory) as broker:
        with Publishing(directory, broker.bootstrap, Topics(broker.bootstrap)) as publishing:
            publishing.publish_for(1)
            publishing.pipe.signal(signal.SIGSTOP)
            with mdpipe_run(directory, publishing.address, '--symbols', 'SPY', '--kafka', broker.bootstrap) as second:
                said = second.wait(3)
            assert f'pid {publishing.pipe.process.pid}' in said, said
            time.sleep(STOPPED_S)
            publishing.pipe.signal(signal.SIGCONT)
            publishing.recovery(f'stopped for {STOPPED_S} s')
            publishing.finish()
            assert publishing.judge() == (0, 0)


class Bursts:
    """A venue that sends what it is told to, and is silent else."""

    def __init__(self, symbols):
        self.symbols, self.number, self.waiting = symbols, 0, []

    def __call__(self, connection):
        connection.wait_subscribed(len(self.symbols))
        while not connection.ended.wait(0.005):
            while self.waiting:
                connection.texts(self.waiting.pop(0))

    def send(self, frames, rand):
        self.number += frames
        self.waiting.append([good(n, rand.choice(self.symbols)) for n in range(self.number - frames, self.number)])


def _nothing_in_flight(health):
    page = get(health, '/metrics')[1]
    value = lambda name: sum(float(v) for v in re.findall(rf'(?m)^{name}(?:{{[^}}]*}})? (\S+)', page))
    return value('mdpipe_kafka_in_flight') == 0 and value('mdpipe_journal_lag') == 0 and value('mdpipe_kafka_online') == 1


def _killed_with_nothing_in_flight(rand, binary, kills):
    """Lives that are killed when all is acknowledged, before what they know of it is saved: the next one finds the state of
    before. Raw duplicates of trades and metrics."""
    with folder() as directory, Broker(directory) as broker:
        run(MDPIPE, 'topics', 'create', '--kafka', broker.bootstrap)
        bursts = Bursts(['SPY', 'AIG', 'BAC', 'IBM', 'A', 'B', 'C', 'D'])
        with Venue(bursts) as venue:
            for life in range(kills + 1):
                with _run(directory, venue.address, broker, '--symbols', ','.join(bursts.symbols), binary=binary) as pipe:
                    health = pipe.wait_for(r'health=([0-9.:]+)')
                    until('everything that an earlier life has left', lambda: _nothing_in_flight(health))
                    shutil.copytree(f'{directory}/journal/state', f'{directory}/held-back', dirs_exist_ok=True,
                                    ignore=shutil.ignore_patterns('*.new'))  # renamed while it is listed
                    until('the subscription', lambda: metric(health, 'mdpipe_feed_state', state='subscribed') == 1)
                    bursts.send(rand.randrange(200, 2000), rand)
                    until('the burst in the journal', lambda: bursts.number == sum(len(r.trades) for r in journal_file.records(
                        f'{directory}/journal') if getattr(r, 'trades', None)))
                    until('its acknowledgement', lambda: _nothing_in_flight(health))
                    if life == kills:
                        pipe.signal(signal.SIGTERM)
                        pipe.wait()
                        break
                    killed = kill(pipe, health)
                    assert killed.in_flight == 0, killed
                    shutil.copytree(f'{directory}/held-back', f'{directory}/journal/state', dirs_exist_ok=True)
        return judge_all(directory, broker.bootstrap, export(directory, list(journal_file.records(f'{directory}/journal'))))


def test_row_27_killed_with_nothing_in_flight_and_the_cursor_held_back_nothing_is_published_again():
    tap.shared('oracle', 'topic.py')
    duplicates = _killed_with_nothing_in_flight(random.Random(seed_of()), MDPIPE, HELD_BACK)
    assert duplicates == (0, 0), duplicates


def test_row_27_without_the_scan_the_same_kills_leave_raw_duplicates():
    tap.shared('oracle', 'topic.py')
    trades, metrics = _killed_with_nothing_in_flight(random.Random(seed_of()), WITHOUT_SCAN, 1)
    assert trades > 0 and metrics > 0, (trades, metrics)


tap.run(globals())
