"""What the hot threads must not do, seen from outside: allocate after warm-up. And what is said when one of them hangs."""
import json, signal, time

import tap
from harness import *
from interposer import THREADS, Interposer

MUST_MOVE = 'mdpipe_journal_segments', 'mdpipe_store_syncs_total', 'mdpipe_feed_trades_total', 'mdpipe_store_trades_total'
MUST_STAND = 'mdpipe_feed_held_back_total', 'mdpipe_aggregate_held_back_total', 'mdpipe_store_held_back_total'


def _count_allocations(scheme):
    with folder() as directory:
        session = f'{directory}/session.jsonl.gz'
        run(MDREPLAY, 'generate', '--symbols', 24, '--trades', 400000, '--seed', 3, '-o', session)
        tls = []
        client = []
        if scheme == 'wss':
            ca, certificate, key = private_ca(directory)
            tls = ['--tls-cert', certificate, '--tls-key', key]
            client = ['--ca-file', ca]
        interposer = Interposer(directory)
        venue, address = serve(session, '--rate', 100000, '--loop', 0, *tls)
        # Small segments, so that many end; a short age, so that files and snapshots are flushed often.
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--kafka', 'embedded',
                               '--segment-bytes', 16 << 20, '--max-frame', 65536, '--flush-ms', 50, *client,
                               scheme=scheme, env=interposer.environment) as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('warm-up', lambda: (metric(health, 'mdpipe_store_trades_total') or 0) > 150000)
            for _ in range(10):  # who is held back, as where this machine stood still, says so in words
                before = {name: metric(health, name) for name in MUST_MOVE + MUST_STAND}
                counted = interposer.counts()
                interposer.set(counting=1)
                until('the load', lambda: metric(health, 'mdpipe_store_trades_total') > before['mdpipe_store_trades_total'] + 200000)
                interposer.set(counting=0)
                after = {name: metric(health, name) for name in before}
                ours, openssl = ({thread: now[thread] - then[thread] for thread in now} for then, now in zip(counted, interposer.counts()))
                if all(after[name] == before[name] for name in MUST_STAND):
                    break
            else:
                raise AssertionError(f'held back each time: {before}, {after}')
            pipe.signal(signal.SIGTERM)
            pipe.wait()
            for name in MUST_MOVE:
                assert after[name] > before[name], f'{name} did not move: nothing was proven'
            print(f'# {scheme}: ours {ours}, OpenSSL {openssl}, segments {before["mdpipe_journal_segments"]:.0f} to {after["mdpipe_journal_segments"]:.0f}, '
                  f'syncs {before["mdpipe_store_syncs_total"]:.0f} to {after["mdpipe_store_syncs_total"]:.0f}')
            assert ours == dict.fromkeys(THREADS, 0), '\n'.join(f'{t}: {n}, first from\n{interposer.first(t)}' for t, n in ours.items() if n)
            return openssl


def test_the_interposer_counts_what_is_allocated():
    with folder() as directory:
        interposer = Interposer(directory)
        interposer.set(counting=1)
        session = f'{directory}/session.jsonl.gz'
        run(MDREPLAY, 'generate', '--symbols', 8, '--trades', 1000, '--seed', 3, '-o', session)
        venue, address = serve(session, '--speed', 'max', '--once')
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--kafka', 'none', '--once',
                               env=interposer.environment) as pipe:
            pipe.wait()
        assert all(interposer.counts()[0].values()), interposer.counts()  # warm-up is counted here


def test_feed_aggregate_and_store_allocate_nothing_after_warm_up():
    assert not any(_count_allocations('ws').values())


def test_over_tls_nothing_but_openssl_allocates():
    _count_allocations('wss')


