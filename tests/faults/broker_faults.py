"""What a broker and the way to it can do to a publisher, on a real Apache Kafka: faults.md, rows 24 to 29."""
import contextlib, glob, itertools, json, os, random, time

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource

import journal_file
import tap
from harness import *
from judge import *
from proxy import *
from publishing import SHORT_SESSION, Publishing, Topics

BROKER_KILLS = int(os.environ.get('MDPIPE_BROKER_KILLS', '2'))
AWAY_S = int(os.environ.get('MDPIPE_BROKER_AWAY_S', '10'))
NO_LEADER_S = int(os.environ.get('MDPIPE_NO_LEADER_S', '4'))
PROXY_FAULTS = int(os.environ.get('MDPIPE_PROXY_FAULTS', '5'))  # of each kind

_resources = contextlib.ExitStack()
_shared = None


def _proxied():
    """(proxy, bootstrap): a broker that most of the tests share, reached through a proxy alone."""
    global _shared
    if _shared is None:
        directory = _resources.enter_context(folder())
        proxy = _resources.enter_context(Proxy())
        broker = _resources.enter_context(Broker(directory, f'advertised.listeners=PLAINTEXT://127.0.0.1:{proxy.port}'))
        proxy.broker_port = broker.port
        _shared = proxy, f'127.0.0.1:{proxy.port}'
    return _shared


@contextlib.contextmanager
def _publishing_through_a_proxy(*more, rule=None):
    """`rule`: what the proxy goes by from the first request on, made with the topics and chance."""
    tap.shared('oracle', 'topic.py')
    rand = random.Random(seed_of())
    proxy, bootstrap = _proxied()
    topics = Topics(bootstrap)
    proxy.rule = rule(topics, rand) if rule else None
    with folder() as directory, Publishing(directory, bootstrap, topics, more=more) as publishing:
        publishing.publish_for(0.5)
        try:
            yield publishing, proxy, rand
        finally:
            proxy.rule, proxy.swallow, proxy.refuse, proxy.delay_s = None, False, False, 0


def test_row_24_and_26_a_broker_killed_again_and_again_and_away_for_long():
    tap.shared('oracle', 'topic.py')
    rand = random.Random(seed_of())
    with folder() as directory, Broker(directory, *SHORT_SESSION) as broker:
        with Publishing(directory, broker.bootstrap, Topics(broker.bootstrap)) as publishing:
            for number in range(BROKER_KILLS + 1):
                publishing.publish_for(rand.uniform(0.3, 2))
                broker.kill()
                if number == BROKER_KILLS:
                    time.sleep(AWAY_S)
                    until('the alarm', lambda: publishing.says('no acknowledgement of'))
                broker.command('start')
                publishing.recovery(f'away for {AWAY_S} s' if number == BROKER_KILLS else f'kill {number + 1}')
            publishing.finish()
            publishing.judge()


def test_row_24_25_and_29_each_of_three_nodes_killed_in_turn_leaders_moved_and_too_few_replicas_in_sync():
    tap.shared('oracle', 'topic.py')
    rand = random.Random(seed_of())
    with folder() as directory, Broker(directory, 'min.insync.replicas=2', *SHORT_SESSION, nodes=3) as broker:
        with Publishing(directory, broker.bootstrap, Topics(broker.bootstrap, '--replication', 3), rate=1000) as publishing:
            nodes = rand.sample([1, 2, 3], 3)
            for node in nodes:
                publishing.publish_for(rand.uniform(0.3, 1.5))
                broker.kill(node)
                publishing.recovery(f'node {node} gone')
                if node == nodes[-1]:
                    _too_few_replicas_in_sync(broker, publishing)
                broker.command('start')
                _until_in_sync(broker, publishing.topics, 3)
            publishing.recovery('all are back')
            publishing.finish()
            publishing.judge()
            for node in nodes:
                broker.kill(node)  # in good order the last of them would wait for the others


def _too_few_replicas_in_sync(broker, publishing):
    """Two are alive and three are wanted."""
    wanted = ConfigResource('topic', publishing.topics.raw, set_config={'min.insync.replicas': '3'})
    admin = AdminClient({'bootstrap.servers': broker.bootstrap})
    for future in admin.alter_configs([wanted]).values():
        future.result(30)
    publishing.halted(f'no acknowledgement of {publishing.topics.raw}[')


