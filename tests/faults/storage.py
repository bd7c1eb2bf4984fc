"""Rows 14, 18 and 19: a burst with a stage stopped, disks that are full, disks that cannot be written.

MDPIPE_TEST_LONG: the burst lasts a minute."""
import contextlib, json, os, signal, subprocess, time

import tap
from harness import *
from interposer import Interposer
from venue import Venue, trade

LONG = bool(os.environ.get('MDPIPE_TEST_LONG'))
MEBIBYTE = 1 << 20
# A segment is preallocated before it is used: small ones, so that a small disk holds some.
SMALL_SEGMENTS = ('--segment-bytes', 8 * MEBIBYTE, '--max-frame', 4096)


@contextlib.contextmanager
def small_disk(directory, size_bytes):
    """A tmpfs of so many bytes, in a folder of the test's."""
    path = f'{directory}/disk'
    os.mkdir(path)
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size_bytes}', 'mdpipe-test', path], capture_output=True, text=True)
    if mounted.returncode != 0:
        raise tap.Skip(f'no right to mount a tmpfs: {mounted.stderr.strip()}')
    try:
        yield path
    finally:
        subprocess.run(['umount', '--lazy', path], check=True)


def fill(path, leave_bytes):
    """A file that takes what is free but so many bytes; its path."""
    filler = f'{path}/filler'
    status = os.statvfs(path)
    with open(filler, 'wb') as file:
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - leave_bytes)
    return filler


class Counter:
    """A script of a venue that sends trades 0, 1, 2 … at a rate that the test sets, in messages of 20."""
    MESSAGE = 20

    def __init__(self, rate):
        self.rate = rate
        self.sent = 0

    def __call__(self, connection):
        connection.wait_subscribed(1)
        due = time.monotonic()
        while not connection.ended.is_set():
            now = time.monotonic()
            if now < due:
                connection.ended.wait(due - now)
                continue
            due = max(due + self.MESSAGE / self.rate, now - 0.2)
            numbers = range(self.sent, self.sent + self.MESSAGE)
            connection.text(b'{"data":[' + b','.join(map(trade, numbers)) + b'],"type":"trade"}')
            self.sent += self.MESSAGE


def whole_and_stored(directory, journal, stored, sent):
    """All that was sent is in the journal in order, and what is there is in the files, each trade once."""
    exported = run(MDPIPE, 'journal', 'export', journal).splitlines()
    assert exported == [trade(number).decode() for number in range(len(exported))], 'no contiguous beginning of what was sent'
    assert 0 < len(exported) <= sent
    assert list(store_lines(stored)) == exported
    return len(exported)


def test_row_14_a_burst_of_ten_times_the_rate_with_the_slowest_stage_stopped_blocks_nobody_and_loses_nothing():
    burst_s = 60 if LONG else 6
    script = Counter(rate=1000)
    with folder() as directory, Venue(script) as venue:
        interposer = Interposer(directory)
        with mdpipe_run(directory, venue.address, '--symbols', 'SPY', '--kafka', 'none', env=interposer.environment) as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('some trades', lambda: (metric(health, 'mdpipe_store_trades_total') or 0) > 1000)
            interposer.set(store_hangs=1)
            before = script.sent
            script.rate = 10_000
            time.sleep(burst_s)
            script.rate = 1000
            taken = script.sent - before
            # The feed has taken all of it while the store stands still, and says how far that is behind.
            sent = script.sent
            until('the burst in the journal', lambda: metric(health, 'mdpipe_feed_trades_total') >= sent)
            behind = metric(health, 'mdpipe_journal_lag', cursor='store')
            assert behind >= taken, (behind, taken)
            interposer.set()
            until('the store to come after', lambda: metric(health, 'mdpipe_journal_lag', cursor='store') < 2000)
            pipe.signal(signal.SIGTERM)
            pipe.wait()
        print(f'# {taken} trades in {burst_s} s, {behind:.0f} positions behind, one connection: {len(venue.connections) == 1}')
        assert len(venue.connections) == 1
        whole_and_stored(directory, f'{directory}/journal', directory, script.sent)


