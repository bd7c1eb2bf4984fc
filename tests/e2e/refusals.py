"""mdpipe topics, and what mdpipe run does with topics that are not as they should be, on a real Apache Kafka: each refusal
names the one command that resolves it, and that command, run as it was printed, does."""
import contextlib, re, shlex, signal

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

import tap
from harness import *

NOWHERE = '127.0.0.1:1'


class Topics:
    """Four topics of one test's own, on the broker that most of the tests share."""
    count = 0

    def __init__(self, broker):
        Topics.count += 1
        self.broker = broker
        self.raw, self.metrics, self.alerts, self.dead = (f'{name}-{Topics.count}' for name in ('raw', 'metrics', 'alerts', 'dead'))
        self.options = ['--kafka', broker.bootstrap, '--raw-topic', self.raw, '--metrics-topic', self.metrics,
                        '--alerts-topic', self.alerts, '--dead-letter-topic', self.dead]
        self.admin = AdminClient({'bootstrap.servers': broker.bootstrap})

    def command(self, verb, *arguments, expect=0):
        return run(MDPIPE, 'topics', verb, *self.options, *arguments, expect=expect)

    def make(self, name, partitions, **config):
        config = {key.replace('_', '.'): value for key, value in config.items()}
        self.done(self.admin.create_topics([NewTopic(name, partitions, 1, config=config)]))

    def delete(self, *names):
        self.done(self.admin.delete_topics(list(names)))
        until('deletion', lambda: not set(names) & set(self.admin.list_topics(timeout=10).topics))

    def set(self, name, key, value):
        self.done(self.admin.alter_configs([ConfigResource('topic', name, set_config={key: value})]))

    def add_partitions(self, total, *names):
        self.done(self.admin.create_partitions([NewPartitions(name, total) for name in names]))
        until('partitions', lambda: all(len(self.admin.list_topics(n, timeout=10).topics[n].partitions) == total for n in names))

    @staticmethod
    def done(futures):
        for future in futures.values():
            future.result(30)

    def messages(self, name):
        """All that is in a topic: (partition, key, value, headers, time)."""
        consumer = Consumer({'bootstrap.servers': self.broker.bootstrap, 'group.id': 'test', 'enable.auto.commit': False})
        partitions = consumer.list_topics(name, timeout=10).topics[name].partitions
        ends = {p: consumer.get_watermark_offsets(TopicPartition(name, p), timeout=10) for p in partitions}
        left = {p for p, (begin, end) in ends.items() if end > begin}
        consumer.assign([TopicPartition(name, p, ends[p][0]) for p in left])
        found = []
        while left:
            message = consumer.poll(30)
            assert message is not None and not message.error(), message and message.error()
            found.append((message.partition(), message.key(), message.value(), message.headers(), message.timestamp()[1]))
            if message.offset() + 1 >= ends[message.partition()][1]:
                left.discard(message.partition())
        consumer.close()
        return found


_resources = contextlib.ExitStack()
_broker = None


def _topics():
    global _broker
    if _broker is None:
        _broker = _resources.enter_context(Broker(_resources.enter_context(folder())))
    return Topics(_broker)


def _publish(directory, topics, session):
    """Plays a session through mdpipe run into the topics; what it said."""
    venue, address = serve(session, '--speed', 'max', '--once')
    with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--once', *topics.options) as pipe:
        return pipe.wait()


def _refused(directory, topics, *options):
    """mdpipe run without a feed, which must refuse the topics; what it said."""
    with mdpipe_run(directory, NOWHERE, '--symbols', 'SPY', '--drain', 0, *topics.options, *options) as pipe:
        return pipe.wait(3)


def _goes_on(directory, topics, *options, until_said=None):
    """mdpipe run without a feed, which must take the topics; what it said."""
    with mdpipe_run(directory, NOWHERE, '--symbols', 'SPY', *topics.options, *options) as pipe:
        pipe.wait_for('kafka connected')
        health = pipe.wait_for(r'health=([0-9.:]+)')
        until('a producer', lambda: metric(health, 'mdpipe_kafka_online') == 1)
        if until_said:
            pipe.wait_for(until_said)
        pipe.signal(signal.SIGTERM)
        return pipe.wait()


def _run_as_printed(said, verb):
    """Runs the command in a refusal, word for word but for where mdpipe is."""
    found = re.search(rf'mdpipe topics {verb}[^,;"\n]*', said)
    assert found, said
    return run(MDPIPE, *shlex.split(found.group(0))[1:])


def _session(directory, seed=1):
    path = f'{directory}/session-{seed}.jsonl.gz'
    run(MDREPLAY, 'generate', '--symbols', 12, '--trades', 3000, '--seed', seed, '-o', path)
    return path


def _judge(topics, *sessions):
    print('# ' + oracle('topic.py', '--no-duplicates', '--bootstrap', topics.broker.bootstrap, '--topic', topics.raw, *sessions).strip())