def _until_in_sync(broker, topics, replicas):
    admin = AdminClient({'bootstrap.servers': broker.bootstrap})
    until('all replicas in sync', lambda: all(
        len(partition.isrs) == replicas for name, topic in admin.list_topics(timeout=30).topics.items()
        if name in (topics.raw, topics.metrics, topics.dead) for partition in topic.partitions.values()))


def test_row_27_acknowledgements_lost_after_the_append():
    with _publishing_through_a_proxy() as (publishing, proxy, rand):
        lost_before = proxy.lost
        for number in range(PROXY_FAULTS):
            armed = [rand.randrange(1, 6)]  # one of the next few

            def rule(request):
                armed[0] -= bool(request.produce)
                return Lose() if request.produce and armed[0] == 0 else None
            proxy.rule = rule
            until('a lost acknowledgement', lambda: proxy.lost == lost_before + number + 1)
            publishing.recovery(f'acknowledgement {number + 1} lost')
        publishing.finish()
        publishing.judge()


def test_row_27_requests_in_flight_at_kill_9_arrive_late_as_raw_duplicates():
    with _publishing_through_a_proxy() as (publishing, proxy, rand):
        proxy.rule = lambda request: Hold() if request.produce else None
        until('requests on the way', lambda: proxy.held() >= 3)
        time.sleep(rand.uniform(0, 0.5))
        publishing.pipe.process.kill()
        publishing.pipe.process.wait()
        proxy.rule = None
        publishing.start()
        publishing.recovery('the next life')
        proxy.release()  # now, behind what the next life has sent again
        publishing.publish_for(1)
        publishing.finish()
        trades, _ = publishing.judge(killed=True)
        assert trades > 0, 'nothing of what was on the way has arrived'


def test_row_25_the_first_produce_of_a_producer_answered_not_leader_loses_nothing_where_a_plain_producer_loses_it():
    with _publishing_through_a_proxy() as (publishing, proxy, rand):
        refused, behind, first_counts = set(), [], []
        is_to_break = [False]

        def rule(request):
            if not request.produce:
                return None
            fresh = [b for b in request.produce if b.base_sequence == 0 and (b.producer_id, b.topic, b.partition) not in refused]
            if fresh:
                refused.update((b.producer_id, b.topic, b.partition) for b in fresh)
                first_counts.extend(b.count for b in fresh)
                waiting.update((b.producer_id, b.topic, b.partition) for b in fresh)
                return Answer(NOT_LEADER_OR_FOLLOWER)
            for b in request.produce:
                if (b.producer_id, b.topic, b.partition) in waiting and b.base_sequence != 0:
                    behind.append(b)
                waiting.discard((b.producer_id, b.topic, b.partition))
            if is_to_break[0] and any(b.base_sequence for b in request.produce):
                is_to_break[0] = False
                return Answer(OUT_OF_ORDER_SEQUENCE_NUMBER)
            return None
        waiting = set()
        proxy.rule = rule
        for number in range(3):  # each fatal error brings a new producer
            rebuilds = publishing.figure('mdpipe_kafka_rebuilds_total')
            is_to_break[0] = True
            until('a new producer', lambda: publishing.figure('mdpipe_kafka_rebuilds_total') > rebuilds)
            publishing.recovery(f'producer {number + 2}, first Produce refused')
        publishing.finish()
        publishing.judge()
        assert len(first_counts) >= 6 and set(first_counts) == {1} and not behind, (first_counts, behind)
        print(f'# the first message of {len(refused)} partitions of {len({p for p, _, _ in refused})} producers refused once each')
        _lost_by_a_plain_producer(proxy, publishing)


def test_row_25_without_a_leader_for_long_it_waits_and_loses_nothing():
    with _publishing_through_a_proxy() as (publishing, proxy, _):
        proxy.rule = lambda request: Answer(NOT_LEADER_OR_FOLLOWER) if request.produce else None
        time.sleep(NO_LEADER_S)
        publishing.halted('no acknowledgement of')
        proxy.rule = None
        publishing.recovery(f'no leader for {NO_LEADER_S} s')
        publishing.finish()
        publishing.judge()


