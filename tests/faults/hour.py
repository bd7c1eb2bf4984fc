"""All of it at once, for as long as MDPIPE_HOUR_S says: a venue with every fault, mdpipe killed and stopped, the way to the broker
broken in every way, the broker killed. faults.md, row 42.

Memory is judged by RssAnon, so that what is mapped of the journal is not in it: what a life usually has (the median) is no more for
the last third of the lives than for the first, but for a tolerance; nor has the last life, which is left to itself for a tenth of the
time, more in its last third than in its middle. Open files likewise."""
import collections, os, random, signal, statistics, subprocess, threading, time

import feed_rules, journal_file
import tap
from fault_log import write_plan
from harness import *
from judge import *
from proxy import *
from publishing import SHORT_SESSION, Publishing, Topics, kill

SECONDS = int(os.environ.get('MDPIPE_HOUR_S', '20'))
RATE = 1000  # trades/s; the judges hold them all in memory
LIFE_S = min(max(SECONDS / 10, 2), 30)  # of the lives that are killed, on average
BROKER_LIFE_S = min(SECONDS / 2, 120)
BINARY = 11  # FrameReason
CANARY = 'canary-that-must-not-sing'
SAMPLE_S = 0.2
# What is in flight while the broker is away comes and goes with chance. (From life to life, within the last): seconds of a life, as a
# sample has, tell no more than several lives do; a connection made anew may cost some MB at once.
TOLERANCE = {'anonymous_kb': (8192, 2048 if SECONDS >= 600 else 8192), 'descriptors': (8, 8)}

ENDINGS = [(kind, f'rate = 0.0001\n{rest}') for kind, rest in [
    ('close', 'code = 1012'), ('close', 'code = 1001'), ('close', ''), ('close', 'reset = true'), ('silence', ''), ('stall', ''),
    ('silence', 'seconds = 2.6\npings = true'), ('malformed', 'payloads = ["not_utf8", "reserved_bits", "opcode"]'),
    ('corrupt', 'bytes = 40')]]
NUISANCES = [
    ('refuse', 'rate = 0.1\nstatus = 503'),
    ('slow', 'rate = 0.1\nseconds = 0.2'),
    ('stall', 'rate = 0.0003\nseconds = 0.2'),
    ('fragment', 'rate = 0.01\nparts = 5'),
    ('duplicate', 'rate = 0.01\ntimes = 2'),
    ('reorder', 'rate = 0.005\nwindow = 5'),
    ('corrupt', 'rate = 0.002\nascii = true'),
    ('malformed', 'rate = 0.005\npayloads = ["truncated", "garbage", "empty", "nan", "huge_number", "twice_a_key", "nested", "no_object", '
     '"mistyped", "missing_field", "binary"]'),
    ('drip', 'rate = 0.0002\nbytes = 16'),
]


class Mischief:
    """Breaks the way to the broker, and the broker, again and again, from a thread of its own."""

    def __init__(self, proxy, broker, seed):
        self.proxy, self.broker, self.rand = proxy, broker, random.Random(seed)
        self.done, self.counts, self.failure = threading.Event(), collections.Counter(), None
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *unused):
        self.done.set()
        self.thread.join()
        if kind is None and self.failure:
            raise self.failure

    def _run(self):
        ways = [self._cut, self._delay, self._swallow, self._refuse, self._hold, self._answers, self._fatal]
        try:
            killed, waiting = time.monotonic(), []
            while not self.done.wait(self.rand.uniform(0.1, 1.5)):
                if time.monotonic() - killed > BROKER_LIFE_S:
                    killed = time.monotonic()
                    waiting.append(self._kill)
                waiting = waiting or self.rand.sample(ways, len(ways))
                way = waiting.pop()
                self.counts[way.__name__[1:]] += 1
                way(self.rand.uniform(0.1, 1.5))
        except Exception as failure:  # the test's, which must hear of it
            self.failure = failure

    def _kill(self, seconds):
        self.broker.kill()
        self.done.wait(seconds)
        self.broker.command('start')

    def _cut(self, _):
        self.proxy.cut()

    def _delay(self, seconds):
        self.proxy.delay_s = seconds / 10
        self.done.wait(seconds)
        self.proxy.delay_s = 0

    def _swallow(self, seconds):
        self.proxy.swallow = True
        self.done.wait(seconds)
        self.proxy.swallow = False
        self.proxy.cut()

    def _refuse(self, seconds):
        self.proxy.refuse = True
        self.proxy.cut()
        self.done.wait(seconds)
        self.proxy.refuse = False

    def _hold(self, seconds):
        """What a life that is killed meanwhile has sent comes late, behind what the next one has sent again."""
        self._by_rule(seconds, lambda request: Hold() if request.produce else None)
        self.proxy.release()

    def _answers(self, seconds):
        fates = [Lose(), Answer(NOT_LEADER_OR_FOLLOWER), AppendAndAnswer(NOT_LEADER_OR_FOLLOWER), None, None, None]
        self._by_rule(seconds, lambda request: self.rand.choice(fates) if request.produce else None)
        self.proxy.rule = None

    def _fatal(self, seconds):
        fates = [self.rand.choice([Answer, AppendAndAnswer])(OUT_OF_ORDER_SEQUENCE_NUMBER)]
        self._by_rule(seconds, lambda request: fates.pop() if fates and any(b.base_sequence for b in request.produce) else None)
        self.proxy.rule = None

    def _by_rule(self, seconds, rule):
        self.proxy.rule = rule
        self.done.wait(seconds)


