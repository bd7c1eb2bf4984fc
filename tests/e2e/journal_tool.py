"""mdpipe journal as its user types it: ls, cat, verify, prune, cursors, on journals that runs made, live and damaged."""
import json, os, re, shutil, signal

import journal_file
import tap
from harness import *

ISO = r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z'


def _journal(directory, runs=3):
    """A journal of as many segments as runs, each of which a store followed."""
    for number in range(runs):
        session = f'{directory}/session{number}.jsonl.gz'
        run(MDREPLAY, 'generate', '--symbols', 12, '--trades', 1500, '--seed', 50 + number, '-o', session)
        venue, address = serve(session, '--speed', 'max', '--once')
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--kafka', 'none',
                               '--stages', 'store', '--once') as pipe:
            pipe.wait()
            venue.wait()
    return f'{directory}/journal'


def _tool(*arguments, expect=0):
    return run(MDPIPE, 'journal', *arguments, expect=expect)


def _tool_of(command, *arguments, expect=0):
    return run(MDPIPE, command, *arguments, expect=expect)


def _lines(*arguments):
    return [json.loads(line) for line in _tool(*arguments).splitlines()]


def _text(position):
    return f'{position >> 48}.{position & (1 << 48) - 1}'


def _segment(journal, index):
    return f'{journal}/{index:012}.segment'


def test_cat_says_what_the_journal_holds_and_what_export_writes():
    with folder() as directory:
        journal = _journal(directory, 2)
        wanted = list(journal_file.records(journal))
        got = [r for r in _lines('cat', journal, '--json') if r['kind'] != 'symbol']
        assert [(r['position'], r['recv_ns']) for r in got] == [(_text(r.position), r.receive_ns) for r in wanted]
        for one, record in zip(got, wanted):
            if isinstance(record, journal_file.Event):
                assert (one['kind'], one['connection'], one['text']) == (record.kind, record.connection, record.text)
            else:
                assert [(t['position'], t['symbol']) for t in one['trades']] == [(_text(t.position), t.symbol) for t in record.trades]
        trades = [t for r in got for t in r.get('trades', [])]
        assert [t['text'] for t in trades] == [json.loads(line) for line in _tool('export', journal).splitlines()]
        assert all((t['price'], t['size']) == (t['text']['p'], t['text']['v']) for t in trades)
        # For people: a line a record, one for each of its trades.
        lines = _tool('cat', journal).splitlines()
        assert len(lines) == len(_lines('cat', journal, '--json')) + len(trades)
        assert all(re.match(rf' *\d+\.\d+ +{ISO}  \S', line) for line in lines), lines[:20]