def _lost_by_a_plain_producer(proxy, publishing):
    """The trap is real: librdkafka alone, idempotent and gapless, skips in silence what is refused with others behind it."""
    topic = publishing.topics.dead
    refused = []

    def rule(request):
        if request.produce and not refused:
            refused.append(request)
            return Answer(NOT_LEADER_OR_FOLLOWER)
        return None
    proxy.rule = rule
    producer = Producer({'bootstrap.servers': publishing.bootstrap, 'enable.idempotence': True, 'enable.gapless.guarantee': True,
                         'linger.ms': 0, 'batch.num.messages': 1, 'log_level': 3})
    delivered = []
    for number in range(6):
        producer.produce(topic, b'%d' % number, partition=0, on_delivery=lambda error, message: delivered.append(error))
    producer.flush(30)
    found = oracle('topic.py', '--no-header', '--bootstrap', publishing.bootstrap, '--topic', topic, '--dump').splitlines()
    values = [line for line in found if line.isdigit()]
    assert refused and delivered.count(None) == 6 and values == ['1', '2', '3', '4', '5'], (delivered, values)
    print(f'# a plain producer was told that {delivered.count(None)} of 6 are delivered; the topic holds {" ".join(values)}')


def test_row_28_messages_refused_for_good_first_or_in_the_middle_with_others_behind_them_become_dead_letters_and_nothing_else_does():
    day = [text for _, text in itertools.islice(session_trades(tap.shared('data', 'sessions', 'us-stocks-2013-10-07.jsonl.gz')), 1500)]
    poison = set()

    def rule(topics, rand):
        firsts = {json.loads(text)['s']: text for text in reversed(day)}.values()  # each the first of its symbol
        poison.update([*firsts, *rand.sample(day, 3), *day[1000:1002]])

        def refuse(request):
            of_raw = any(batch.topic == topics.raw for batch in request.produce)
            return Answer(INVALID_TIMESTAMP) if of_raw and any(text.encode() in request.frame for text in poison) else None
        return refuse
    # Not packed, so that the proxy sees what is in a batch.
    with _publishing_through_a_proxy('-X', 'compression.codec=none', rule=rule) as (publishing, _, _):
        until('all of that', lambda: publishing.acknowledged() > len(day))
        publishing.publish_for(0.5)
        dead = publishing.finish(refuses=True)
        heard = [text for record in journal_file.records(f'{publishing.directory}/journal') for t in getattr(record, 'trades', [])
                 for text in [t.text.decode()]]
        refused = [text for text in heard if text in poison]
        assert dead == len(refused), (dead, len(refused))
        session = publishing.heard()
        with open(session, encoding='utf-8') as lines:
            kept = [line for line in lines if line.rstrip('\n') not in poison]
        taken = f'{publishing.directory}/taken.jsonl'
        with open(taken, 'w', encoding='utf-8') as out:
            out.writelines(kept)
        judge_topic(publishing.bootstrap, taken, topic=publishing.topics.raw)
        judge_files(f'{publishing.directory}/trades', session)
        judge_metrics(publishing.directory, publishing.bootstrap, session, topic=publishing.topics.metrics)
        letters = oracle('topic.py', '--bootstrap', publishing.bootstrap, '--topic', publishing.topics.dead, '--dump').splitlines()
        assert sorted(line for line in letters if line.startswith('{')) == sorted(refused)
        print(f'# {len(refused)} messages refused for good, {len(kept)} others taken')


def test_row_28_a_fatal_error_of_the_producer_is_answered_by_a_new_one():
    with _publishing_through_a_proxy() as (publishing, proxy, rand):
        for number in range(PROXY_FAULTS):
            rebuilds = publishing.figure('mdpipe_kafka_rebuilds_total')
            fates = [(Answer, AppendAndAnswer)[number % 2](OUT_OF_ORDER_SEQUENCE_NUMBER)]
            kind = type(fates[0]).__name__

            def rule(request):
                return fates.pop() if fates and any(b.base_sequence for b in request.produce) else None
            proxy.rule = rule
            until('a producer given up', lambda: publishing.figure('mdpipe_kafka_rebuilds_total') > rebuilds)
            publishing.recovery(f'fatal error {number + 1} ({kind})')
        publishing.finish()
        publishing.judge()


