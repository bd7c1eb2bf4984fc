"""Step by step on a real Apache Kafka, judged by references that know nothing of mdpipe."""
import os, signal

import tap
from harness import *

TIMES = int(os.environ.get('MDPIPE_TEST_TIMES', '1'))  # how often the whole sessions are played; scripts/test.sh --long asks for 5


def _judge(directory, broker, *sessions, no_duplicates=True):
    flags = ['--no-duplicates'] if no_duplicates else []
    print('# ' + oracle('topic.py', *flags, '--bootstrap', broker.bootstrap, *sessions).strip())
    print('# ' + oracle('store.py', f'{directory}/trades', *sessions).strip())
    metrics = f'{directory}/metrics.jsonl'
    dump = oracle('topic.py', '--bootstrap', broker.bootstrap, '--topic', 'aggregated-metrics', '--dump')
    with open(metrics, 'w', encoding='utf-8') as out:
        out.write('\n'.join(line for line in dump.splitlines() if line.startswith('{')) + '\n')
    print('# ' + oracle('metrics.py', '--compare', *sessions, metrics).strip())


def _play(session, symbols, serve_options, run_options=(), scheme='ws'):
    with folder() as directory, Broker(directory) as broker:
        run(MDPIPE, 'topics', 'create', '--kafka', broker.bootstrap)
        venue, address = serve(session, '--once', *serve_options)
        with venue, mdpipe_run(directory, address, '--symbols', symbols, '--kafka', broker.bootstrap, '--once', *run_options,
                               scheme=scheme) as pipe:
            pipe.wait()
            venue.wait()
        _judge(directory, broker, session)


def test_the_us_day_arrives_whole():
    session = tap.shared('data', 'sessions', 'us-stocks-2013-10-07.jsonl.gz')
    for _ in range(TIMES):
        _play(session, 'SPY,AIG,BAC,IBM', ['--speed', 'max'])


def test_a_crypto_session_arrives_whole_over_tls_at_its_own_pace():
    session = tap.shared('data', 'sessions', 'crypto-2024-08-08.jsonl.gz')
    with folder() as directory:
        ca, certificate, key = private_ca(directory)
        for _ in range(TIMES):
            _play(session, 'BINANCE:BTCUSDT,BINANCE:ETHUSDT', ['--speed', '20', '--tls-cert', certificate, '--tls-key', key],
                  ['--ca-file', ca], scheme='wss')


def test_a_generated_session_with_every_oddity_arrives_whole():
    with folder() as directory:
        session = f'{directory}/session.jsonl.gz'
        for seed in range(TIMES):
            run(MDREPLAY, 'generate', '--symbols', 40, '--trades', 50000, '--seed', seed, '-o', session)
            _play(session, symbols_file(directory, session), ['--speed', 'max'])


def test_the_published_frames_of_the_venue_arrive_whole_and_are_counted_by_kind():
    session = tap.shared('data', 'finnhub', 'frames.jsonl')
    with folder() as directory, Broker(directory) as broker:
        run(MDPIPE, 'topics', 'create', '--kafka', broker.bootstrap)
        symbols = ','.join(run(MDREPLAY, 'info', session, '--list-symbols').split('\n')).strip(',')
        venue, address = serve(session, '--speed', 'max', '--once')
        with venue, mdpipe_run(directory, address, '--symbols', symbols, '--kafka', broker.bootstrap, '--once') as pipe:
            said = pipe.wait()
        assert '47  = 45 with trades + 1 pings + 1 errors + 0 other + 0 bad' in said, said
        _judge(directory, broker, session)


def _judge_journal(directory, broker):
    """What the journal holds is what must be everywhere: what was on the wire when we left is gone with the connection."""
    exported = f'{directory}/exported.jsonl'
    run(MDPIPE, 'journal', 'export', f'{directory}/journal', '-o', exported)
    _judge(directory, broker, exported)


def test_without_a_broker_it_journals_and_says_degraded_then_publishes_all():
    tap.shared('oracle', 'topic.py')
    with folder() as directory:
        session = f'{directory}/session.jsonl.gz'
        run(MDREPLAY, 'generate', '--symbols', 12, '--trades', 30000, '--seed', 3, '-o', session)
        broker = Broker(directory)
        venue, address = serve(session, '--rate', 3000, '--loop', 0)  # as long as the broker takes to start
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--kafka', broker.bootstrap) as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('degraded, but 200', lambda: get(health, '/healthz')[0] == 200 and '"degraded"' in get(health, '/healthz')[1])
            until('journaled trades', lambda: (metric(health, 'mdpipe_feed_trades_total') or 0) > 3000)
            assert get(health, '/readyz')[0] == 503
            with broker:
                run(MDPIPE, 'topics', 'create', '--kafka', broker.bootstrap)
                until('an acknowledgement', lambda: metric(health, 'mdpipe_kafka_acknowledged_total', topic='raw-market-data'))
                broker.command('stop')
                until('degraded again', lambda: 'publish:' in get(health, '/healthz')[1])
                broker.command('start')
                venue.signal(signal.SIGTERM)
                venue.wait()
                until('everything published', lambda: metric(health, 'mdpipe_journal_lag', cursor='publish') == 0)
                pipe.signal(signal.SIGTERM)
                pipe.wait()
                _judge_journal(directory, broker)


def test_sigterm_under_load_then_started_again_loses_nothing_and_repeats_nothing():
    with folder() as directory, Broker(directory) as broker:
        tap.shared('oracle', 'topic.py')
        run(MDPIPE, 'topics', 'create', '--kafka', broker.bootstrap)
        session = f'{directory}/session.jsonl.gz'
        run(MDREPLAY, 'generate', '--symbols', 12, '--trades', 120000, '--seed', 5, '-o', session)
        symbols = symbols_file(directory, session)
        venue, address = serve(session, '--rate', 10000, '--once')
        with venue:
            for again in range(3):
                last = ['--once'] if again == 2 else []
                with mdpipe_run(directory, address, '--symbols', symbols, '--kafka', broker.bootstrap, *last) as pipe:
                    if not last:
                        health = pipe.wait_for(r'health=([0-9.:]+)')
                        until('some trades', lambda: (metric(health, 'mdpipe_feed_trades_total') or 0) > 3000)
                        pipe.signal(signal.SIGTERM)
                    pipe.wait()
            venue.wait()
        _judge_journal(directory, broker)


tap.run(globals())
