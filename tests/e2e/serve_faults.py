"""`mdreplay serve --faults` with every fault at once, and mdpipe on the other end.

What each connection must have carried is worked out here from the session and the fault log alone; it must be what the
send log says was sent, and what the journal holds. Seeds are printed."""
import collections, concurrent.futures, os, random, re

import journal_file, tap
from fault_log import *
from harness import *

SEEDS = int(os.environ.get('MDPIPE_TEST_FAULT_SEEDS', '20' if os.environ.get('MDPIPE_TEST_LONG') else '3'))

Heard = collections.namedtuple('Heard', 'frames ends')


def read_journal(directory):
    """What was heard on each connection that came up, in order, and the records of the journal by kind."""
    connections, counts = [], collections.Counter()
    for record in journal_file.records(directory):
        if isinstance(record, journal_file.Event):
            counts[record.kind] += 1
            if record.kind == 'connected':
                connections.append(Heard([], []))
            elif record.kind == 'disconnected':
                connections[-1].ends.append(record)
        else:
            connections[-1].frames.append(record)
    return connections, counts


def judge_heard(sent, heard, faults, cut):
    """The journal holds what was sent: all of it, on a connection that was reset a beginning of it; of a message that was
    cut what there is. Returns the trades and how many messages are dead letters."""
    assert len(heard) == len(sent), (len(heard), len(sent))
    trades, unusable = [], 0
    for (number, connection), journaled in zip(sent.items(), heard):
        here = [fault for fault in faults if fault['connection'] == number]
        payloads = [record.payload for record in journaled.frames]
        was_reset = any(fault.get('reset') for fault in here)
        messages = connection.messages + [payload for payload in [payload_of(cut.get(number, b''))] if payload]
        for place, (one, other) in enumerate(zip(payloads, messages)):
            assert one == other, f'connection {number}, message {place}: {one} was heard, {other} was sent'
        assert was_reset or len(payloads) == len(messages), f'connection {number}: {len(payloads)} of {len(messages)}'
        for place, (record, (usable, want)) in enumerate(zip(journaled.frames, judge_messages(number, payloads, faults))):
            assert [trade.text for trade in record.trades] == want, (number, place, record.payload)
            trades += want
            unusable += not usable
        judge_end(number, connection, journaled, here)
    return trades, unusable


def judge_end(number, connection, journaled, faults):
    last = faults[-1] if faults and ends(faults[-1]) else None
    assert [len(journaled.ends)] == [1], f'connection {number} has its one end'
    end = journaled.ends[0]
    if last is None:
        assert end.code == 1000, end
    elif last['kind'] == 'close':
        assert end.code == (last['code'] or 1006), (last, end)
    elif last['kind'] == 'malformed':
        assert end.code == (1007 if last['payload'] == 'not_utf8' else 1002), (last, end)
    elif last['kind'] == 'corrupt':
        assert end.code == 1007, (last, end)
    else:
        assert end.code == 1006 and end.text, (last, end)
    if last and last['kind'] == 'stall':
        assert connection.closed['partial_bytes'] == last['sent_bytes'], (last, connection.closed)


def play(directory, session, seed):
    plan = f'{directory}/faults.toml'
    lines = write_plan(plan)
    venue, address = serve(session, '--speed', 'max', '--once', '--faults', plan, '--seed', seed, '--ping-interval', 1,
                           '--fault-log', f'{directory}/faults.jsonl', '--log', f'{directory}/sent.jsonl')
    with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--kafka', 'embedded', '--silence', 4,
                           '--once') as pipe:
        health = pipe.wait_for(r'health=([0-9.:]+)')
        # Behind the refusal comes a connection that is silent: time to see it counted.
        until('the refusal to be counted', lambda: metric(health, 'mdpipe_feed_connect_failures_total') == 1)
        said = pipe.wait()  # 0: its own counts add up
        venue.wait()
    return lines, said


def judge_run(seed):
    """One seed, played and judged; a line of what was there."""
    with folder() as directory:
        session = f'{directory}/session.jsonl'
        run(MDREPLAY, 'generate', '--symbols', 12, '--trades', 6000, '--seed', seed, '-o', session)
        lines, said = play(directory, session, seed)
        faults, sent = read_fault_log(f'{directory}/faults.jsonl'), read_send_log(f'{directory}/sent.jsonl')
        assert {fault['kind'] for fault in faults} == KINDS
        assert {fault['line'] for fault in faults} == set(lines), 'each fault of the file has struck'
        pings, cut = judge_sent(session_frames(session), faults, sent)
        assert pings >= 1, 'silence with pings has pings'
        heard, records = read_journal(f'{directory}/journal')
        trades, unusable = judge_heard(sent, heard, faults, cut)
        assert records['gap'] == len(sent) - 1 == records['disconnected'] - 1, records
        assert f'on {len(sent)} connections, {len(sent) - 1} gaps' in said, said
        exported = run(MDPIPE, 'journal', 'export', f'{directory}/journal').split('\n')
        texts = [in_one_line(trade) for trade in trades]
        assert [line for line in exported if line] == texts
        assert by_symbol_and_date(store_lines(directory)) == by_symbol_and_date(texts)
        numbers = [int(n.replace(',', '')) for n in re.search(r'published +([\d,]+).*?stored +([\d,]+)', said, re.S).groups()]
        assert numbers == [len(trades)] * 2, said
        bad = int(re.search(r'\+ ([\d,]+) bad', said).group(1).replace(',', ''))
        partly = re.search(r'of them ([\d,]+) had elements', said)
        assert bad + (int(partly.group(1).replace(',', '')) if partly else 0) == unusable, said
        return f'{len(faults)} faults on {len(sent)} connections, {len(trades)} trades, {unusable} messages unusable'


def test_every_fault_at_once_loses_no_trade_that_reached_the_socket_whole():
    first = int(os.environ.get('MDPIPE_TEST_SEED') or random.randrange(1 << 32))
    seeds = range(first, first + SEEDS)
    print(f'# seeds {first}..{seeds[-1]}')
    with concurrent.futures.ThreadPoolExecutor(3) as pool:  # they wait more than they work
        for seed, said in zip(seeds, pool.map(judge_run, seeds)):
            print(f'# seed {seed}: {said}')


tap.run(globals())
