"""The stages as consumers of Kafka: what mdpipe run gives, whatever is planted or poisoned, on a real broker. Killed and stopped:
tests/faults/consumer_faults.py."""
import collections, json, os, random, subprocess

import tap
from harness import *

SEED = int(os.environ.get('MDPIPE_TEST_SEED', '1'))
SYMBOLS = 16


def _consume(stage, directory, broker, *arguments):
    place = {'store': ('--store', f'{directory}/stored'), 'aggregate': ('--state', f'{directory}/aggregate')}[stage]
    return Process(MDPIPE, stage, '--kafka', broker.bootstrap, *place, '--listen', '127.0.0.1:0', *arguments)


def _session(directory, trades, seed=SEED):
    session = f'{directory}/session-{seed}.jsonl.gz'
    run(MDREPLAY, 'generate', '--symbols', SYMBOLS, '--trades', trades, '--seed', seed, '-o', session)
    return session


def _publish_all(directory, broker, session, *run_options, journal='journal'):
    venue, address = serve(session, '--once', '--speed', 'max')
    with venue, Process(MDPIPE, 'run', '--feed', f'ws://{address}', '--journal', f'{directory}/{journal}', '--store', f'{directory}/trades',
                        '--listen', 'none', '--symbols', symbols_file(directory, session), '--kafka', broker.bootstrap, '--once',
                        *run_options) as pipe:
        said = pipe.wait()
        venue.wait()
    return said


def _values(broker, topic='aggregated-metrics'):
    dump = oracle('topic.py', '--bootstrap', broker.bootstrap, '--topic', topic, '--dump')
    return [line for line in dump.splitlines() if line.startswith('{')]


def _by_symbol(metrics):
    result = {}
    for text in metrics:
        result.setdefault(json.loads(text)['symbol'], []).append(text)
    return result


def _judge_metrics(directory, broker, session):
    metrics = f'{directory}/metrics.jsonl'
    with open(metrics, 'w', encoding='utf-8') as out:
        out.write('\n'.join(_values(broker)) + '\n')
    print('# ' + oracle('metrics.py', '--compare', session, metrics).strip().splitlines()[-1])


def _judge(directory, broker, session):
    print('# ' + oracle('store.py', f'{directory}/stored', session).strip().splitlines()[-1])
    _judge_metrics(directory, broker, session)


def _until_end(directory, broker, *stages):
    for stage in stages:
        with _consume(stage, directory, broker, '--until-end') as process:
            print('# ' + process.wait().replace('\n', '\n# ').split('messages ')[-1])


def _stored(directory, name='stored'):
    lines = []
    for file in sorted(os.listdir(f'{directory}/{name}')):
        if file.startswith('trades_'):
            with open(f'{directory}/{name}/{file}', encoding='utf-8', newline='\n') as text:
                lines += [line.rstrip('\n') for line in text]
    return lines


def _plant_duplicates(broker, topic, count):
    """What a publisher's death may leave: the last messages of each partition once more, header and all."""
    from confluent_kafka import Consumer, Producer, TopicPartition
    consumer = Consumer({'bootstrap.servers': broker.bootstrap, 'group.id': 'planter', 'enable.auto.commit': False})
    producer = Producer({'bootstrap.servers': broker.bootstrap})
    planted = 0
    for partition in consumer.list_topics(topic, timeout=15).topics[topic].partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=15)
        consumer.assign([TopicPartition(topic, partition, max(low, high - count))])
        while consumer.position([TopicPartition(topic, partition)])[0].offset < high and high > low:
            message = consumer.poll(1)
            if message is not None and not message.error():
                producer.produce(topic, message.value(), message.key(), partition, headers=message.headers())
                planted += 1
    producer.flush()
    consumer.close()
    return planted