def test_topics_are_created_once_checked_and_described():
    topics = _topics()
    assert topics.command('check', expect=1).count('missing: mdpipe topics create') == 4
    assert topics.command('describe').count('missing') == 4
    assert topics.command('create').count('created') == 4
    assert topics.command('create').count('is there') == 4
    assert topics.command('check').count(' ok') == 4
    described = topics.command('describe')
    assert described.count('3 partitions, 1 replicas, delete, retention 604800 s') == 2, described
    differs = topics.command('check', '--partitions', '4', '--retention', '3d', expect=1)
    assert 'partitions: wanted 4, found 3' in differs and 'retention in ms: wanted 259200000, found 604800000' in differs, differs
    assert 'the topics are fit' in topics.command('mend')
    for nonsense in ('10GiB', '0s', 'soon'):
        assert '--retention' in topics.command('create', '--retention', nonsense, expect=2)


def test_adopt_says_where_there_is_nothing_to_adopt():
    topics = _topics()
    topics.command('create')
    with folder() as directory:
        assert 'No such file' in topics.command('adopt', '--journal', f'{directory}/none', expect=3)
        with mdpipe_run(directory, NOWHERE, '--symbols', 'SPY', '--kafka', 'none') as pipe:
            pipe.wait_for('journal created')
            # Whoever publishes would write the same state.
            assert 'mdpipe run' in topics.command('adopt', '--journal', f'{directory}/journal', expect=3)
            pipe.signal(signal.SIGTERM)
            pipe.wait()
        said = topics.command('adopt', '--journal', f'{directory}/journal', expect=3)
        assert 'never published' in said, said


def test_missing_topics_are_waited_for_and_the_command_that_makes_them_is_named():
    topics = _topics()
    with folder() as directory, mdpipe_run(directory, NOWHERE, '--symbols', 'SPY', *topics.options) as pipe:
        _run_as_printed(pipe.wait_for(f'there is no topic {topics.raw}: run .*'), 'create')
        pipe.wait_for('kafka connected')
        pipe.signal(signal.SIGTERM)
        pipe.wait()


def test_a_compacted_topic_is_refused_until_it_is_mended_and_keeps_its_other_settings():
    topics = _topics()
    topics.make(topics.raw, 3, cleanup_policy='compact', retention_ms='12345678')
    topics.command('create')
    with folder() as directory:
        said = _refused(directory, topics)
        assert f'topic {topics.raw} is compacted' in said, said
        assert 'cleanup.policy is delete now' in _run_as_printed(said, 'mend')
        assert 'delete, retention 12345 s' in topics.command('describe')
        _goes_on(directory, topics)


def test_metrics_of_another_partition_count_are_refused_until_they_are_mended():
    for wrong, options in ((2, ''), (5, ' --delete-metrics')):
        topics = _topics()
        topics.make(topics.metrics, wrong)
        topics.command('create')
        with folder() as directory:
            said = _refused(directory, topics)
            assert f'{topics.metrics} has {wrong} partitions and {topics.raw} has 3' in said, said
            if options:
                assert '--delete-metrics' in topics.command('mend', expect=1)  # nothing is deleted unasked
            _run_as_printed(said, 'mend' + options)
            _goes_on(directory, topics)


def test_partitions_added_while_stopped_are_refused_until_adopted_and_nothing_is_published_again():
    topics = _topics()
    topics.command('create')
    with folder() as directory:
        _publish(directory, topics, _session(directory))
        before = len(topics.messages(topics.raw))
        topics.add_partitions(5, topics.raw, topics.metrics)
        said = _refused(directory, topics)
        assert f'{topics.raw} has 5 partitions now and had 3' in said, said
        assert f'{topics.raw}[4] from offset 0 (new)' in _run_as_printed(said, 'adopt')
        _goes_on(directory, topics)
        assert len(topics.messages(topics.raw)) == before > 0


def test_partitions_added_while_running_are_an_alarm_and_symbols_stay_where_they_are():
    topics = _topics()
    topics.command('create')
    with folder() as directory:
        session = _session(directory)
        venue, address = serve(session, '--rate', 250, '--loop', 0)
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), *topics.options) as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('an acknowledgement', lambda: metric(health, 'mdpipe_kafka_acknowledged_total', topic=topics.raw))
            topics.add_partitions(5, topics.raw, topics.metrics)
            pipe.wait_for('has 5 partitions now and had 3: going on with the old number')
            until('degraded', lambda: '"degraded"' in get(health, '/healthz')[1])
            pipe.signal(signal.SIGTERM)
            pipe.wait()
        assert {partition for partition, *_ in topics.messages(topics.raw)} == {0, 1, 2}


def test_a_topic_made_anew_is_refused_until_adopted_and_filled_from_there_on():
    topics = _topics()
    topics.command('create')
    with folder() as directory:
        _publish(directory, topics, _session(directory))
        topics.delete(topics.raw)
        topics.command('create')
        said = _refused(directory, topics)
        assert 'the topic was created anew' in said, said
        assert f'{topics.raw}[0] from offset 0 (new)' in _run_as_printed(said, 'adopt')
        second = _session(directory, seed=2)
        _publish(directory, topics, second)
        _judge(topics, second)


