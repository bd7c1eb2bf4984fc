"""A feed that misbehaves: what it sends, how it ends, how it refuses. The venue is scripted here; seeds are printed."""
import gzip, json, os, random, re, signal, ssl, struct, threading, time, warnings

import journal_file
import tap
from harness import *
from venue import BINARY, CLOSE, PING, TEXT, Venue, accept_key, frame, good, trade

warnings.simplefilter('ignore', DeprecationWarning)  # of the old TLS versions that we offer on purpose
CANARY = 'canary0token0that0must0appear0nowhere'


def consume(bootstrap, topic, count, patience_s=30):
    """So many messages of a topic, as (key, value, headers), partition by partition."""
    from confluent_kafka import Consumer, OFFSET_BEGINNING, TopicPartition
    consumer = Consumer({'bootstrap.servers': bootstrap, 'group.id': 'test', 'enable.auto.commit': False, 'fetch.wait.max.ms': 20})
    partitions = consumer.list_topics(topic, timeout=15).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
    found, end = [], time.monotonic() + patience_s
    while len(found) < count and time.monotonic() < end:
        for message in consumer.consume(1000, 0.2):
            if not message.error():
                found.append((message.partition(), message.offset(), message.key(), message.value() or b'', dict(message.headers() or [])))
    time.sleep(0.2)
    found += [(m.partition(), m.offset(), m.key(), m.value() or b'', dict(m.headers() or [])) for m in consumer.consume(1000, 0.2) if not m.error()]
    consumer.close()
    return [m[2:] for m in sorted(found, key=lambda m: m[:2])]


class Follower:
    """Reads raw-market-data while it is written (the embedded broker forgets): positions of all messages and of those
    whose header says that they follow a gap. Fails where a message was forgotten before it was read."""

    def __init__(self, bootstrap, topic='raw-market-data'):
        self.positions, self.after_gap, self.failure = [], [], None
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(bootstrap, topic), daemon=True)
        self.thread.start()

    def _run(self, bootstrap, topic):
        from confluent_kafka import Consumer, OFFSET_BEGINNING, TopicPartition
        consumer = Consumer({'bootstrap.servers': bootstrap, 'group.id': 'test', 'enable.auto.commit': False, 'fetch.wait.max.ms': 20,
                             'auto.offset.reset': 'error'})
        partitions = consumer.list_topics(topic, timeout=15).topics[topic].partitions
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
        following = dict.fromkeys(partitions, 0)
        while not self.ending.is_set():
            for message in consumer.consume(10000, 0.1):
                if message.error() or message.offset() != following[message.partition()]:
                    self.failure = f'{message.error()}: offset {message.offset()} of {message.partition()}, not {following[message.partition()]}'
                    return
                following[message.partition()] += 1
                header = dict(message.headers())['mdp']
                position, = struct.unpack_from('<Q', header, 10)
                self.positions.append(position)
                if header[1] & 1:
                    self.after_gap.append(position)
        consumer.close()

    def wait(self, count):
        until(f'{count} messages', lambda: self.failure or len(self.positions) >= count)
        self.ending.set()
        self.thread.join(30)
        assert not self.failure, self.failure


