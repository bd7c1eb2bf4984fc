"""Consumers of Kafka that are killed, stopped and rebalanced, on a real Apache Kafka: faults.md, rows 15, 16, 27 and 34."""
import contextlib, os, random, re, signal, time

from confluent_kafka import Consumer, Producer, TopicPartition

import tap
from harness import *
from judge import *
from publishing import Publishing, Topics

KILLS = int(os.environ.get('MDPIPE_CONSUMER_KILLS', '20'))  # of each stage
RATE = 2000
SYMBOLS = 16  # several in every partition
WITHOUT_POSITIONS = os.environ.get('MDPIPE_WITHOUT_FILTER_POSITIONS',
                                   f'{os.path.dirname(MDPIPE)}/../tests/faults/mdpipe_without_filter_positions')
GROUPS = {'store': 'storage-consumer-group', 'aggregate': 'aggregator-consumer-group'}


class Topic:
    """A topic that mdpipe run fills with a generated session, played without end; and who reads it."""

    def __init__(self, directory, broker, seed):
        self.directory, self.broker = directory, broker
        self.topics = Topics(broker.bootstrap, shared=False)
        session = f'{directory}/session.jsonl.gz'
        run(MDREPLAY, 'generate', '--symbols', SYMBOLS, '--trades', 50000, '--seed', seed, '-o', session)
        self.publishing = Publishing(directory, broker.bootstrap, self.topics, rate=RATE, session=session, stages='publish')

    def place(self, stage, variant=''):
        return f'{self.directory}/{stage}{variant}'

    def member(self, stage, *more, binary=MDPIPE, variant=''):
        """A process of the stage; `variant`: of another group, with a folder and a topic of metrics of its own."""
        option = {'store': ['--store'], 'aggregate': ['--metrics-topic', self.topics.metrics + variant, '--state']}[stage]
        return Process(binary, stage, '--kafka', self.broker.bootstrap, '--group', GROUPS[stage] + variant, *option,
                       self.place(stage, variant), '--listen', '127.0.0.1:0', *more)

    def until_end(self, binaries):
        """Every stage reads what there is; `binaries`: by variant. All at once."""
        with contextlib.ExitStack() as processes:
            for process in [processes.enter_context(self.member(stage, '--until-end', binary=binary, variant=variant))
                            for stage in GROUPS for variant, binary in binaries.items()]:
                process.wait()

    def judge(self, session, variant='', expect=0):
        judge_files(self.place('store', variant), session, expect=expect)
        duplicates = judge_metrics(self.directory, self.broker.bootstrap, session, topic=self.topics.metrics + variant, expect=expect)
        print(f'# raw duplicates: {duplicates} metrics')

    def ends(self):
        consumer = Consumer({'bootstrap.servers': self.broker.bootstrap, 'group.id': 'planter'})
        partitions = consumer.list_topics(self.topics.raw, timeout=15).topics[self.topics.raw].partitions
        ends = {p: consumer.get_watermark_offsets(TopicPartition(self.topics.raw, p), timeout=15)[1] for p in partitions}
        consumer.close()
        return ends

    def plant_duplicates(self, ends, count):
        """What a publisher's death may leave: of each partition so many messages before these ends once more, header and all."""
        consumer = Consumer({'bootstrap.servers': self.broker.bootstrap, 'group.id': 'planter', 'enable.auto.commit': False})
        producer = Producer({'bootstrap.servers': self.broker.bootstrap})
        planted = 0
        for partition, end in ends.items():
            left = min(count, end)
            consumer.assign([TopicPartition(self.topics.raw, partition, end - left)])
            while left > 0:
                for message in consumer.consume(left, 0.1):
                    if not message.error():
                        producer.produce(self.topics.raw, message.value(), message.key(), partition, headers=message.headers())
                        planted += 1
                        left -= 1
        assert producer.flush(30) == 0
        consumer.close()
        return planted

    def committed(self, stage):
        consumer = Consumer({'bootstrap.servers': self.broker.bootstrap, 'group.id': GROUPS[stage], 'enable.auto.commit': False})
        found = consumer.committed([TopicPartition(self.topics.raw, p) for p in range(3)], timeout=15)
        consumer.close()
        return {one.partition: one.offset for one in found}


