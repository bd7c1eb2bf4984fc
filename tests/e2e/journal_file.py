"""A journal as src/journal/FORMAT.md describes it, read by a second hand: (kind, …) tuples in the order of the records."""
import collections, os, struct

Frame = collections.namedtuple('Frame', 'position receive_ns kind reason payload trades')
Trade = collections.namedtuple('Trade', 'position symbol text flags')
Event = collections.namedtuple('Event', 'position receive_ns kind connection from_ns to_ns code text')
EVENTS = {1: 'connected', 2: 'subscribed', 3: 'gap', 4: 'stale', 5: 'disconnected'}
AFTER_GAP = 2
BAD_TRUNCATED = 7


def segments(directory):
    return sorted(name for name in os.listdir(directory) if name.endswith('.segment'))


def placed_records(segment):
    """(offset, record) of one segment, which tells all of its symbols."""
    symbols = {}
    with open(segment, 'rb') as file:
        data = file.read()
    at = 4096
    while at + 32 <= len(data):
        length, _, position, receive_ns, kind, sub, payload_length = struct.unpack_from('<IIQqHHI', data, at)
        if length == 0:
            break
        payload = data[at + 32:at + 32 + payload_length]
        if kind == 2:
            symbols[struct.unpack_from('<I', payload)[0]] = payload[8:].decode()
        elif kind == 3:
            connection, from_ns, to_ns, code, _ = struct.unpack_from('<QqqII', payload)
            yield at, Event(position, receive_ns, EVENTS[sub], connection, from_ns, to_ns, code, payload[32:].decode())
        elif kind == 1:
            trades = []
            for t in range(at + (32 + payload_length + 63) // 64 * 64, at + length, 64):
                symbol, offset, size = struct.unpack_from('<III', data, t + 48)
                trades.append(Trade(struct.unpack_from('<Q', data, t)[0], symbols[symbol], data[at + offset:at + offset + size],
                                    struct.unpack_from('<H', data, t + 62)[0]))
            yield at, Frame(position, receive_ns, sub & 255, sub >> 8, payload, trades)
        elif kind == 4:
            break
        at += length


def records(directory, names=None):
    """Of all segments, or of some: each begins with the symbols known before it."""
    for name in segments(directory) if names is None else names:
        for _, record in placed_records(os.path.join(directory, name)):
            yield record