def test_a_stage_that_hangs_is_named_with_503_within_ten_seconds():
    with folder() as directory:
        session = f'{directory}/session.jsonl.gz'
        run(MDREPLAY, 'generate', '--symbols', 8, '--trades', 200000, '--seed', 3, '-o', session)
        interposer = Interposer(directory)
        venue, address = serve(session, '--rate', 2000, '--once')
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--kafka', 'embedded',
                               env=interposer.environment) as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('readiness', lambda: get(health, '/readyz')[0] == 200)
            interposer.set(store_hangs=1)
            status, body = until('503', lambda: (lambda answer: answer if answer[0] == 503 else None)(get(health, '/healthz')))
            assert json.loads(body)['stages'] == ['store'], body
            # It hangs alone: the others go on.
            acknowledged = metric(health, 'mdpipe_kafka_acknowledged_total', topic='raw-market-data')
            until('more trades', lambda: metric(health, 'mdpipe_kafka_acknowledged_total', topic='raw-market-data') > acknowledged + 1000)
            interposer.set()
            until('health again', lambda: get(health, '/healthz')[0] == 200)
            pipe.signal(signal.SIGTERM)
            pipe.wait()


def test_a_stage_that_hangs_for_good_does_not_keep_a_run_from_ending():
    with folder() as directory:
        session = f'{directory}/session.jsonl.gz'
        run(MDREPLAY, 'generate', '--symbols', 8, '--trades', 200000, '--seed', 3, '-o', session)
        trades = [text for _, text in session_trades(session)]
        interposer = Interposer(directory)
        venue, address = serve(session, '--speed', 'max', '--once')
        options = ['--symbols', symbols_file(directory, session), '--kafka', 'none', '--drain', 2]
        with venue, mdpipe_run(directory, address, *options, env=interposer.environment) as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            interposer.set(store_hangs=1)
            until('all trades', lambda: metric(health, 'mdpipe_feed_trades_total') == len(trades))
            pipe.signal(signal.SIGTERM)
            began = time.monotonic()
            output = pipe.wait(expect=3)
            assert time.monotonic() - began < 60  # of a hang without end
            assert 'store hangs' in output and 'stays in the journal' in output, output
        # Whoever comes next stores what it left.
        with mdpipe_run(directory, '127.0.0.1:1', *options) as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('the rest', lambda: metric(health, 'mdpipe_journal_lag', cursor='store') == 0)
            pipe.signal(signal.SIGTERM)
            pipe.wait()
        assert by_symbol_and_date(store_lines(directory)) == by_symbol_and_date(trades)


def test_a_name_server_that_does_not_answer_holds_nobody_up():
    with folder() as directory:
        interposer = Interposer(directory)
        interposer.set(names_hang=1)
        with mdpipe_run(directory, 'localhost:1', '--kafka', 'none', env=interposer.environment) as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('the reason', lambda: 'no answer from the name server' in get(health, '/healthz')[1])
            until('another attempt', lambda: metric(health, 'mdpipe_feed_state', state='connecting') == 1)
            pipe.signal(signal.SIGTERM)
            pipe.wait()


def test_a_feed_that_runs_out_of_memory_ends_the_run_in_words_and_the_journal_is_good():
    with folder() as directory:
        session = f'{directory}/session.jsonl.gz'
        run(MDREPLAY, 'generate', '--symbols', 8, '--trades', 200000, '--seed', 3, '-o', session)
        interposer = Interposer(directory)
        venue, address = serve(session, '--rate', 5000, '--once')
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--kafka', 'none', env=interposer.environment) as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('some trades', lambda: (metric(health, 'mdpipe_feed_trades_total') or 0) > 1000)
            interposer.set(feed_fails_once=1)
            venue.process.kill()  # whoever connects again has to allocate
            said = pipe.wait(expect=3)
            assert 'bad_alloc' in said, said
        exported = run(MDPIPE, 'journal', 'export', f'{directory}/journal').splitlines()
        stored = list(store_lines(directory))
        assert len(exported) > 1000 and by_symbol_and_date(stored) == by_symbol_and_date(exported)


tap.run(globals())
