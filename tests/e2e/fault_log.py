"""`mdreplay serve --faults`: a plan with every kind of fault, and what each connection must have carried by the session and
the fault log alone."""
import base64, collections, json

import feed_rules
from venue import TEXT, frame

PING = b'{"type":"ping"}'
KINDS = {'close', 'silence', 'stall', 'fragment', 'duplicate', 'reorder', 'corrupt', 'malformed', 'drip', 'refuse', 'slow'}

# What ends a connection has one of its own, so that each is met; the rest is chance. (connection, kind, other keys)
ENDINGS = [
    (1, 'slow', 'seconds = 0.2'),
    (1, 'close', 'trade = 300\ncode = 1012'),
    (2, 'close', 'trade = 300'),
    (3, 'refuse', 'status = 503'),
    (4, 'close', 'trade = 300\nreset = true'),
    (5, 'silence', 'trade = 300'),
    (6, 'silence', 'trade = 100\nseconds = 4.6\npings = true'),
    (6, 'stall', 'trade = 200\nseconds = 0.2'),
    (6, 'stall', 'trade = 300'),
    (7, 'malformed', 'trade = 200\npayloads = ["not_utf8"]'),
    (8, 'malformed', 'trade = 200\npayloads = ["reserved_bits"]'),
    (9, 'malformed', 'trade = 200\npayloads = ["opcode"]'),
    (10, 'corrupt', 'trade = 200\nbytes = 40'),
    (11, 'close', 'trade = 300\ncode = 1001'),
]
CHANCES = [
    ('fragment', 'rate = 0.02'),
    ('fragment', 'rate = 0.01\nparts = 40'),
    ('duplicate', 'rate = 0.02'),
    ('duplicate', 'time = 0.0\ntimes = 2'),
    ('reorder', 'rate = 0.01'),
    ('reorder', 'rate = 0.01\nwindow = 20'),
    ('corrupt', 'rate = 0.03\nascii = true'),
    ('malformed', 'rate = 0.05\npayloads = ["truncated", "garbage", "empty", "nan", "huge_number", "twice_a_key", "nested", '
     '"no_object", "mistyped", "missing_field", "binary"]'),
    ('drip', 'trade = 50\nbytes = 40'),
]


def write_plan(path, endings=ENDINGS, chances=CHANCES):
    """The faults of it by their lines, as the fault log names them."""
    with open(path, 'w') as out:
        for connection, kind, rest in endings:
            out.write(f'[[fault]]\nkind = "{kind}"\nconnection = {connection}\n{rest}\n\n')
        for kind, rest in chances:
            out.write(f'[[fault]]\nkind = "{kind}"\n{rest}\n\n')
    with open(path) as lines:
        return [number for number, line in enumerate(lines, 1) if line.startswith('[[fault]]')]


def session_frames(path):
    with open(path, 'rb') as lines:
        return [line[line.index(b'"frame":') + 8:-2] for line in lines]


Sent = collections.namedtuple('Sent', 'messages closed')


def read_send_log(path):
    """Of each connection that was opened, by number."""
    connections = {}
    with open(path, 'rb') as lines:
        for line in lines:
            event = json.loads(line)
            if event['event'] == 'connected':
                connections[event['connection']] = Sent([], {})
            elif event['event'] == 'frame':
                messages = connections[event['connection']].messages
                messages.append(base64.b64decode(event['raw']) if 'raw' in event else line.split(b'"frame":', 1)[1][:-2])
            elif event['event'] == 'closed':
                connections[event['connection']].closed.update(event)
    return connections


def read_fault_log(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines]


def payload_of(wire):
    """What a server's frames carry."""
    payload, at = b'', 0
    while at + 1 < len(wire):
        length, head = wire[at + 1] & 127, 2
        if length == 126:
            length, head = int.from_bytes(wire[at + 2:at + 4], 'big'), 4
        elif length == 127:
            length, head = int.from_bytes(wire[at + 2:at + 10], 'big'), 10
        payload += wire[at + head:at + head + length]
        at += head + length
    return payload