def test_what_an_unclean_leader_lost_is_published_again_from_the_journal():
    topics = _topics()
    topics.command('create')
    with folder() as directory:
        session = _session(directory)
        _publish(directory, topics, session)
        # What such a leader leaves: the beginning of each partition.
        messages = topics.messages(topics.raw)
        topics.delete(topics.raw)
        topics.command('create')
        producer = Producer({'bootstrap.servers': topics.broker.bootstrap})
        kept = 0
        for partition in range(3):
            of_it = [message for message in messages if message[0] == partition]
            for _, key, value, headers, time_ms in of_it[:len(of_it) // (partition + 2)]:
                producer.produce(topics.raw, value, key, partition, headers=headers, timestamp=time_ms)
                kept += 1
        assert producer.flush(30) == 0
        assert 0 < kept < len(messages)
        _goes_on(directory, topics, until_said='has lost messages')
        _judge(topics, session)
        assert 'has lost' not in _goes_on(directory, topics)


def test_an_open_transaction_of_another_producer_hides_nothing_of_ours():
    topics = _topics()
    topics.command('create')
    with folder() as directory:
        first, second = _session(directory, seed=1), _session(directory, seed=2)
        _publish(directory, topics, first)
        other = Producer({'bootstrap.servers': topics.broker.bootstrap, 'transactional.id': topics.raw})
        other.init_transactions(30)
        other.begin_transaction()
        for partition in range(3):
            other.produce(topics.raw, b'of another', partition=partition)
        other.flush(30)
        _publish(directory, topics, second)  # lies behind what the open transaction holds back
        assert 'has lost' not in _goes_on(directory, topics)
        other.abort_transaction(30)
        _judge(topics, first, second)


def test_asking_makes_no_topic_and_a_broker_for_smaller_messages_is_refused_until_mended():
    with folder() as directory, Broker(directory, 'auto.create.topics.enable=true', 'message.max.bytes=300000') as broker:
        topics = Topics(broker)
        topics.command('check', expect=1)
        topics.command('describe')
        assert topics.command('check', expect=1).count('missing') == 4
        topics.command('create')
        said = _refused(directory, topics)
        assert f'topic {topics.raw} takes batches of at most 300000 bytes; --max-frame 524288 needs 589824' in said, said
        _goes_on(directory, topics, '--max-frame', '100000')
        assert 'max.message.bytes is 589824 now' in _run_as_printed(said, 'mend')
        _goes_on(directory, topics)


def test_trades_that_the_broker_refuses_for_good_are_dead_letters_and_the_others_go_on():
    topics = _topics()
    topics.command('create')
    with folder() as directory:
        session = _session(directory)
        venue, address = serve(session, '--rate', 400, '--loop', 0)
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), *topics.options) as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            refused = lambda: metric(health, 'mdpipe_kafka_acknowledged_total', topic=topics.dead)
            until('an acknowledgement', lambda: metric(health, 'mdpipe_kafka_acknowledged_total', topic=topics.raw))
            # Every trade is older than a millisecond when it comes; the metrics go on all the while.
            topics.set(topics.raw, 'message.timestamp.before.max.ms', '1')
            until('dead letters', lambda: refused() > 3)
            topics.set(topics.raw, 'message.timestamp.before.max.ms', str(2**62))
            pipe.signal(signal.SIGTERM)
            pipe.wait()
        exported = run(MDPIPE, 'journal', 'export', f'{directory}/journal').splitlines()
        dead, raw = topics.messages(topics.dead), topics.messages(topics.raw)
        values = lambda messages: sorted(value.decode() for _, _, value, _, _ in messages)
        assert sorted(values(dead) + values(raw)) == sorted(exported)
        assert all(dict(headers)['stage'] == b'publish' and len(dict(headers)['mdp']) == 26 for _, _, _, headers, _ in dead)


def test_no_secret_of_the_configuration_is_said():
    topics = _topics()
    canary = 'canary-in-the-coal-mine'
    with folder() as directory:
        config = f'{directory}/kafka.properties'
        with open(config, 'w', encoding='utf-8') as out:
            out.write(f'security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=me\nsasl.password={canary}\n')
        os.chmod(config, 0o600)
        said = topics.command('check', '--kafka-config', config, expect=3)
        with mdpipe_run(directory, NOWHERE, '--symbols', 'SPY', '--drain', 0, *topics.options, '--kafka-config', config) as pipe:
            pipe.wait_for('publish waits')
            health = pipe.wait_for(r'health=([0-9.:]+)')
            said += get(health, '/healthz')[1] + get(health, '/metrics')[1]
            pipe.signal(signal.SIGTERM)
            said += pipe.wait()
        os.chmod(config, 0o644)
        said += topics.command('check', '--kafka-config', config, expect=2)
        said += topics.command('check', '-X', f'sasl.password={canary}', expect=2)
        assert canary not in said, said
        assert 'chmod 600' in said and '--kafka-config' in said


with _resources:
    tap.run(globals())