def test_cat_begins_and_ends_where_it_is_told():
    with folder() as directory:
        journal = _journal(directory, 2)
        records = list(journal_file.records(journal))
        frames = [r for r in records if isinstance(r, journal_file.Frame) and r.trades]
        one = frames[len(frames) // 2]
        inside = one.trades[-1].position
        got = _lines('cat', journal, '--json', '--from', _text(inside), '-n', 3)
        assert [r['position'] for r in got][:1] == [_text(one.position)] and len(got) == 3
        got = _lines('cat', journal, '--json', '--from', _text(one.position), '--to', _text(one.position))
        assert [r['position'] for r in got] == [_text(one.position)]
        got = _lines('cat', journal, '--json', '--from', one.receive_ns, '--to', one.receive_ns)
        assert [r['position'] for r in got if r['kind'] != 'symbol'] == [_text(r.position) for r in records if r.receive_ns == one.receive_ns]
        # Of the second segment: the first is not even opened.
        last = records[-1]
        assert _lines('cat', journal, '--json', '--from', last.receive_ns)[-1]['position'] == _text(last.position)
        symbol = one.trades[0].symbol
        got = [t for r in _lines('cat', journal, '--json', '--symbol', symbol) for t in r['trades']]
        assert [t['position'] for t in got] == [_text(t.position) for f in frames for t in f.trades if t.symbol == symbol]
        assert 'give a position' in _tool('cat', journal, '--from', 'yesterday', expect=2)


def test_ls_and_verify_agree_on_a_whole_journal():
    with folder() as directory:
        journal = _journal(directory)
        records = list(journal_file.records(journal))
        trades = sum(len(r.trades) for r in records if isinstance(r, journal_file.Frame))
        listed = _lines('ls', journal, '--json')
        verified = json.loads(_tool('verify', journal, '--json'))
        assert verified['whole'] and not verified['damages'] and verified['journal'] == listed[0]['journal']
        assert [(s['segment'], s['state'], s['first'], s['last'], s['last_recv_ns']) for s in listed] == \
            [(s['segment'], s['state'], s['first'], s['last'], s['last_recv_ns']) for s in verified['segments']]
        assert [s['state'] for s in listed] == ['closed', 'closed', 'open']
        assert sum(s['trades'] for s in verified['segments']) == trades
        said = _tool('verify', journal)
        assert f'whole: 3 segments, ' in said and f'{trades:,} trades' in said and 'ends here: ' in said, said
        assert all(s['disk_bytes'] == os.stat(s['file']).st_blocks * 512 for s in listed)
        lines = _tool('ls', journal).splitlines()
        assert len(lines) == 5 and lines[1].startswith('SEGMENT  STATE') and all(re.search(ISO, line) for line in lines[2:]), lines


def test_a_live_journal_is_read_and_verified_and_not_pruned():
    with folder() as directory:
        session = f'{directory}/session.jsonl.gz'
        run(MDREPLAY, 'generate', '--symbols', 12, '--trades', 1500, '--seed', 7, '-o', session)
        venue, address = serve(session, '--rate', 5000, '--loop', 0)
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--kafka', 'none', '--stages', 'store') as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('some trades', lambda: (metric(health, 'mdpipe_feed_trades_total') or 0) > 500)
            journal = f'{directory}/journal'
            last = 0
            for _ in range(10):
                trades = sum(s['trades'] for s in json.loads(_tool('verify', journal, '--json'))['segments'])
                assert trades >= last > -1, (trades, last)
                last = trades
            assert last > 0
            assert {s['state'] for s in _lines('ls', journal, '--json')} == {'open', 'prepared'}
            assert _lines('cat', journal, '--json', '-n', 5)
            for refused in (['prune', journal, '--keep', '1KiB'], ['cursors', 'remove', journal, 'store']):
                assert f'pid {pipe.process.pid}' in _tool(*refused, expect=3)
            assert 'would go: 0 segments' in _tool('prune', journal, '--keep', '1KiB', '--dry-run')
            pipe.signal(signal.SIGTERM)
            pipe.wait()


def test_verify_names_file_and_byte_of_each_damage_and_exits_with_5():
    with folder() as directory:
        whole = _journal(directory)
        journal = f'{directory}/damaged'

        def damaged(*damages):
            shutil.rmtree(journal, ignore_errors=True)
            shutil.copytree(whole, journal)
            for damage in damages:
                damage()
            said = _tool('verify', journal, expect=5)
            assert 'is damaged in' in said, said
            report = json.loads(_tool('verify', journal, '--json', expect=5).splitlines()[0])
            assert not report['whole'] and len(report['damages']) == report['damages_count']
            for one in report['damages']:
                assert f'damage: {one["file"]} at byte {one["offset"]}: {one["reason"]}' in said
            return report['damages']

        def flip(index, offset, bits=1):
            def act():
                with open(_segment(journal, index), 'r+b') as file:
                    file.seek(offset)
                    byte = file.read(1)[0]
                    file.seek(offset)
                    file.write(bytes([byte ^ bits]))
            return act

        [one] = damaged(flip(2, 4096 + 40))  # the first record of the second segment
        assert (one['file'], one['offset']) == (_segment(journal, 2), 4096) and 'checksum' in one['reason'], one
        found = damaged(flip(2, 8))
        assert 'format version' in found[0]['reason'] and found[0]['offset'] == 0, found
        found = damaged(lambda: os.remove(_segment(journal, 2)))
        assert found[0]['file'] == _segment(journal, 2) and 'missing' in found[0]['reason'], found
        found = damaged(lambda: (os.rename(_segment(journal, 1), journal + '/x'), os.rename(_segment(journal, 2), _segment(journal, 1)),
                                 os.rename(journal + '/x', _segment(journal, 2))))
        assert sum('swapped' in one['reason'] for one in found) == 2, found
        found = damaged(flip(1, 4096 + 40), flip(3, 4096 + 40))
        assert [one['file'] for one in found] == [_segment(journal, 1), _segment(journal, 3)], found
        damaged(lambda: os.truncate(_segment(journal, 3), 10000))
        assert 'is refused' in _tool('ls', journal, expect=5)
        # What is good is given, what is not is said, with what it costs; a run goes on behind it.
        offset, frame = [(at, r) for at, r in journal_file.placed_records(_segment(journal, 2)) if getattr(r, 'trades', None)][50]
        damaged(flip(2, offset + 40))
        lost = [t.text.decode() for t in frame.trades]
        want = [line for line in _tool('export', whole).splitlines() if line not in lost]
        said = _tool('export', journal, '-o', f'{directory}/left.jsonl', expect=5)
        assert f'{_segment(journal, 2)} is damaged at byte {offset}: its checksum does not fit' in said, said
        assert f'{1 + len(lost)} positions are skipped' in said, said
        with open(f'{directory}/left.jsonl', encoding='utf-8', newline='\n') as left:
            assert [line.rstrip('\n') for line in left] == want
        assert _tool('cat', journal, expect=5).splitlines()[-1].endswith(f'{1 + len(lost)} positions are not here')
        assert 'goes on behind damage' in _tool_of('tail', '--journal', journal, expect=5)
        assert 'is damaged at byte' in run(MDREPLAY, 'info', journal, expect=5)


def test_a_run_goes_on_behind_damage_in_its_journal_and_says_what_it_costs():
    with folder() as directory:
        journal = _journal(directory)
        offset, frame = [(at, r) for at, r in journal_file.placed_records(_segment(journal, 2)) if getattr(r, 'trades', None)][50]
        with open(_segment(journal, 2), 'r+b') as file:
            file.seek(offset + 40)
            file.write(b'\xff')
        _tool('export', journal, '-o', f'{directory}/left.jsonl', expect=5)
        with open(f'{directory}/left.jsonl', encoding='utf-8', newline='\n') as left:
            want = [line.rstrip('\n') for line in left]
        assert want and not {t.text.decode() for t in frame.trades} & set(want)
        # A store that begins anew reads all of it.
        shutil.rmtree(f'{directory}/trades')
        session = f'{directory}/more.jsonl'
        run(MDREPLAY, 'generate', '--symbols', 3, '--trades', 100, '--seed', 7, '-o', session)
        venue, address = serve(session, '--speed', 'max')
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--kafka', 'none',
                               '--stages', 'store') as pipe:
            health = pipe.wait_for(r'health=(127\.0\.0\.1:\d+)')
            pipe.wait_for(r'goes on behind damage in the journal.*skipped_positions=' + str(1 + len(frame.trades)))
            status, body = get(health, '/healthz')
            assert status == 200 and json.loads(body)['status'] == 'degraded' and 'the journal is damaged in 1 places' in body, body
            metrics = get(health, '/metrics')[1]
            assert 'mdpipe_journal_skipped_places_total{cursor="store"} 1' in metrics, metrics
            assert f'mdpipe_journal_skipped_positions_total{{cursor="store"}} {1 + len(frame.trades)}' in metrics, metrics
            venue.signal(signal.SIGTERM)
            pipe.signal(signal.SIGTERM)
            assert f'lost: store: {1 + len(frame.trades)} positions' in pipe.wait()
        stored = by_symbol_and_date(store_lines(directory))
        assert all(stored[key][:len(texts)] == texts for key, texts in by_symbol_and_date(want).items())