def _bad_payloads(generator, count):
    """(what to send as frames, the payload, whether good trades are in it, the close code that must follow or None)."""
    def text(payload, trades=0, code=None):
        return frame(TEXT, payload), payload, trades, code

    def fragmented(payload):
        cuts = sorted(generator.sample(range(1, len(payload)), 3))
        parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)])]
        return b''.join(frame(TEXT if i == 0 else 0, part, fin=i == len(parts) - 1) for i, part in enumerate(parts)), payload, 0, None

    makers = [
        lambda n: text(good(n)[:generator.randrange(1, len(good(n)) - 1)]),                            # truncated
        lambda n: text(bytes(generator.randrange(32, 127) for _ in range(generator.randrange(1, 80))) + b'}'),  # malformed
        lambda n: text(b'{"data":[{"p":1e999,"s":"SPY","t":1,"v":1}],"type":"trade"}'),
        lambda n: text(b'{"data":[{"p":NaN,"s":"SPY","t":1,"v":1}],"type":"trade"}'),
        lambda n: text(b'[' * generator.randrange(1500, 4000)),                                       # deeply nested
        lambda n: text(b'{"data":[{"p":1,"p":2,"s":"SPY","t":1,"v":%d}],"type":"trade"}' % n),        # duplicated key
        lambda n: text(b'[' + good(n) + b']'),                                                        # no object
        lambda n: text(b'{"data":' + str(n).encode() + b',"type":"trade"}'),                          # mistyped list
        lambda n: text(b'{"data":[{"p":"1","s":"SPY","t":1,"v":1},' + trade(n) + b'],"type":"trade"}', 1),  # mistyped price
        lambda n: text(b'{"data":[' + trade(n) + b',{"s":"SPY","t":%d}],"type":"trade"}' % n, 1),      # fields missing
        lambda n: text(b'{"data":[' + trade(n) + b',{"p":12345678901234567890,"s":"SPY","t":1,"v":1}],"type":"trade"}', 1),
        lambda n: text(b''),                                                                          # nothing
        lambda n: text(b'{"data":[{"p":"' + b'9' * 400 + b'","s":"SPY","t":"x","v":null}],"type":"trade"}'),  # every type wrong
        lambda n: (frame(BINARY, good(n)), good(n), 0, None),
        lambda n: fragmented(b'{"data":[{"p":1,"s":"SPY","t":%d,"v":1}]' % n),                         # cut JSON in fragments
    ]
    closing = [
        lambda n: text(b'{"data":[{"s":"\xff\xfe%d"' % n + b' ' * 100 + b'}]}', code=1007),
        lambda n: text(b'{"data":"' + b'x' * (70000 + n) + b'"}', code=1009),
    ]
    payloads = [makers[i % len(makers)](i + 1) for i in range(count - 10)] + [closing[i % 2](i) for i in range(10)]
    generator.shuffle(payloads)
    return payloads


def test_two_hundred_bad_frames_between_good_ones_lose_no_good_trade():
    seed = random.randrange(1 << 32)
    print(f'# seed {seed}')
    generator = random.Random(seed)
    items = []  # (bytes on the wire, dead letter or None, good trades, close code)
    for number, (wire, payload, trades, code) in enumerate(_bad_payloads(generator, 200)):
        items.append((frame(TEXT, good(number)), None, [trade(number)], None))
        has_good = [element for element in [trade(n) for n in range(0, 400)] if trades and element in payload]
        items.append((wire, payload, has_good, code))
    items.append((frame(TEXT, good(777)), None, [trade(777)], None))
    left = list(items)

    def script(connection):
        connection.wait_subscribed(1)
        while left:
            wire, _, _, code = left.pop(0)
            connection.raw(wire)
            if code:
                assert connection.wait_closed() == code, (connection.close_code, code)
                return
        connection.ended.wait(60)

    with folder() as directory, Venue(script) as venue:
        with mdpipe_run(directory, venue.address, '--symbols', 'SPY', '--kafka', 'embedded', '--max-frame', 65536) as pipe:
            bootstrap, health = pipe.wait_for(r'bootstrap=([0-9.:]+)'), pipe.wait_for(r'health=([0-9.:]+)')
            want_trades = [t for _, _, trades, _ in items for t in trades]
            until('all of the venue\'s script', lambda: not left or venue.failures)
            until('every good trade', lambda: (metric(health, 'mdpipe_kafka_acknowledged_total', topic='raw-market-data') or 0) >= len(want_trades))
            dead = [item for item in items if item[1] is not None]
            until('every dead letter', lambda: (metric(health, 'mdpipe_kafka_acknowledged_total', topic='dead-letter-queue') or 0) >= len(dead))
            got_trades = [value for _, value, _ in consume(bootstrap, 'raw-market-data', len(want_trades))]
            assert got_trades == want_trades
            letters = consume(bootstrap, 'dead-letter-queue', len(dead))
            assert len(letters) == len(dead), (len(letters), len(dead))
            for (_, value, headers), (_, payload, _, code) in zip(letters, dead):
                assert headers['stage'] == b'feed' and headers['error'] and len(headers['mdp']) == 26, headers
                truncated = bool(headers['mdp'][1] & 16)
                assert truncated == (code is not None), (payload[:80], headers)
                want = payload[:65536] if code == 1009 else payload  # a 1007's payload came whole, in one frame
                assert value == want, (want[:200], len(want), value[:200], len(value))
            closing = sum(code is not None for _, _, _, code in items)
            assert len(venue.connections) == closing + 1, 'a connection ends where RFC 6455 says so, and nowhere else'
            with open(f'/proc/{pipe.process.pid}/status') as status:
                private_kb = int(re.search(r'RssAnon:\s+(\d+)', status.read()).group(1))
            print(f'# {len(want_trades)} trades, {len(letters)} dead letters, {len(venue.connections)} connections, {private_kb} KiB of our own')
            assert private_kb < 150 * 1024
            pipe.signal(signal.SIGTERM)
            pipe.wait()