Sample = collections.namedtuple('Sample', 'anonymous_kb descriptors rebuilds in_flight')


class Life:
    """One of mdpipe run, with what it took while it ran."""

    def __init__(self, publishing):
        self.publishing, self.samples = publishing, []

    def run(self, seconds):
        pid, end = self.publishing.pipe.process.pid, time.monotonic() + seconds
        while time.monotonic() < end:
            with open(f'/proc/{pid}/status', encoding='ascii') as status:
                anonymous_kb = int(re.search(r'RssAnon:\s+(\d+)', status.read()).group(1))
            figures = [self.publishing.figure(f'mdpipe_kafka_{name}') for name in ('rebuilds_total', 'in_flight')]
            self.samples.append(Sample(anonymous_kb, len(os.listdir(f'/proc/{pid}/fd')), *figures))
            time.sleep(min(SAMPLE_S, max(end - time.monotonic(), 0)))

    def stopped(self, seconds):
        """And continued."""
        self.publishing.pipe.signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.publishing.pipe.signal(signal.SIGCONT)

    def all(self, what):
        return [getattr(sample, what) for sample in self.samples]

    def most(self, what):
        return max(self.all(what), default=0)


def _live_and_die(publishing, rand):
    """Lives of which all but the last, a tenth of the time, are killed: (lives, kills, what they said)."""
    lives, kills, said = [], [], []
    end = time.monotonic() + SECONDS
    while True:
        left = end - SECONDS / 10 - time.monotonic()
        life = Life(publishing)
        lives.append(life)
        if left <= 0:
            life.run(SECONDS / 10)
            return lives, kills, said
        life.run(min(rand.expovariate(1 / LIFE_S), left))
        if rand.random() < 0.2:
            life.stopped(rand.uniform(0.1, 2))
            life.run(rand.uniform(0, 2))
        kills.append(kill(publishing.pipe, publishing.health))
        said.append(publishing.pipe.output)
        publishing.start()


def _third(values, number):
    """The median of the first, middle or last third."""
    return statistics.median(values[len(values) * number // 3:max(len(values) * (number + 1) // 3, 1)])


def _judge_flat(lives):
    for what, (between, within) in TOLERANCE.items():
        usual = [statistics.median(life.all(what)) for life in lives if life.samples]
        last = lives[-1].all(what)
        figures = _third(usual, 0), _third(usual, 2), _third(last, 1), _third(last, 2)
        print(f'# {what}: in a life {figures[0]:.0f} at first, {figures[1]:.0f} at last, ever {max(life.most(what) for life in lives)}; in '
              f'the last life {figures[2]:.0f} in the middle, {figures[3]:.0f} at the end')
        assert figures[1] <= figures[0] + between and figures[3] <= figures[2] + within, (what, usual, last)


def _judge_trades(records):
    """The trades of each message in the journal are those that the feed's rules find in it."""
    unusable = 0
    for record in records:
        if not isinstance(record, journal_file.Event):
            usable, want = (False, []) if record.reason == BINARY else feed_rules.judge(record.payload)
            assert [trade.text for trade in record.trades] == want, (record.position, record.payload)
            unusable += not usable
    return unusable


def _judge_canary(directory, token, said):
    assert CANARY not in said
    found = subprocess.run(['grep', '-rlF', CANARY, directory], capture_output=True, text=True).stdout.split()
    assert found == [token], found


def test_row_42_an_hour_of_everything_at_once_loses_nothing_and_memory_stays_flat():
    tap.shared('oracle', 'topic.py')
    seed = seed_of()
    rand = random.Random(seed)
    with folder() as directory, Proxy() as proxy, \
            Broker(directory, f'advertised.listeners=PLAINTEXT://127.0.0.1:{proxy.port}', *SHORT_SESSION) as broker:
        proxy.broker_port = broker.port
        bootstrap = f'127.0.0.1:{proxy.port}'
        token = f'{directory}/token'
        with open(token, 'w', opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            out.write(CANARY + '\n')
        write_plan(f'{directory}/faults.toml', [], ENDINGS + NUISANCES)
        with Publishing(directory, bootstrap, Topics(bootstrap), rate=RATE, more=['--silence', 2, '--token-file', token],
                        faults=['--faults', f'{directory}/faults.toml', '--seed', seed % (1 << 32), '--ping-interval', 1,
                                '--token-file', token]) as publishing:
            with Mischief(proxy, broker, seed) as mischief:
                lives, kills, said = _live_and_die(publishing, rand)
            publishing.recovery('the broker is left alone')
            until('health', lambda: '"status":"ok"' in get(publishing.health, '/healthz')[1])
            said.append(get(publishing.health, '/metrics')[1])
            publishing.finish()
            said.append(publishing.pipe.output)
            rebuilds, in_flight = sum(life.most('rebuilds') for life in lives), max(life.most('in_flight') for life in lives)
            print(f'# {len(kills)} kills; {dict(mischief.counts)}; {rebuilds:.0f} producers given up, at most {in_flight:.0f} in flight')
            # Each end of a producer leaves twice no more than it had sent, and what is sent between two samples.
            explained = (len(kills) + rebuilds) * (in_flight + RATE)
            assert max(publishing.judge(killed=True)) <= explained, explained
            records = list(journal_file.records(f'{directory}/journal'))
            judge_commits(records, kills)
            print(f'# {_judge_trades(records)} messages unusable')
            _judge_flat(lives)
            _judge_canary(directory, token, '\n'.join(said))


tap.run(globals())