def test_publish_alone_with_consumers_gives_byte_for_byte_what_run_gives_with_all_stages_and_drops_raw_duplicates_across_a_restart():
    tap.shared('oracle', 'topic.py')
    with folder() as directory, Broker(directory) as broker:
        session = _session(directory, 30000)
        names = ['--raw-topic', 'raw-2', '--metrics-topic', 'metrics-2', '--alerts-topic', 'alerts-2', '--dead-letter-topic', 'dead-2']
        run(MDPIPE, 'topics', 'create', '--kafka', broker.bootstrap)
        run(MDPIPE, 'topics', 'create', '--kafka', broker.bootstrap, *names)
        _publish_all(directory, broker, session, *names)
        _publish_all(directory, broker, session, '--stages', 'publish', journal='journal-2')
        _until_end(directory, broker, 'aggregate', 'store')
        assert by_symbol_and_date(_stored(directory)) == by_symbol_and_date(_stored(directory, 'trades'))
        assert _by_symbol(_values(broker)) == _by_symbol(_values(broker, 'metrics-2'))
        _judge(directory, broker, session)
        planted = _plant_duplicates(broker, 'raw-market-data', 100)
        for stage in ('store', 'aggregate'):
            with _consume(stage, directory, broker, '--until-end') as process:
                assert f'= 0 trades + {planted} duplicates + 0 dead letters' in process.wait(), process.output
        _judge(directory, broker, session)


def test_poison_is_dead_lettered_with_its_origin_and_the_good_trades_around_it_are_used():
    with folder() as directory, Broker(directory) as broker:
        run(MDPIPE, 'topics', 'create', '--kafka', broker.bootstrap)
        good = [json.dumps({'s': f'S{i % 7}', 'p': 10 + i, 'v': i + 1, 't': 1_700_000_000_000 + i}) for i in range(300)]
        poison = ['not json', '{"s":"A"}', '[]', '{"s":"A","p":1,"v":1,"t":1}],"more":[1', '{"s":"A","p":1,"v":1,"t":1},{"s":"A","p":2,"v":1,"t":2}']
        rand = random.Random(SEED)
        messages = good[:]
        for text in poison:
            messages.insert(rand.randrange(len(messages)), text)

        def kcat(lines, *more):
            subprocess.run(['kcat', '-P', '-b', broker.bootstrap, '-t', 'raw-market-data', '-p', '1', *more], input='\n'.join(lines).encode(), check=True)
        kcat(messages)
        bad_header = ['-H', 'mdp=' + 'x' * 26]
        kcat(['{"s":"B","p":1,"v":1,"t":1}'], *bad_header)
        kcat(['{"s":"B","p":1,"v":1,"t":1}'], '-H', 'mdp=short')
        for again in range(2):  # the second time: nothing of it again
            for stage in ('store', 'aggregate'):
                with _consume(stage, directory, broker, '--until-end') as process:
                    said = process.wait()
                count = '307  = 300 trades + 0 duplicates + 7 dead letters' if not again else '0  = 0 trades + 0 duplicates + 0 dead letters'
                assert count in said, said
                assert again or '300 without our header' in said, said
        assert sorted(_stored(directory)) == sorted(good)
        expected = collections.Counter(json.loads(text)['s'] for text in good)
        assert len(_by_symbol(_values(broker))) == 7 and len(_values(broker)) == sum(count // 10 for count in expected.values())
        letters = subprocess.run(['kcat', '-C', '-b', broker.bootstrap, '-t', 'dead-letter-queue', '-e', '-q', '-f', '%h\t%s\n'],
                                 capture_output=True, check=True).stdout.decode(errors='replace').splitlines()
        assert len(letters) == 14, letters
        for stage in ('store', 'aggregate'):
            mine = [line for line in letters if f'stage={stage}' in line]
            assert len(mine) == 7
            for text in poison:
                offset = messages.index(text)
                found = [line for line in mine if line.endswith('\t' + text)]
                assert len(found) == 1 and f'topic=raw-market-data,partition=1,offset={offset}' in found[0], (text, mine)
            assert sum('error=mdp header of another version or length' in line for line in mine) == 2, mine


def test_a_group_that_keeps_its_states_elsewhere_and_another_aggregator_are_refused():
    with folder() as directory, Broker(directory) as broker:
        run(MDPIPE, 'topics', 'create', '--kafka', broker.bootstrap)
        session = _session(directory, 3000)
        _publish_all(directory, broker, session)  # with its own aggregate
        _until_end(directory, broker, 'store')
        with _consume('aggregate', directory, broker, '--until-end') as process:
            assert 'another aggregator' in process.wait(3)
        with Process(MDPIPE, 'store', '--kafka', broker.bootstrap, '--store', f'{directory}/elsewhere', '--listen', 'none', '--until-end') as process:
            assert 'in another folder' in process.wait(3)
        assert not [name for name in os.listdir(f'{directory}/elsewhere') if name.startswith('trades_')]
        # The refused one has left no word of its own with the group.
        _until_end(directory, broker, 'store')


tap.run(globals())