def _play_with_cuts(directory, frames, symbols, seed):
    """Plays frames; ends the connection at 20 random places in six ways. Returns what each connection was sent and how it
    ended, and who has followed the topic."""
    generator = random.Random(seed)
    cuts = sorted(generator.sample(range(1, len(frames)), 20))
    ways = [('abort', None), ('close', 1000), ('close', 1001), ('close', 1012), ('silence', None), ('end', None)] * 3
    ways += [('abort', None), ('close', 1001)]
    generator.shuffle(ways)
    bounds = list(zip([0, *cuts], [*cuts, len(frames)]))
    done = threading.Event()
    endings = []

    def script(connection):
        connection.wait_subscribed(len(symbols))
        if len(endings) == len(bounds):
            connection.ended.wait(60)
            return
        begin, end = bounds[len(endings)]
        way = ways[len(endings)] if len(endings) < len(ways) else ('close', 1000)
        endings.append((connection, way))
        for at in range(begin, end, 500):
            connection.texts(frames[at:min(at + 500, end)])
        if way[0] == 'abort':
            connection.abort()
        elif way[0] == 'end':
            connection.end()
        elif way[0] == 'silence':
            connection.ended.wait(60)
        else:
            connection.close(way[1])
        if len(endings) == len(bounds):
            done.set()

    with Venue(script) as venue:
        with mdpipe_run(directory, venue.address, '--symbols', ','.join(symbols), '--silence', 4, '--kafka', 'embedded') as pipe:
            follower = Follower(pipe.wait_for(r'bootstrap=([0-9.:]+)'))
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('the last cut', lambda: done.is_set() or venue.failures or pipe.process.poll() is not None, 300)
            until('everything published', lambda: metric(health, 'mdpipe_journal_lag', cursor='publish') == 0)
            follower.wait(int(metric(health, 'mdpipe_kafka_acknowledged_total', topic='raw-market-data')))
            pipe.signal(signal.SIGTERM)
            pipe.wait()
    return endings, follower


def _judge_cuts(directory, endings, follower):
    """Each connection's frames are a contiguous beginning of what it was sent, all of it where the close was clean."""
    connections, gaps, current = {}, [], None
    for record in journal_file.records(f'{directory}/journal'):
        if isinstance(record, journal_file.Event):
            if record.kind == 'connected':
                current = connections.setdefault(record.connection, [])
            elif record.kind == 'gap':
                gaps.append(record)
        else:
            current.append(record)
    assert len(connections) >= len(endings), (len(connections), len(endings))
    total = 0
    for number, (connection, (way, _)) in enumerate(endings, 1):
        heard = [record.payload for record in connections[number]]
        if way == 'abort' and heard and heard[-1] != connection.sent[len(heard) - 1]:  # the reset came in a message
            assert connections[number][-1].kind == journal_file.BAD_TRUNCATED, connections[number][-1]
            assert connection.sent[len(heard) - 1].startswith(heard.pop()), number
        assert heard == connection.sent[:len(heard)], f'connection {number} is no beginning of what it was sent'
        if way != 'abort':
            assert len(heard) == len(connection.sent), f'connection {number} ended by {way}: {len(heard)} of {len(connection.sent)}'
        total += len(heard)
        seen = set()
        for record in connections[number]:
            for one in record.trades:
                flagged = bool(one.flags & journal_file.AFTER_GAP)
                assert flagged == (number > 1 and one.symbol not in seen), (number, one)
                seen.add(one.symbol)
    assert [gap.connection for gap in gaps] == list(range(2, len(connections) + 1)), 'a gap before each connection but the first'
    for gap in gaps:
        before = [r.receive_ns for n, records in connections.items() if n < gap.connection for r in records]
        after = [r.receive_ns for n, records in connections.items() if n >= gap.connection for r in records]
        assert max(before, default=0) <= gap.to_ns and gap.from_ns <= gap.to_ns, gap
        assert gap.from_ns >= max(before, default=0)
        assert not after or min(after) >= gap.to_ns, gap
    trades = [t for records in connections.values() for r in records for t in r.trades]
    assert sorted(follower.positions) == [t.position for t in trades]
    flagged = [t.position for t in trades if t.flags & journal_file.AFTER_GAP]
    assert sorted(follower.after_gap) == flagged and len(flagged) >= 20
    print(f'# {len(endings)} connections, {total} frames, {len(trades)} trades, {len(gaps)} gaps, {len(flagged)} first trades after one')


