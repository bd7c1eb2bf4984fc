"""Sessions played straight into a real Kafka, judged by the oracle that reads session and topic by itself."""
import json, random

import tap
from harness import *


def _topic(broker, name):
    run(MDPIPE, 'topics', 'create', '--kafka', broker.bootstrap, '--raw-topic', name, '--metrics-topic', f'{name}-metrics')
    return name


def _play(broker, session, topic, *options, expect=0):
    return run(MDREPLAY, 'kafka', session, '--kafka', broker.bootstrap, '--topic', topic, *options, expect=expect)


def _judge(broker, session, topic, *options):
    said = oracle('topic.py', '--bootstrap', broker.bootstrap, '--topic', topic, *options, session)
    print('# ' + said.strip().splitlines()[-1])


def test_a_session_is_in_the_topic_as_the_live_publisher_would_have_put_it():
    with folder() as directory, Broker(directory) as broker:
        generated = f'{directory}/storm.jsonl.gz'
        run(MDREPLAY, 'generate', '--symbols', 40, '--trades', 50000, '--seed', 11, '-o', generated)
        for name, session in (('generated', generated), ('us', tap.shared('data', 'sessions', 'us-stocks-2013-10-07.jsonl.gz'))):
            report = f'{directory}/report.json'
            said = _play(broker, session, _topic(broker, name), '--speed', 'max', '--report', report)
            _judge(broker, session, name, '--no-duplicates')
            with open(report) as file:
                numbers = json.load(file)
            assert numbers['trades'] == numbers['acknowledged'] > 0 and numbers['there_before'] == 0, numbers
            # Again: another source, everything once more.
            assert 'there before' not in _play(broker, session, name, '--speed', 'max') + said