def test_row_24_to_28_a_way_to_the_broker_that_is_cut_delayed_swallows_and_refuses():
    with _publishing_through_a_proxy() as (publishing, proxy, rand):
        for number in range(PROXY_FAULTS):
            seconds = rand.uniform(0.1, 2)
            kind = rand.choice(['cut', 'delay', 'swallow', 'refuse'])
            if kind == 'delay':
                proxy.delay_s = seconds / 4
            elif kind != 'cut':
                setattr(proxy, kind, True)
            if kind == 'refuse':
                proxy.cut()
            time.sleep(seconds)
            proxy.swallow, proxy.refuse, proxy.delay_s = False, False, 0
            if kind in ('cut', 'swallow'):
                proxy.cut()
            publishing.recovery(f'{kind} for {seconds:.1f} s')
        publishing.finish()
        publishing.judge()


def test_row_29_without_permission_it_halts_alarms_and_goes_on_when_mended():
    with _publishing_through_a_proxy() as (publishing, proxy, _):
        proxy.rule = lambda request: Answer(TOPIC_AUTHORIZATION_FAILED) if request.produce else None
        publishing.halted('Topic authorization failed')
        proxy.rule = None
        publishing.recovery('permitted again')
        publishing.finish()
        publishing.judge()


def _cut_log(broker, topic, batches_to_keep):
    """What an unclean leader leaves of a partition: its first batches, so many as `batches_to_keep` says of the ids of their
    producers. The broker must be away. The number of the partition."""
    log = max(glob.glob(f'{broker.data}/node-1/**/{topic}-?/*.log', recursive=True), key=os.path.getsize)
    directory = os.path.dirname(log)
    stale = [name for kind in ('index', 'timeindex', 'snapshot') for name in glob.glob(f'{directory}/*.{kind}')]
    stale += glob.glob(f'{os.path.dirname(directory)}/*-offset-checkpoint')
    for name in stale:
        os.remove(name)
    with open(log, 'r+b') as out:
        content, ends, producers = out.read(), [0], []
        while ends[-1] < len(content):
            begin = ends[-1]
            producers.append(int.from_bytes(content[begin + 43:begin + 51], 'big'))
            ends.append(begin + 12 + int.from_bytes(content[begin + 8:begin + 12], 'big'))
        out.truncate(ends[batches_to_keep(producers)])
    return int(directory[-1])


def test_row_33_a_log_cut_while_a_run_goes_on_ends_it_and_the_next_heals_it_from_the_journal():
    tap.shared('oracle', 'topic.py')
    rand = random.Random(seed_of())
    with folder() as directory, Broker(directory, *SHORT_SESSION) as broker:
        with Publishing(directory, broker.bootstrap, Topics(broker.bootstrap)) as publishing:
            publishing.publish_for(rand.uniform(0.5, 2))
            broker.kill()
            partition = _cut_log(broker, publishing.topics.raw, lambda producers: rand.randrange(1, len(producers)))
            broker.command('start')
            said = publishing.pipe.wait(3)
            assert f'{publishing.topics.raw}[{partition}] has lost messages' in said and 'Start mdpipe run again' in said, said
            publishing.start()
            publishing.recovery('log cut')
            publishing.finish()
            publishing.judge(killed=True)


def test_row_33_a_log_that_has_lost_all_of_a_producer_and_takes_more_of_it_raises_an_alarm():
    """Such a broker accepts any sequence: what it has lost cannot come in its place again. A reader finds the gap."""
    tap.shared('oracle', 'topic.py')
    rand = random.Random(seed_of())
    with folder() as directory, Broker(directory, *SHORT_SESSION) as broker:
        with Publishing(directory, broker.bootstrap, Topics(broker.bootstrap), stages='publish') as publishing:
            publishing.publish_for(rand.uniform(0.5, 1))
            publishing.end_of_a_life()
            publishing.start()
            publishing.publish_for(rand.uniform(0.5, 1))
            broker.kill()
            partition = _cut_log(broker, publishing.topics.raw, lambda producers: producers.index(producers[-1]))
            broker.command('start')
            publishing.recovery('log cut')
            until('an alarm', lambda: publishing.says(f'{publishing.topics.raw}[{partition}] has lost messages'))
            publishing.finish()
            verdict = oracle('topic.py', '--bootstrap', broker.bootstrap, '--topic', publishing.topics.raw, publishing.heard(killed=True), expect=1)
            print('# ' + verdict.strip().splitlines()[-1])
            assert ', 1 gap,' in verdict and ' 0 extra' in verdict and ' 0 missing' not in verdict, verdict


with _resources:
    tap.run(globals())