def test_a_feed_cut_at_twenty_places_is_heard_again_and_every_gap_is_marked():
    seed = random.randrange(1 << 32)
    print(f'# seed {seed}')
    with folder() as directory:
        session = f'{directory}/session.jsonl'
        run(MDREPLAY, 'generate', '--symbols', 8, '--trades', 12000, '--seed', 9, '-o', session)
        symbols = list(dict.fromkeys(symbol for symbol, _ in session_trades(session)))
        with open(session, 'rb') as lines:
            frames = [json_frame(line.rstrip(b'\n')) for line in lines]

        _judge_cuts(directory, *_play_with_cuts(directory, frames, symbols, seed))


def json_frame(line):
    """The frame of a line: bare, or wrapped with its receive time."""
    return line[line.index(b'"frame":') + 8:-1] if line.startswith(b'{"recv_ns":') else line


def test_the_us_day_cut_at_twenty_places():
    session = tap.shared('data', 'sessions', 'us-stocks-2013-10-07.jsonl.gz')
    seed = random.randrange(1 << 32)
    print(f'# seed {seed}')
    with folder() as directory:
        with gzip.open(session, 'rb') as lines:
            frames = [json_frame(line.rstrip(b'\n')) for line in lines]
        _judge_cuts(directory, *_play_with_cuts(directory, frames, ['SPY', 'AIG', 'BAC', 'IBM'], seed))


def _refusing(status, more=''):
    return f'HTTP/1.1 {status}\r\nContent-Length: 0\r\n{more}\r\n'.encode()


def _everything_said(directory, pipe, health):
    said = pipe.output + '\n'.join(get(health, path)[1] for path in ('/healthz', '/readyz', '/metrics'))
    with open(f'/proc/{pipe.process.pid}/cmdline', 'rb') as arguments:
        said += arguments.read().decode()
    return said


def _no_file_says(directory, word):
    for root, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(root, name), 'rb') as file:
                assert word.encode() not in file.read(), f'{name} holds the token'


def test_a_refused_token_is_not_hammered_and_appears_nowhere():
    for status, state in (('401 Unauthorized', 'auth_failed'), ('403 Forbidden', 'auth_failed'), ('429 Too Many Requests', 'backing_off')):
        seen = []
        with folder() as directory, Venue(None, answer=lambda c: seen.append(c.target) or _refusing(status)) as venue:
            with mdpipe_run(directory, venue.address, '--kafka', 'none', env={'FINNHUB_API_KEY': CANARY}) as pipe:
                health = pipe.wait_for(r'health=([0-9.:]+)')
                until(state, lambda: state in get(health, '/healthz')[1])
                time.sleep(2)
                assert len(venue.attempts) == 1, f'{len(venue.attempts)} attempts in two seconds'
                assert get(health, '/healthz')[0] == 200 and get(health, '/readyz')[0] == 503
                assert CANARY not in _everything_said(directory, pipe, health)
                pipe.signal(signal.SIGTERM)
                assert CANARY not in pipe.wait()
            assert seen == [f'/?token={CANARY}'], 'the venue is told the token'
            _no_file_says(directory, CANARY)


def test_with_fail_fast_a_refusal_ends_the_run_with_4():
    with folder() as directory, Venue(None, answer=_refusing('401 Unauthorized')) as venue:
        with mdpipe_run(directory, venue.address, '--kafka', 'none', '--fail-fast', env={'FINNHUB_API_KEY': CANARY}) as pipe:
            said = pipe.wait(expect=4)
            assert '401' in said and CANARY not in said, said


def test_a_redirection_is_not_followed():
    with folder() as directory, Venue(lambda c: c.ended.wait(5)) as other:
        with Venue(None, answer=_refusing('302 Found', f'Location: ws://{other.address}/\r\n')) as venue:
            with mdpipe_run(directory, venue.address, '--kafka', 'none') as pipe:
                health = pipe.wait_for(r'health=([0-9.:]+)')
                until('the reason', lambda: '302' in get(health, '/healthz')[1])
                assert not other.attempts
                pipe.signal(signal.SIGTERM)
                pipe.wait()