def _figure(process, name):
    """A figure of a member; nothing where it does not answer yet."""
    address = process.find(r'health=([0-9.:]+)')
    try:
        return address and metric(address, name)
    except OSError:
        return None


def _assigned(process):
    address = process.find(r'health=([0-9.:]+)')
    if not address:
        return set()
    return {line.split('partition="')[1].split('"')[0] for line in get(address, '/metrics')[1].splitlines()
            if line.startswith('mdpipe_consumer_assigned{') and line.endswith(' 1')}


class Members:
    """Two of each stage, and now and then a third."""

    def __init__(self, topic):
        self.topic = topic
        self.running = {stage: [topic.member(stage) for _ in range(2)] for stage in GROUPS}

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for members in self.running.values():
            for process in members:
                process.__exit__()

    def reading(self, stage):
        """Those that have taken messages since they began, and have partitions."""
        return [i for i, process in enumerate(self.running[stage]) if _figure(process, 'mdpipe_consumer_reading') == 1 and
                (_figure(process, 'mdpipe_consumer_messages_total') or 0) > 0]

    def kill(self, stage, rand, meanwhile):
        """One that reads, in mid-batch; started again at once, after what is done meanwhile."""
        candidates = until(f'a member of {stage} that reads', lambda: self.reading(stage))
        at = rand.choice(candidates)
        time.sleep(rand.uniform(0, 0.2))
        victim = self.running[stage][at]
        assert victim.process.poll() is None, f'{stage} has ended by itself:\n{victim.output}'
        victim.process.kill()
        victim.process.wait()
        meanwhile()
        self.running[stage][at] = self.topic.member(stage)

    def end(self):
        everybody = [process for members in self.running.values() for process in members]
        for process in everybody:
            process.wait_for('health=')  # it hears signals
            process.signal(signal.SIGTERM)
        for process in everybody:
            process.wait()


@contextlib.contextmanager
def _topic():
    tap.shared('oracle', 'topic.py')
    seed = seed_of()
    with folder() as directory, Broker(directory) as broker:
        yield Topic(directory, broker, seed), random.Random(seed)


def test_row_15_and_34_members_killed_and_rebalanced_store_and_aggregate_each_trade_once_also_where_raw_duplicates_lie():
    with _topic() as (topic, rand):
        planted, rebalances = [], []

        def plant():
            # Behind what the dead one has had, in front of it, or both: its state is up to a second old.
            ends = {partition: max(0, end - rand.randrange(0, RATE)) for partition, end in topic.ends().items()}
            planted.append(topic.plant_duplicates(ends, rand.randrange(1, 200)))

        def third_member(stage):
            """One that comes, and goes again: the others give up partitions in mid-batch, and get them back."""
            with topic.member(stage) as process:
                until('a partition for a third member', lambda: _figure(process, 'mdpipe_consumer_reading') == 1)
                time.sleep(rand.uniform(0, 0.5))
                process.signal(signal.SIGTERM)
                process.wait()
            rebalances.append(stage)

        with topic.publishing as publishing, Members(topic) as members:
            begin = time.monotonic()
            for number in range(KILLS):
                for stage in rand.sample(list(GROUPS), 2):
                    members.kill(stage, rand, plant if rand.random() < 0.3 else lambda: None)
                if number % 8 == 4:
                    for stage in GROUPS:
                        third_member(stage)
            seconds = time.monotonic() - begin
            members.end()  # they keep their places, and with them their partitions, for a while
            publishing.finish()
            session = publishing.heard()
        topic.until_end({'': MDPIPE})
        duplicates = judge_topic(topic.broker.bootstrap, session, topic=topic.topics.raw)
        assert duplicates == sum(planted) > 0
        print(f'# {KILLS} kills of each stage in {seconds:.0f} s, {len(planted)} times with raw duplicates planted ({sum(planted)}) before '
              f'the next life, {len(rebalances)} rebalances by a third member')
        topic.judge(session)