def test_row_18_a_disk_without_room_for_the_journal_holds_the_feed_up_until_there_is_room_and_loses_nothing():
    script = Counter(rate=20_000)
    with folder() as directory, small_disk(directory, 128 * MEBIBYTE) as disk, Venue(script) as venue:
        filler = fill(disk, leave_bytes=20 * MEBIBYTE)
        with mdpipe_run(directory, venue.address, '--symbols', 'SPY', '--kafka', 'none', *SMALL_SEGMENTS,
                        journal=f'{disk}/journal') as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('a full disk', lambda: metric(health, 'mdpipe_journal_allocation_failures_total') > 0)
            reason = until('the reason', lambda: (lambda body: body if 'room' in body or 'disk' in body or 'allocat' in body else None)(get(health, '/healthz')[1]))
            assert get(health, '/healthz')[0] == 200 and json.loads(reason)['status'] == 'degraded', reason
            standing = until('the feed to stand', lambda: _stands(health))
            os.unlink(filler)
            until('more trades', lambda: metric(health, 'mdpipe_feed_trades_total') > standing + 10_000)
            until('health again', lambda: json.loads(get(health, '/healthz')[1])['status'] == 'ok')
            pipe.signal(signal.SIGTERM)
            pipe.wait()
        count = whole_and_stored(directory, f'{disk}/journal', directory, script.sent)
        print(f'# stood at {standing:.0f} trades, {count} in the end, on {len(venue.connections)} connection')
        assert len(venue.connections) == 1, reason


def _stands(health):
    before = metric(health, 'mdpipe_feed_trades_total')
    time.sleep(0.5)
    return before if metric(health, 'mdpipe_feed_trades_total') == before else None


def test_row_18_a_disk_without_room_for_the_files_holds_up_the_store_alone_and_it_goes_on_by_itself():
    script = Counter(rate=20_000)
    with folder() as directory, small_disk(directory, 16 * MEBIBYTE) as disk, Venue(script) as venue:
        filler = fill(disk, leave_bytes=MEBIBYTE)
        with mdpipe_run(directory, venue.address, '--symbols', 'SPY', '--kafka', 'none', store=f'{disk}/trades') as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            reason = until('the reason', lambda: (lambda body: body if 'No space left' in body else None)(get(health, '/healthz')[1]))
            assert get(health, '/healthz')[0] == 200, reason
            before = metric(health, 'mdpipe_feed_trades_total')
            until('the feed to go on', lambda: metric(health, 'mdpipe_feed_trades_total') > before + 10_000)
            os.unlink(filler)
            until('the store to come after', lambda: metric(health, 'mdpipe_store_trades_total') > before + 10_000)
            script.rate = 1000
            pipe.signal(signal.SIGTERM)
            pipe.wait()
        count = whole_and_stored(directory, f'{directory}/journal', disk, script.sent)
        print(f'# {count} trades')


def test_row_19_a_file_system_that_cannot_be_written_is_refused_in_words_and_nothing_is_claimed():
    with folder() as directory, small_disk(directory, 16 * MEBIBYTE) as disk:
        subprocess.run(['mount', '-o', 'remount,ro', disk], check=True)
        for read_only in ({'journal': f'{disk}/x'}, {'store': f'{disk}/x'}):
            with mdpipe_run(directory, '127.0.0.1:1', '--symbols', 'SPY', '--kafka', 'none', **read_only) as pipe:
                said = pipe.wait(expect=3)
            assert 'Read-only file system' in said and disk in said, said


def test_row_21_a_second_writer_and_a_second_store_are_refused_with_3_by_the_name_of_the_holder():
    with folder() as directory, mdpipe_run(directory, '127.0.0.1:1', '--symbols', 'SPY', '--kafka', 'none') as holder:
        holder.wait_for(r'health=([0-9.:]+)')
        for elsewhere, place in (({'store': f'{directory}/other'}, 'journal'), ({'journal': f'{directory}/other'}, 'trades')):
            with mdpipe_run(directory, '127.0.0.1:1', '--symbols', 'SPY', '--kafka', 'none', **elsewhere) as second:
                said = second.wait(expect=3)
            assert place in said and f'(pid {holder.process.pid},' in said, said


if __name__ == '__main__':
    tap.run(globals())