def test_what_rfc_6455_forbids_is_answered_with_1002():
    for wire in (frame(3, b'x'), frame(11, b''), frame(TEXT, b'{}', reserved=4), frame(PING, b'x' * 126), frame(PING, b'x', fin=False),
                 frame(0, b'a continuation of nothing'), frame(CLOSE, b'\x03')):
        codes = []

        def script(connection):
            connection.wait_subscribed(1)
            if connection.number == 1:
                connection.text(good(1))
                connection.raw(wire)
                codes.append(connection.wait_closed())
            else:
                connection.text(good(2))
                connection.ended.wait(60)
        with folder() as directory, Venue(script) as venue:
            with mdpipe_run(directory, venue.address, '--symbols', 'SPY', '--kafka', 'none') as pipe:
                health = pipe.wait_for(r'health=([0-9.:]+)')
                until('the next connection', lambda: (metric(health, 'mdpipe_feed_trades_total') or 0) == 2)
                assert codes == [1002], (wire[:20], codes)
                pipe.signal(signal.SIGTERM)
                pipe.wait()


def test_lengths_and_fragments_without_end_are_answered_with_1009():
    def top_bit(connection):
        connection.raw(frame(TEXT, b'x' * 70000, length=1 << 63))

    def large(connection):
        connection.raw(frame(TEXT, b'x' * 70000, length=16 << 20))

    def fragments(connection):
        connection.raw(frame(TEXT, b'{', fin=False))
        for _ in range(100000):
            connection.raw(frame(0, b' ' * 100, fin=False))

    for send in (top_bit, large, fragments):
        codes = []

        def script(connection):
            connection.wait_subscribed(1)
            if connection.number == 1:
                try:
                    send(connection)
                finally:
                    codes.append(connection.wait_closed())
            else:
                connection.text(good(2))
                connection.ended.wait(60)
        with folder() as directory, Venue(script) as venue:
            with mdpipe_run(directory, venue.address, '--symbols', 'SPY', '--kafka', 'none', '--max-frame', 65536) as pipe:
                health = pipe.wait_for(r'health=([0-9.:]+)')
                until('the next connection', lambda: (metric(health, 'mdpipe_feed_trades_total') or 0) == 1)
                assert codes == [1009], (send.__name__, codes)
                pipe.signal(signal.SIGTERM)
                pipe.wait()


def test_pings_are_answered_with_what_they_brought_also_many_of_them():
    def script(connection):
        connection.wait_subscribed(1)
        connection.raw(b''.join(frame(PING, b'%d' % i) for i in range(1000)))
        connection.text(good(1))
        connection.ended.wait(60)
    with folder() as directory, Venue(script) as venue:
        with mdpipe_run(directory, venue.address, '--symbols', 'SPY', '--kafka', 'none') as pipe:
            until('the pongs', lambda: venue.connections and b'999' in venue.connections[0].pongs)
            pongs = [int(p) for p in venue.connections[0].pongs]
            # RFC 6455, 5.5.3: of several pings it is enough to answer the last.
            assert pongs == sorted(pongs) and len(venue.connections) == 1, pongs[:20]
            pipe.signal(signal.SIGTERM)
            pipe.wait()


def test_compression_that_nobody_asked_for_is_refused():
    said = ('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
            'Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Accept: {}\r\n\r\n')

    def answer(connection):
        asked.append(connection.headers.get('sec-websocket-extensions'))
        return said.format(accept_key(connection.headers['sec-websocket-key'])).encode() + frame(TEXT, b'\xaa\x56\x2a', reserved=4)
    asked = []
    with folder() as directory, Venue(None, answer=answer) as venue:
        with mdpipe_run(directory, venue.address, '--kafka', 'none') as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('another attempt', lambda: len(venue.attempts) > 1)
            assert metric(health, 'mdpipe_feed_frames_total', kind='trades') == 0 and asked[0] is None, asked
            pipe.signal(signal.SIGTERM)
            pipe.wait()


