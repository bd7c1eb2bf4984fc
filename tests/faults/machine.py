"""Rows 13 and 40: what the machine can do to a run beside its disk: the wall clock jumps, memory ends."""
import random, resource, signal

import journal_file
import tap
from harness import *
from interposer import Interposer
from judge import seed_of

HOUR_S = 3600


def _session(directory):
    path = f'{directory}/session.jsonl.gz'
    run(MDREPLAY, 'generate', '--symbols', 8, '--trades', 100000, '--seed', 3, '-o', path)
    return path


def _same(directory):
    """What is in the journal is in the files, each trade once; how many."""
    exported = run(MDPIPE, 'journal', 'export', f'{directory}/journal').splitlines()
    assert by_symbol_and_date(store_lines(directory)) == by_symbol_and_date(exported)
    return len(exported)


def test_row_13_a_wall_clock_that_jumps_an_hour_ahead_and_back_closes_nothing_and_reconnects_nothing():
    with folder() as directory:
        session = _session(directory)
        interposer = Interposer(directory)
        venue, address = serve(session, '--rate', 3000, '--loop', 0)
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--kafka', 'embedded', '--flush-ms', 100,
                               env=interposer.environment) as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            figure = lambda name, **labels: metric(health, name, **labels) or 0

            def goes_on(what):
                """Trades come, are acknowledged and stored, as before; nothing is degraded."""
                wanted = figure('mdpipe_feed_trades_total') + 3000
                until(f'trades {what}', lambda: figure('mdpipe_feed_trades_total') > wanted)
                until(f'acknowledgements {what}', lambda: figure('mdpipe_kafka_acknowledged_total', topic='raw-market-data') > wanted)
                until(f'lines {what}', lambda: figure('mdpipe_journal_lag', cursor='store') < 3000)
                until(f'health {what}', lambda: '"status":"ok"' in get(health, '/healthz')[1])

            goes_on('as it is')
            for jump_s in (HOUR_S, 0, -HOUR_S, 0):
                interposer.jump(jump_s)
                goes_on(f'at {jump_s} s')
            pipe.signal(signal.SIGTERM)
            said = pipe.wait()
        assert 'on 1 connection' in said, said
        records = list(journal_file.records(f'{directory}/journal'))
        events = [record.kind for record in records if isinstance(record, journal_file.Event)]
        assert not {'gap', 'stale'} & set(events) and events.count('connected') == 1, events
        times = [record.receive_ns for record in records if not isinstance(record, journal_file.Event)]
        assert any(after - before > HOUR_S * 9e8 for before, after in zip(times, times[1:])), 'the clock has not jumped'
        assert _same(directory) > 15000


def test_row_40_wherever_memory_ends_the_run_ends_in_words_and_the_journal_is_good():
    rand = random.Random(seed_of())
    endings = {}
    with folder() as directory:
        session = _session(directory)
        symbols = symbols_file(directory, session)
        venue, address = serve(session, '--rate', 20000, '--loop', 0)
        with venue:
            for number in range(12):
                with mdpipe_run(directory, address, '--symbols', symbols, '--kafka', 'none') as pipe:
                    # Once it runs (the first, so that there is a journal), or while it starts (behind what the loader does): no more
                    # than so much beyond what it has.
                    until('its main', lambda: catches(pipe.process.pid, signal.SIGTERM) or pipe.process.poll() is not None)
                    if number % 2 == 0:
                        health = pipe.wait_for(r'health=([0-9.:]+)')
                        until('some trades', lambda: (metric(health, 'mdpipe_feed_trades_total') or 0) > 1000)
                    limit = _data_bytes(pipe.process.pid) + rand.randrange(1 << (10 + 2 * (number // 2)))
                    resource.prlimit(pipe.process.pid, resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
                    try:
                        pipe.process.wait(2)
                    except subprocess.TimeoutExpired:
                        pipe.signal(signal.SIGTERM)
                    said = pipe.wait(expect=None)
                    code = pipe.process.returncode
                endings[code] = endings.get(code, 0) + 1
                assert code in (0, 3), f'{limit} bytes: {code}\n{said[-3000:]}'
                assert code == 0 or re.search('mdpipe: |bad_alloc|memory', said), said
                run(MDPIPE, 'journal', 'verify', f'{directory}/journal')
            print(f'# exit codes {endings}')
            with mdpipe_run(directory, '127.0.0.1:1', '--symbols', symbols, '--kafka', 'none') as pipe:
                health = pipe.wait_for(r'health=([0-9.:]+)')
                until('everything stored', lambda: metric(health, 'mdpipe_journal_lag', cursor='store') == 0)
                pipe.signal(signal.SIGTERM)
                pipe.wait()
        print(f'# {_same(directory):,} trades')


def _data_bytes(pid):
    with open(f'/proc/{pid}/status', encoding='ascii') as status:
        return int(re.search(r'VmData:\s+(\d+) kB', status.read()).group(1)) * 1024


tap.run(globals())