def ends(fault):
    """Nothing of the session goes out on the connection behind this one."""
    kind = fault['kind']
    if kind == 'malformed':
        return fault['payload'] in ('not_utf8', 'reserved_bits', 'opcode')
    if kind == 'corrupt':
        try:
            payload_of(base64.b64decode(fault['wire'])).decode()
            return False
        except UnicodeDecodeError:
            return True
    return kind == 'close' or kind in ('silence', 'stall') and fault['seconds'] is None


def expected(frames, faults):
    """The messages of one connection that begins with these frames of the session, and how many frames it used up."""
    by_frame = {fault['frame']: fault for fault in faults if fault['frame']}
    messages, at = [], 0
    while at < len(frames):
        fault = by_frame.get(at + 1)
        text = frames[at]
        at += 1
        if fault is None:
            messages.append(text)
            continue
        kind, wire = fault['kind'], base64.b64decode(fault.get('wire', ''))
        if kind == 'duplicate':
            messages += [text] * fault['times']
        elif kind == 'reorder':
            window = frames[at - 1:at - 1 + len(fault['order'])]
            messages += [window[i] for i in fault['order']]
            at += len(window) - 1
        elif kind == 'corrupt':
            messages.append(payload_of(wire))
        elif kind == 'fragment':
            assert payload_of(wire) == text and wire[0] == 1, fault
            messages.append(text)
        elif kind == 'malformed':
            messages.append(text)
            if fault['payload'] not in ('reserved_bits', 'opcode'):
                messages.append(payload_of(wire))
        elif kind != 'stall' or fault['seconds'] is not None:
            messages.append(text)
        midway = kind == 'drip' or (kind == 'stall' and fault['seconds'] is not None)  # noted in the middle of its message
        assert fault['message'] == len(messages) - midway, (fault, len(messages))
        if ends(fault):
            break
    return messages, at


def judge_sent(frames, faults, sent):
    """Session and fault log give the send log, connection by connection. Returns how many pings went out in silence, and
    the frame of which a connection got but a beginning."""
    at, pings, cut = 0, 0, {}
    for number, connection in sent.items():
        here = [fault for fault in faults if fault['connection'] == number]
        silent = [fault for fault in here if fault['kind'] == 'silence' and fault['pings']]
        shift = 0
        if silent:  # pings by the clock; all faults behind them count them
            start = silent[0]['message']
            later = [fault for fault in here if fault['message'] > start]
            extra = 0
            while connection.messages[start + extra:start + extra + 1] == [PING] and extra < 10:
                extra += 1
            for shift in range(extra, -1, -1):
                trial = [dict(fault, message=fault['message'] - shift) if fault in later else fault for fault in here]
                try:
                    want, used = expected(frames[at:], trial)
                except AssertionError:
                    continue
                if want[:start] + [PING] * shift + want[start:] == connection.messages:
                    break
            want, used = expected(frames[at:], trial)
            want = want[:start] + [PING] * shift + want[start:]
            pings += shift
        else:
            want, used = expected(frames[at:], here)
        assert connection.messages == want, f'connection {number}: sent is not what the session and the fault log say'
        at += used
        if here and here[-1]['kind'] == 'stall' and ends(here[-1]):
            cut[number] = frame(TEXT, frames[at - 1])[:here[-1]['sent_bytes']]
    assert at == len(frames), f'{at} of {len(frames)} frames of the session were played'
    return pings, cut


def judge_messages(number, messages, faults):
    """(usable, trades) of each message of one connection, by the feed's rules; nothing of a binary one can be used."""
    binary = {fault['message'] - 1 for fault in faults if fault['connection'] == number and fault.get('payload') == 'binary'}
    return [(False, []) if place in binary else feed_rules.judge(message) for place, message in enumerate(messages)]


def trades_left(session, fault_log, send_log):
    """The texts of the trades that whoever hears every message of every connection has got, in order: the session as the fault
    log leaves it, which the send log must confirm."""
    faults, sent = read_fault_log(fault_log), read_send_log(send_log)
    judge_sent(session_frames(session), faults, sent)
    return [trade for number, connection in sent.items() for _, trades in judge_messages(number, connection.messages, faults)
            for trade in trades]


def in_one_line(trade):
    """A trade as a line of a file: what lies within it and would end the line is a blank."""
    return trade.decode().replace('\r', ' ').replace('\n', ' ')
