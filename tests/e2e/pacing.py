"""Pacing as its user sees it: the report of a venue, its refusal, progress on a terminal and elsewhere."""
import json, os, pty, re, subprocess

import tap
from harness import *


def _session(directory, trades=2000):
    session = f'{directory}/session.jsonl.gz'
    run(MDREPLAY, 'generate', '--symbols', 4, '--trades', trades, '--seed', 3, '--plain', '-o', session)
    return session


def _played(directory, session, *options):
    """What the venue says, and how many trades the client stored."""
    venue, address = serve(session, '--once', *options)
    with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--kafka', 'none', '--once') as pipe:
        pipe.wait()
        return venue.wait()


def test_a_venue_reports_each_frame_it_sent_with_the_digest_of_the_session_and_how_late_it_was():
    with folder() as directory:
        session, report = _session(directory), f'{directory}/report.json'
        said = _played(directory, session, '--rate', 2000, '--precise', '--report', report)
        assert 'frames late by p50' in said, said
        with open(report) as file:
            numbers = json.load(file)
        info = json.loads(run(MDREPLAY, 'info', session, '--json'))
        assert numbers['digest'] == info['digest'] and numbers['rate'] == 2000 and numbers['precise'] is True, numbers
        assert numbers['trades_sent'] == info['trades'] and numbers['frames_sent'] == info['frames'], numbers
        assert numbers['late_ns']['frames'] == info['frames'] == sum(count for _, _, count in numbers['histogram_ns'])
        # The last frame is due when all trades before it have had their time.
        assert 0.9 < numbers['scheduled_seconds'] < 1.0 and numbers['sending_seconds'] > 0.9, numbers


def test_a_report_as_a_page_stands_alone_and_one_at_max_has_no_lateness():
    with folder() as directory:
        session, report = _session(directory), f'{directory}/report.html'
        said = _played(directory, session, '--speed', 'max', '--report', report)
        assert 'frames late' not in said, said
        with open(report) as file:
            page = file.read()
        assert page.startswith('<!doctype html>') and page.rstrip().endswith('</html>') and '<svg' in page
        assert not re.search(r'https?:|src=|href|<script|url\(', page)


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_played():
    with folder() as directory:
        session = _session(directory, 100)
        for command in (['serve', session, '--listen', '127.0.0.1:0'], ['kafka', session, '--kafka', '127.0.0.1:1']):
            said = run(MDREPLAY, *command, '--report', f'{directory}/missing/report.json', expect=3)
            assert 'missing/report.json' in said and 'listening' not in said, said
            assert 'is no file' in run(MDREPLAY, *command, '--report', directory, expect=2)
        assert sorted(os.listdir(directory)) == ['session.jsonl.gz']


def test_a_terminal_has_a_bar_that_is_gone_at_the_end_and_quiet_has_none():
    with folder() as directory:
        session = _session(directory)
        for quiet in ([], ['--quiet']):
            leader, terminal = pty.openpty()
            venue = subprocess.Popen([MDREPLAY, 'serve', session, '--once', '--rate', '2000', '--listen', '127.0.0.1:0', *quiet],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal, text=True)
            os.close(terminal)
            try:
                address = re.search(r'127\.0\.0\.1:\d+', venue.stdout.readline()).group(0)
                here = f'{directory}/{len(quiet)}'
                os.mkdir(here)
                with mdpipe_run(here, address, '--symbols', symbols_file(here, session), '--kafka', 'none', '--once') as pipe:
                    pipe.wait()
                assert venue.wait(PATIENCE_S) == 0
            finally:
                venue.kill()
                venue.stdout.close()
            said = b''
            try:
                while block := os.read(leader, 65536):
                    said += block
            except OSError:  # the terminal's other end is closed
                pass
            os.close(leader)
            assert b'sent ' in said, said
            if quiet:
                assert b'\x1b' not in said and b'trades/s,' not in said, said
            else:
                assert re.search(rb'\r\x1b\[K\[#*\.*\] \d+ %, [\d,]+ trades/s, at [-\dT:]+Z, 0:00:0\d left', said), said
                assert said.rindex(b'\x1b[K') < said.index(b'sent '), said


tap.run(globals())