def test_with_resume_the_topic_holds_the_session_once_however_often_it_was_killed():
    seed = int(os.environ.get('MDPIPE_TEST_SEED', random.randrange(1 << 30)))
    kills = int(os.environ.get('MDPIPE_REPLAY_KILLS', '6'))
    print(f'# seed {seed}')
    chance = random.Random(seed)
    session = tap.shared('data', 'sessions', 'us-stocks-2013-10-07.jsonl.gz')
    with folder() as directory, Broker(directory) as broker:
        topic = _topic(broker, 'resumed')
        # So slow that no life comes to the session's end.
        options = ['--kafka', broker.bootstrap, '--topic', topic, '--rate', 250000 // kills, '--resume']
        for _ in range(kills):
            with Process(MDREPLAY, 'kafka', session, *options) as replay:
                time.sleep(chance.uniform(0.8, 1.4))
                assert replay.process.poll() is None, 'it has come to the end'
        said = _play(broker, session, topic, '--speed', 'max', '--resume')
        _judge(broker, session, topic)
        print(f'# {kills} kills; ' + ' · '.join(line.strip() for line in said.splitlines()[1:4]))
        assert 'there before' in said, 'no kill left anything to go on from'
        assert 'nothing to do' in _play(broker, session, topic, '--speed', 'max', '--resume')
        # Under another name it is another copy.
        assert 'there before' not in _play(broker, session, topic, '--speed', 'max', '--resume', '--as', 'second')


def test_a_paced_session_takes_its_time_and_says_how_late_it_was():
    with folder() as directory, Broker(directory) as broker:
        session = f'{directory}/session.jsonl'
        run(MDREPLAY, 'generate', '--symbols', 9, '--trades', 3000, '--seed', 2, '-o', session)
        report = f'{directory}/report.json'
        said = _play(broker, session, _topic(broker, 'paced'), '--rate', 1000, '--precise', '--report', report)
        assert 'frames late by p50' in said, said
        with open(report) as file:
            numbers = json.load(file)
        assert 2.9 < numbers['sending_seconds'] and numbers['late_ns']['frames'] > 0, numbers
        assert numbers['late_ns']['p50'] <= numbers['late_ns']['p99'] <= numbers['late_ns']['max'], numbers
        _judge(broker, session, 'paced', '--no-duplicates')


def test_what_cannot_be_done_is_said_in_words():
    with folder() as directory, Broker(directory) as broker:
        session = f'{directory}/session.jsonl'
        run(MDREPLAY, 'generate', '--symbols', 9, '--trades', 100, '--seed', 2, '-o', session)
        assert 'topics create' in _play(broker, session, 'nowhere', expect=3)
        assert '--resume' in _play(broker, session, 'nowhere', '--as', 'x', expect=2)
        assert 'missing.jsonl' in _play(broker, f'{directory}/missing.jsonl', 'nowhere', expect=3)
        huge = f'{directory}/huge.jsonl'
        with open(huge, 'w') as file:
            file.write(json.dumps({'s': 'SPY', 'p': 1, 't': 1, 'v': 1, 'x': 'x' * 1_500_000}) + '\n')
        said = _play(broker, huge, _topic(broker, 'huge'), '--speed', 'max', expect=3)
        assert 'huge refuses message 1, of 15000' in said, said
        with open(session, 'a') as file:
            file.write('{"damaged":\n')
        said = _play(broker, session, _topic(broker, 'damaged'), '--speed', 'max', expect=5)
        assert 'session.jsonl:' in said and 'the 100 trades before it are in damaged' in said, said


def test_no_batch_is_larger_than_the_topic_takes_be_that_the_usual_or_less():
    for limit in ([], ['message.max.bytes=590000']):
        with folder() as directory, Broker(directory, *limit) as broker:
            session, report = f'{directory}/session.jsonl', f'{directory}/report.json'
            run(MDREPLAY, 'generate', '--symbols', 1, '--trades', 60000, '--seed', 6, '-o', session)
            # As they are: packed, any batch would be small enough.
            _play(broker, session, _topic(broker, 'batches'), '--speed', 'max', '-X', 'compression.codec=none', '--report', report)
            with open(report) as file:
                numbers = json.load(file)
            assert numbers['trades'] == numbers['acknowledged'] == 60000 and numbers['producers_given_up'] == 0, numbers
            _judge(broker, session, 'batches', '--no-duplicates')


def test_rebased_to_now_only_the_times_differ_and_the_report_says_by_how_much():
    with folder() as directory, Broker(directory) as broker:
        session = f'{directory}/session.jsonl'
        run(MDREPLAY, 'generate', '--symbols', 9, '--trades', 2000, '--seed', 4, '-o', session)
        report = f'{directory}/report.json'
        before = time.time() * 1000
        said = _play(broker, session, _topic(broker, 'rebased'), '--speed', 'max', '--rebase', 'now', '--report', report)
        with open(report) as file:
            shift = json.load(file)['rebased_by_ms']
        assert 'times moved' in said and f'{shift:+}' in said, said
        first = int(run(MDREPLAY, 'info', session, '--json').split('"first_ns":')[1].split(',')[0]) // 1_000_000
        assert before - 1 <= first + shift <= time.time() * 1000, (before, first, shift)
        # By symbol, in order: the session's texts with only the time another.
        lines = run(MDPIPE, 'tail', '--kafka', broker.bootstrap, '--topic', 'rebased', '--from', 'earliest', '--until-end',
                    '--json', '--listen', 'none').splitlines()
        sent, recorded = {}, {}
        for message in (json.loads(line) for line in lines if line.startswith('{')):
            sent.setdefault(message['key'], []).append(message['value'])
        for symbol, text in session_trades(session):
            time_text = re.search(r'"t"\s*:\s*(-?\d+)', text)
            moved = text[:time_text.start(1)] + str(int(time_text.group(1)) + shift) + text[time_text.end(1):]
            recorded.setdefault(symbol, []).append(moved)
        assert sent == recorded, next((a, b) for s in recorded for a, b in zip(sent.get(s, []), recorded[s]) if a != b)
        for excluded in ('--resume', '--recorded-time'):
            assert excluded in _play(broker, session, 'rebased', '--rebase', 'now', excluded, expect=2)
        assert 'want now' in _play(broker, session, 'rebased', '--rebase', 'then', expect=2)


def test_a_signal_ends_it_in_order_with_what_was_sent_acknowledged_and_reported():
    with folder() as directory, Broker(directory) as broker:
        session, report = f'{directory}/session.jsonl', f'{directory}/report.json'
        run(MDREPLAY, 'generate', '--symbols', 9, '--trades', 50000, '--seed', 4, '--plain', '-o', session)
        topic = _topic(broker, 'stopped')
        for number in (signal.SIGINT, signal.SIGTERM):
            with Process(MDREPLAY, 'kafka', session, '--kafka', broker.bootstrap, '--topic', topic, '--rate', 500, '--report', report) as player:
                def has_begun():
                    described = run(MDPIPE, 'topics', 'describe', '--kafka', broker.bootstrap, '--raw-topic', topic)
                    return int(re.search(r'^stopped .* (\d+) offsets$', described, re.M).group(1)) > sent
                sent = 0 if number == signal.SIGINT else numbers['acknowledged']
                until('messages', has_begun)
                player.signal(number)
                said = player.wait(expect=1)
            with open(report) as file:
                numbers = json.load(file)
            assert 'stopped by a signal' in said and numbers['stopped'] is True, said
            assert 0 < numbers['trades'] == numbers['acknowledged'] == numbers['trades_sent'] < 50000, numbers
        # Without a broker it can be ended, too.
        with Process(MDREPLAY, 'kafka', session, '--kafka', '127.0.0.1:1', '--report', report) as player:
            player.signal(signal.SIGTERM)
            player.wait(expect=None)
            assert player.process.returncode != 0


tap.run(globals())
