"""mdpipe run while the US day, or another session, is played without end: what faults are put upon, and what is judged afterwards."""
import signal, time

import journal_file
import tap
from fault_log import read_fault_log
from harness import *
from judge import *

RATE = 2000  # trades/s
# Kafka's own patience with a node that says nothing is 9 s, also with one that was killed and comes back; it is not what is tested.
SHORT_SESSION = ['broker.session.timeout.ms=2000', 'broker.heartbeat.interval.ms=500']
SYMBOLS = 'SPY,AIG,BAC,IBM'


class Topics:
    """The four topics by their usual names, or, where several tests share a broker, by names of one test's own."""
    count = 0

    def __init__(self, bootstrap, *create, shared=True):
        Topics.count += 1
        end = f'-{Topics.count}' if shared else ''
        self.raw, self.metrics, alerts, self.dead = (
            name + end for name in ('raw-market-data', 'aggregated-metrics', 'price-alerts', 'dead-letter-queue'))
        self.names = ['--raw-topic', self.raw, '--metrics-topic', self.metrics, '--alerts-topic', alerts, '--dead-letter-topic', self.dead]
        run(MDPIPE, 'topics', 'create', '--kafka', bootstrap, *self.names, *create)


def _figures(address):
    """(messages in flight, sequence of the journal's last position), or nothing where the process is not that far."""
    try:
        page = get(address, '/metrics')[1]
    except OSError:
        return None
    figure = lambda name: float((re.findall(rf'(?m)^{name} (\S+)', page) or ['0'])[0])
    return int(figure('mdpipe_kafka_in_flight')), int(figure('mdpipe_journal_position'))


def kill(pipe, health):
    """SIGKILL; (time, in flight, position) as they were just before."""
    figures = _figures(health) if health else None
    time_ns = time.time_ns()
    pipe.process.kill()
    pipe.process.wait()
    return Killed(time_ns, *(figures or (None, 0)))


class Publishing:
    def __init__(self, directory, bootstrap, topics, rate=RATE, session=None, stages='publish,aggregate,store', more=(), faults=()):
        """`session`: one of our own making in place of the US day; `faults`: options of a venue that does things on purpose."""
        self.directory, self.bootstrap, self.topics = directory, bootstrap, topics
        self.log = f'{directory}/venue.log'
        self.session = session or tap.shared('data', 'sessions', 'us-stocks-2013-10-07.jsonl.gz')
        self.symbols = symbols_file(directory, session) if session else SYMBOLS
        self.rate, self.stages, self.more = rate, stages, more
        self.faults = [*faults, '--fault-log', f'{directory}/faults.jsonl'] if faults else []
        self.venue = self.pipe = None

    def __enter__(self):
        self.venue, self.address = serve(self.session, '--rate', self.rate, '--loop', 0, '--log', self.log, *self.faults)
        self.start()
        return self

    def __exit__(self, *unused):
        for process in (self.pipe, self.venue):
            process.__exit__()

    def start(self):
        """A life of mdpipe run: the first one, or one after the end of another."""
        self.pipe = mdpipe_run(self.directory, self.address, '--symbols', self.symbols, '--kafka', self.bootstrap, '--drain', 60,
                               '--stages', self.stages, *self.topics.names, *self.more)
        self.health = self.pipe.wait_for(r'health=([0-9.:]+)')

    def figure(self, name, **labels):
        assert self.pipe.process.poll() is None, f'mdpipe has ended:\n{self.pipe.output}'
        return metric(self.health, name, **labels) or 0

    def acknowledged(self):
        return self.figure('mdpipe_kafka_acknowledged_total', topic=self.topics.raw)

    def says(self, words):
        """Whether it says of its health that it is degraded, and so."""
        return all(word in get(self.health, '/healthz')[1] for word in ('"degraded"', words))

    def halted(self, words):
        """Waits until nothing more is acknowledged for a second, and it says so. What it says is up to a second old: an alarm
        that is over by now does not count."""
        def stands():
            before = self.acknowledged()
            time.sleep(1)
            return self.acknowledged() == before and self.says(words)
        until(f'a halt, and {words}', stands)
        print(f'# {get(self.health, "/healthz")[1].strip()}')

    def publish_for(self, seconds):
        """So long from the next acknowledgement on."""
        self.first_acknowledgement()
        time.sleep(seconds)

    def first_acknowledgement(self):
        """Seconds from now until something is acknowledged."""
        begin, before = time.monotonic(), self.acknowledged()
        until('an acknowledgement', lambda: self.acknowledged() > before)
        return time.monotonic() - begin

    def recovery(self, what):
        """Says how long it takes from now until something is acknowledged, and until nothing is left behind; the former."""
        begin, behind = time.monotonic(), self.figure('mdpipe_journal_lag', cursor='publish')
        first = self.first_acknowledgement()
        until('the publisher to catch up', lambda: self.figure('mdpipe_journal_lag', cursor='publish') < self.rate)
        print(f'# {what}: {behind:.0f} positions behind; {first:.2f} s to the first acknowledgement, caught up after '
              f'{time.monotonic() - begin:.2f} s', flush=True)
        return first

    def end_of_a_life(self):
        """In order, but that what the venue has on the wire is gone with the connection."""
        self.pipe.signal(signal.SIGTERM)
        said = self.pipe.wait()
        assert 'they stay in the journal' not in said, said
        return said

    def finish(self, refuses=False):
        """Ends in order, the venue first, so that all it has sent is heard; then everything is drained. How many trades Kafka
        has refused for good: none, unless the broker `refuses`."""
        self.venue.signal(signal.SIGTERM)
        self.venue.wait()
        rebuilds = self.figure('mdpipe_kafka_rebuilds_total')
        found = re.search(r'of them ([0-9,]+) were refused by Kafka for good', self.end_of_a_life())
        dead = int(found.group(1).replace(',', '')) if found else 0
        assert refuses or dead == 0, f'{dead} messages dead-lettered: a fault that passes is no reason'
        print(f'# {rebuilds:.0f} producers given up')
        return dead

    def heard(self, killed=False):
        """The journal as a session, which is what the venue has sent."""
        records = list(journal_file.records(f'{self.directory}/journal'))
        judge_positions(records)
        cut = cut_messages(read_fault_log(f'{self.directory}/faults.jsonl')) if self.faults else None
        heard, sent = judge_beginnings(sent_frames(self.log), journal_connections(records), cut)
        assert killed or heard == sent, f'nobody was killed: {heard} of {sent} frames are in the journal'
        return export(self.directory, records)

    def judge(self, killed=False, flags=()):
        """Raw duplicates of trades and of metrics; fails where anything is lost, twice after the filter, or out of order."""
        session = self.heard(killed)
        trades = judge_topic(self.bootstrap, session, flags=flags, topic=self.topics.raw)
        judge_files(f'{self.directory}/trades', session)
        metrics = judge_metrics(self.directory, self.bootstrap, session, topic=self.topics.metrics)
        print(f'# raw duplicates: {trades} trades, {metrics} metrics')
        return trades, metrics
