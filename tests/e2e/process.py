"""The process as its host sees it: signals, descriptors, memory, what it leaves behind."""
import os, re, resource, signal, socket, subprocess, time

import tap
from harness import *
from venue import Venue, good


def test_every_signal_that_ends_a_run_ends_it_in_order_from_its_first_moment_and_however_often_it_comes():
    def script(connection):
        connection.wait_subscribed(1)
        number = 0
        while True:
            connection.texts([good(n) for n in range(number, number + 100)])
            number += 100
    for signals in ([signal.SIGTERM], [signal.SIGHUP], [signal.SIGINT], [signal.SIGINT, signal.SIGINT]):
        with folder() as directory, Venue(script) as venue:
            with mdpipe_run(directory, venue.address, '--symbols', 'SPY', '--kafka', 'none') as pipe:
                health = pipe.wait_for(r'health=([0-9.:]+)')
                until('some trades', lambda: (metric(health, 'mdpipe_feed_trades_total') or 0) > 1000)
                for number in signals:
                    pipe.signal(number)
                said = pipe.wait()
                assert re.search(r'stored +[0-9,]+  = trades', said), said
            exported = run(MDPIPE, 'journal', 'export', f'{directory}/journal').splitlines()
            assert sorted(store_lines(directory)) == sorted(exported)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        with folder() as directory, mdpipe_run(directory, '127.0.0.1:1', '--kafka', 'none') as pipe:
            until('a handler', lambda: catches(pipe.process.pid, number) or pipe.process.poll() is not None)
            pipe.signal(number)
            pipe.wait()


def test_a_process_that_holds_a_token_leaves_no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with folder() as directory, Venue(lambda c: c.ended.wait(60)) as venue:
        with mdpipe_run(directory, venue.address, '--kafka', 'none', env={'FINNHUB_API_KEY': 'a-token-of-a-test'}) as pipe:
            until('the connection', lambda: venue.connections)
            pipe.signal(signal.SIGABRT)
            process = pipe.process
            _, status = os.waitpid(process.pid, 0)
            process.returncode = -signal.SIGABRT
            assert os.WTERMSIG(status) == signal.SIGABRT and not os.WCOREDUMP(status)


def test_output_that_has_no_room_is_an_error_and_a_reader_that_leaves_early_is_none():
    with folder() as directory:
        session = f'{directory}/session.jsonl'
        run(MDREPLAY, 'generate', '--trades', 50000, '-o', session)
        for command in ([MDREPLAY, 'info', session], [MDREPLAY, 'info', session, '--list-symbols'], [MDREPLAY, 'convert', session],
                        [MDREPLAY, 'kafka', '--help'], [MDPIPE, '--version']):
            with open('/dev/full', 'wb') as full:
                ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
            assert ended.returncode == 3 and 'standard output' in ended.stderr and ended.stderr.count('\n') == 1, (command, ended)
        with subprocess.Popen([MDPIPE, '--help'], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as early:
            early.stdout.close()
            assert (early.wait(60), early.stderr.read()) == (0, b'')


def test_with_64_descriptors_the_listener_pauses_and_recovers_and_the_feed_goes_on():
    def script(connection):
        connection.wait_subscribed(1)
        number = 0
        while not connection.ended.wait(0.01):
            connection.text(good(number))
            number += 1
    with folder() as directory, Venue(script) as venue:
        with mdpipe_run(directory, venue.address, '--symbols', 'SPY', '--kafka', 'none') as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('some trades', lambda: (metric(health, 'mdpipe_feed_trades_total') or 0) > 10)
            open_now = len(os.listdir(f'/proc/{pipe.process.pid}/fd'))
            assert open_now < 60, open_now
            hard = resource.prlimit(pipe.process.pid, resource.RLIMIT_NOFILE)[1]
            resource.prlimit(pipe.process.pid, resource.RLIMIT_NOFILE, (64, hard))
            host, port = health.split(':')
            crowd = [socket.create_connection((host, int(port))) for _ in range(100)]
            until('all of them taken', lambda: len(os.listdir(f'/proc/{pipe.process.pid}/fd')) == 64)
            time.sleep(0.5)  # it is refused descriptors now
            for one in crowd:
                one.close()
            before = until('an answer', lambda: metric(health, 'mdpipe_feed_trades_total'))
            until('more trades', lambda: metric(health, 'mdpipe_feed_trades_total') > before)
            assert len(venue.connections) == 1 and get(health, '/healthz')[0] == 200
            pipe.signal(signal.SIGTERM)
            pipe.wait()


def test_after_the_us_day_our_own_memory_is_small():
    if 'sanitize none' not in run(MDPIPE, '--version'):
        raise tap.Skip('a sanitizer keeps memory of its own')
    session = tap.shared('data', 'sessions', 'us-stocks-2013-10-07.jsonl.gz')
    with folder() as directory:
        venue, address = serve(session, '--speed', 'max')
        with venue, mdpipe_run(directory, address, '--symbols', 'SPY,AIG,BAC,IBM', '--kafka', 'embedded') as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('the day', lambda: metric(health, 'mdpipe_kafka_acknowledged_total', topic='raw-market-data') == 388417)
            with open(f'/proc/{pipe.process.pid}/status') as status:
                resident = dict(re.findall(r'(Rss\w+|VmHWM|VmRSS):\s+(\d+)', status.read()))
            print('# ' + ', '.join(f'{k} {int(v) // 1024} MiB' for k, v in resident.items()))
            # The journal is RssFile; the embedded broker keeps up to 5 MiB a partition of messages, which are ours here.
            assert int(resident['RssAnon']) + int(resident['RssShmem']) < 150 * 1024, resident
            pipe.signal(signal.SIGTERM)
            pipe.wait()


tap.run(globals())