def test_export_begins_and_ends_where_it_is_told():
    with folder() as directory:
        journal = _journal(directory, 2)
        frames = [r for r in journal_file.records(journal) if isinstance(r, journal_file.Frame)]
        first, last = frames[len(frames) // 3], frames[len(frames) // 2]
        part = [f for f in frames if first.position <= f.position <= last.position]
        texts = [t.text.decode() for f in part for t in f.trades]
        assert _tool('export', journal, '--from', _text(first.position), '--to', _text(last.position)).splitlines() == texts
        captured = _tool('export', journal, '--frames', '--from', _text(first.position), '--to', _text(last.position)).splitlines()
        assert captured == ['{"recv_ns":%d,"frame":%s}' % (f.receive_ns, f.payload.decode()) for f in part]
        got = _tool('export', journal, '--from', first.receive_ns, '--to', first.receive_ns).splitlines()
        assert got == [t.text.decode() for f in frames if f.receive_ns == first.receive_ns for t in f.trades]
        assert 'give a position' in _tool('export', journal, '--to', 'tomorrow', expect=2)


def test_what_makes_no_sense_is_a_usage_error_and_what_is_not_there_one_of_the_environment():
    with folder() as directory:
        for command in ('ls', 'cat', 'verify', 'cursors'):
            assert 'no journal' in _tool(command, directory, expect=3)
            assert 'No such file' in _tool(command, f'{directory}/nothing', expect=3)
            assert 'which journal?' in _tool(command, expect=2)
        assert 'no journal' in _tool('prune', directory, '--keep', '1GiB', expect=3)
        for wrong in ([], ['--keep', '1GiB', '--before', '1.1'], ['--keep', 'much'], ['--before', 'long ago']):
            _tool('prune', directory, *wrong, expect=2)
        assert 'which cursor?' in _tool('cursors', 'remove', directory, expect=2)
        assert os.listdir(directory) == []


def test_prune_takes_what_every_cursor_has_passed_and_says_what_holds_the_rest():
    with folder() as directory:
        journal = _journal(directory)
        exported = _tool('export', journal).splitlines()
        [cursor] = _lines('cursors', journal, '--json')
        listed = _lines('ls', journal, '--json')
        assert cursor['cursor'] == 'store' and cursor['holds_from_segment'] is None, cursor
        assert re.search(rf'(?m)^store +{re.escape(cursor["position"])} +{ISO} +-$', _tool('cursors', journal))
        said = _tool('prune', journal, '--before', listed[1]['last'], '--dry-run')
        assert 'would go: 1 segment,' in said and len(_lines('ls', journal, '--json')) == 3, said
        report = json.loads(_tool('prune', journal, '--before', listed[1]['last'], '--json'))
        assert [one['segment'] for one in report['gone']] == [1] and report['held'] is None and report['kept'] == 2, report
        rest = _tool('export', journal).splitlines()
        assert 0 < len(rest) < len(exported) and rest == exported[-len(rest):]
        _tool('verify', journal)
        # A cursor that nobody moves any more holds everything, until it is taken off by name.
        shutil.copy(f'{journal}/cursors/store', f'{directory}/passed')
        os.remove(f'{journal}/cursors/store')
        with open(f'{journal}/cursors/store', 'wb') as file:
            file.write(b'not a state file')
        said = _tool('prune', journal, '--keep', '1KiB')
        assert 'gone: 0 segments' in said and 'held: the cursor store cannot be read' in said, said
        assert 'holds everything back' in _tool('cursors', journal, expect=5)
        assert 'it has: store' in _tool('cursors', 'remove', journal, 'stora', expect=3)
        assert 'off the register' in _tool('cursors', 'remove', journal, 'store')
        assert _tool('cursors', journal) == 'no cursors'
        assert 'gone: 1 segment,' in _tool('prune', journal, '--keep', '1KiB')
        assert [s['segment'] for s in _lines('ls', journal, '--json')] == [3]


tap.run(globals())