def test_row_27_raw_duplicates_across_a_restart_are_dropped_but_not_without_the_filter_positions_in_the_state():
    """What a dead publisher had on the way arrives after the consumers have ended, and first of all when they begin again: only
    their states can know it."""
    with _topic() as (topic, _), topic.publishing as publishing:
        forgetful = '-forgetful'
        run(MDPIPE, 'topics', 'create', '--kafka', topic.broker.bootstrap, '--metrics-topic', topic.topics.metrics + forgetful)
        binaries = {'': MDPIPE, forgetful: WITHOUT_POSITIONS}
        publishing.publish_for(1)
        publishing.end_of_a_life()
        topic.until_end(binaries)
        assert topic.plant_duplicates(topic.ends(), 150) > 0
        publishing.start()
        publishing.publish_for(1)
        publishing.finish()
        topic.until_end(binaries)
        session = publishing.heard(killed=True)
        topic.judge(session)
        topic.judge(session, variant=forgetful, expect=1)


def _until_quiet(places, quiet_s=2):
    """Nothing has been written there for so long: longer than any state waits to be saved."""
    seen, since = None, time.monotonic()
    while time.monotonic() - since < quiet_s:
        now = [_files_of(place) for place in places]
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.05)


def _stands_still(process):
    """Every thread of it is stopped."""
    tasks = f'/proc/{process.process.pid}/task'
    return all(re.search(r'(?m)^State:\s+T', open(f'{tasks}/{task}/status').read()) for task in os.listdir(tasks))


def _files_of(place):
    return {name: (os.stat(f'{place}/{name}').st_size, os.stat(f'{place}/{name}').st_mtime_ns)
            for name in os.listdir(place) if name.startswith('trades_') or name.endswith('.state')}


def test_row_16_and_34_a_member_stopped_until_its_partitions_went_to_another_writes_and_commits_nothing_more_and_exits_with_3():
    with _topic() as (topic, _), topic.publishing as publishing, contextlib.ExitStack() as processes:
        def members():
            return {stage: processes.enter_context(topic.member(stage)) for stage in GROUPS}

        def signal_all(processes_, number):
            for process in processes_.values():
                process.signal(number)
        first = members()
        until('all partitions at the first', lambda: all(len(_assigned(process)) == 3 for process in first.values()))
        second = members()
        until('partitions at both', lambda: all(_assigned(first[stage]) and _assigned(second[stage]) for stage in GROUPS))
        held = {stage: _assigned(process) for stage, process in first.items()}
        # A write that has begun when the signal comes is ended when the process goes on: there must be none. (It would do no
        # harm: the partition's lock is kept as long.) While the members are stopped, there is more and more to do for them.
        publishing.pipe.signal(signal.SIGSTOP)
        _until_quiet([topic.place(stage) for stage in GROUPS])
        signal_all(first, signal.SIGSTOP)
        publishing.pipe.signal(signal.SIGCONT)
        for stage, process in second.items():
            process.wait_for(r'waits for="for the lock of .*mdpipe ' + stage + r' \(pid')
            assert '"degraded"' in get(process.find(r'health=([0-9.:]+)'), '/healthz')[1]
        # The second ones stand still, so that whatever changes now is the first ones' doing.
        signal_all(second, signal.SIGSTOP)
        until('standstill', lambda: all(_stands_still(process) for process in second.values()))
        before = {stage: (_files_of(topic.place(stage)), topic.committed(stage)) for stage in GROUPS}
        assert all(files and any(offset > 0 for offset in committed.values()) for files, committed in before.values()), before
        signal_all(first, signal.SIGCONT)
        for process in first.values():
            process.wait(3)
            assert 'while we were away' in process.output, process.output
        for stage, (files, committed) in before.items():
            now = _files_of(topic.place(stage))
            changed = {name: (files.get(name), now[name]) for name in now if files.get(name) != now[name]}
            assert not changed, f'{stage} has written: {changed}; the first held {held[stage]}\n{first[stage].output}'
            assert topic.committed(stage) == committed, (stage, committed, topic.committed(stage))
        signal_all(second, signal.SIGCONT)
        until('all partitions at the second', lambda: all(len(_assigned(process)) == 3 for process in second.values()))
        publishing.finish()
        signal_all(second, signal.SIGTERM)
        for process in second.values():
            process.wait()
        topic.until_end({'': MDPIPE})
        topic.judge(publishing.heard())


tap.run(globals())