def test_pings_alone_make_the_feed_stale_and_it_subscribes_again_on_the_same_connection():
    def script(connection):
        connection.wait_subscribed(1)
        connection.text(good(1))
        while not connection.ended.is_set():
            connection.raw(frame(PING, b'still here'))
            time.sleep(0.1)
    with folder() as directory, Venue(script) as venue:
        with mdpipe_run(directory, venue.address, '--symbols', 'SPY', '--kafka', 'none', '--silence', 4) as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('stale', lambda: metric(health, 'mdpipe_feed_state', state='stale') == 1)
            assert 'stale' in get(health, '/healthz')[1]
            until('another subscription', lambda: venue.connections[0].subscriptions > 1)
            assert len(venue.attempts) == 1
            pipe.signal(signal.SIGTERM)
            pipe.wait()


def _certificate(directory, name, *options, extension='subjectAltName=IP:127.0.0.1'):
    key, certificate, request = (f'{directory}/{name}.{kind}' for kind in ('key', 'pem', 'csr'))
    run('openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', request, '-subj', '/CN=test', '-addext', extension)
    authority = f'{directory}/{name}.authority'
    os.mkdir(authority)
    with open(f'{authority}/config', 'w') as out:
        out.write(f'[ca]\ndefault_ca=it\n[it]\ndatabase={authority}/index\nserial={authority}/serial\nnew_certs_dir={authority}\n'
                  'default_md=sha256\npolicy=any\ncopy_extensions=copy\n[any]\ncommonName=supplied\n')
    open(f'{authority}/index', 'w').close()
    with open(f'{authority}/serial', 'w') as out:
        out.write('01\n')
    run('openssl', 'ca', '-batch', '-selfsign', '-config', f'{authority}/config', '-keyfile', key, '-in', request, '-out', certificate,
        '-notext', *options)
    return certificate, key


def test_tls_that_cannot_be_trusted_is_refused_with_the_reason():
    with folder() as directory:
        ours, our_key = _certificate(directory, 'ours', '-days', '2')
        strange, strange_key = _certificate(directory, 'strange', '-days', '2')
        wrong_host, wrong_host_key = _certificate(directory, 'wrong-host', '-days', '2', extension='subjectAltName=DNS:elsewhere.test')
        expired, expired_key = _certificate(directory, 'expired', '-startdate', '20200101000000Z', '-enddate', '20210101000000Z')
        cases = [(strange, strange_key, ours, 'self', None), (wrong_host, wrong_host_key, wrong_host, 'mismatch', None),
                 (expired, expired_key, expired, 'expired', None), (ours, our_key, ours, '', ssl.TLSVersion.TLSv1_1)]
        for certificate, key, trusted, reason, version in cases:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            if version:
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = version
                context.set_ciphers('ALL:@SECLEVEL=0')
            reached = []
            with Venue(lambda c: reached.append(c), tls=context) as venue:
                with mdpipe_run(f'{directory}/{len(os.listdir(directory))}', venue.address, '--kafka', 'none', '--ca-file', trusted, scheme='wss') as pipe:
                    health = pipe.wait_for(r'health=([0-9.:]+)')
                    body = until('the reason', lambda: (lambda b: b if 'TLS' in b or 'certificate' in b or 'tls' in b else None)(get(health, '/healthz')[1]))
                    assert reason in body.lower(), (reason, body)
                    pipe.signal(signal.SIGTERM)
                    pipe.wait()
            assert not reached, 'never a fall-back'


def test_a_venue_that_says_when_to_come_back_is_left_alone_until_then_also_by_the_next_run():
    with folder() as directory, Venue(None, answer=_refusing('429 Too Many Requests', 'Retry-After: 600\r\n')) as venue:
        for _ in range(2):
            with mdpipe_run(directory, venue.address, '--kafka', 'none') as pipe:
                health = pipe.wait_for(r'health=([0-9.:]+)')
                until('the wait', lambda: metric(health, 'mdpipe_feed_state', state='backing_off') == 1)
                time.sleep(0.5)
                pipe.signal(signal.SIGTERM)
                pipe.wait()
        assert len(venue.attempts) == 1, f'{len(venue.attempts)} attempts'


def test_what_the_venue_complains_of_is_in_the_log():
    def script(connection):
        connection.wait_subscribed(1)
        connection.text(b'{"msg":"Subscribing to too many symbols","type":"error"}')
        connection.ended.wait(60)
    with folder() as directory, Venue(script) as venue:
        with mdpipe_run(directory, venue.address, '--symbols', 'SPY', '--kafka', 'none') as pipe:
            pipe.wait_for('Subscribing to too many symbols')
            assert len(venue.connections) == 1 and venue.connections[0].subscriptions == 1
            pipe.signal(signal.SIGTERM)
            pipe.wait()


tap.run(globals())
