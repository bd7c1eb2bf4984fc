"""The main job without a broker: a generated session with every oddity, played as the venue would, into the embedded broker."""
import json, os, signal

import tap
from harness import *


def _generated(directory, *more, trades=20000):
    path = f'{directory}/session.jsonl.gz'
    run(MDREPLAY, 'generate', '--symbols', 24, '--trades', trades, '--seed', 11, '-o', path, *more)
    return path


def test_every_trade_reaches_journal_and_files_byte_for_byte():
    with folder() as directory:
        session = _generated(directory)
        want = [text for _, text in session_trades(session)]
        venue, address = serve(session, '--speed', 'max', '--once')
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--kafka', 'embedded', '--once') as pipe:
            said = pipe.wait()
            venue.wait()
        assert want == run(MDPIPE, 'journal', 'export', f'{directory}/journal').splitlines()
        stored = list(store_lines(directory))
        assert len(stored) == len(want) and by_symbol_and_date(stored) == by_symbol_and_date(want)
        assert f'{len(want):,}  = trades' in said, said


def test_sigterm_under_load_ends_with_0_and_the_next_run_goes_on():
    with folder() as directory:
        session = _generated(directory, trades=150000)  # enough that some is left for the next run
        want = [text for _, text in session_trades(session)]
        symbols = symbols_file(directory, session)
        venue, address = serve(session, '--rate', 20000, '--once')
        with venue:
            with mdpipe_run(directory, address, '--symbols', symbols, '--kafka', 'none', '--stages', 'aggregate,store') as pipe:
                health = pipe.wait_for(r'health=([0-9.:]+)')
                until('some trades', lambda: (metric(health, 'mdpipe_feed_trades_total') or 0) > 1000)
                pipe.signal(signal.SIGTERM)
                pipe.wait()
            with mdpipe_run(directory, address, '--symbols', symbols, '--kafka', 'none', '--stages', 'aggregate,store', '--once') as pipe:
                pipe.wait()
                venue.wait()
        exported = run(MDPIPE, 'journal', 'export', f'{directory}/journal').splitlines()
        # What was on the wire when we left is lost with the connection; all else is there, once, in order.
        at = 0
        for text in exported:
            at = want.index(text, at) + 1
        assert len(exported) > 1000
        stored = list(store_lines(directory))
        assert by_symbol_and_date(stored) == by_symbol_and_date(exported)


def test_health_metrics_and_nothing_else_are_served():
    with folder() as directory:
        session = _generated(directory, '--plain')
        venue, address = serve(session, '--rate', 2000, '--once')
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--kafka', 'embedded') as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('readiness', lambda: get(health, '/readyz')[0] == 200)
            until('health', lambda: get(health, '/healthz')[0] == 200 and json.loads(get(health, '/healthz')[1])['status'] == 'ok')
            assert until('acknowledged trades', lambda: metric(health, 'mdpipe_kafka_acknowledged_total', topic='raw-market-data'))
            assert get(health, '/else')[0] == 404
            pipe.signal(signal.SIGTERM)
            pipe.wait()


def test_a_second_writer_on_the_journal_is_refused_by_name():
    with folder() as directory:
        session = _generated(directory, '--plain')
        venue, address = serve(session, '--rate', 1000)
        with venue, mdpipe_run(directory, address, '--kafka', 'none') as first:
            first.wait_for(r'health=([0-9.:]+)')
            with mdpipe_run(directory, address, '--kafka', 'none') as second:
                said = second.wait(expect=3)
            assert f'pid {first.process.pid}' in said, said


def test_a_wrong_option_is_a_usage_error_before_anything_is_touched():
    with folder() as directory:
        for wrong in (['--feed', 'http://127.0.0.1:1'], ['--feed', 'ws://127.0.0.1:1?token=CANARY'], ['--stages', 'publish,cook'],
                      ['--journal-keep', 'long'], ['--place', 'feed=99'], ['--symbols', ','], ['--window', '0']):
            said = run(MDPIPE, 'run', '--journal', f'{directory}/journal', '--store', f'{directory}/trades', '--listen', '127.0.0.1:0',
                       '--kafka', 'none', *wrong, expect=2)
            assert said and 'CANARY' not in said, said
        assert os.listdir(directory) == []


tap.run(globals())
