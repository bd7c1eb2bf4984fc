"""A WebSocket venue whose script is a function: it can send anything, well formed or not, and keeps what it sent and heard.

    def script(connection):            # called for each connection, on a thread of its own
        connection.wait_subscribed(1)
        connection.text(b'{"type":"ping"}')
        connection.close(1000)

    with Venue(script) as venue: …     # venue.address, venue.connections

RFC 6455 is written out here once more, so that the client's reading of it is not judged by itself."""
import base64, hashlib, json, socket, ssl, struct, threading, time

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode, payload, fin=True, reserved=0, length=None):
    """One frame as a server sends it, unmasked; `length` tells a lie about the payload's."""
    length = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    if length < 126:
        head += bytes([length])
    elif length < 65536:
        head += struct.pack('>BH', 126, length)
    else:
        head += struct.pack('>BQ', 127, length)
    return head + payload


def accept_key(key):
    return base64.b64encode(hashlib.sha1((key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest()).decode()


def trade(number, symbol='SPY'):
    return b'{"p":%d.25,"s":"%s","t":%d,"v":%d}' % (100 + number % 50, symbol.encode(), 1381132800000 + number, number)


def good(number, symbol='SPY'):
    return b'{"data":[' + trade(number, symbol) + b'],"type":"trade"}'


class Gone(Exception):
    """The other side has closed or broken the connection."""


class Connection:
    def __init__(self, number, stream):
        self.number, self.stream = number, stream
        self.sent = []            # payloads of text messages, in order
        self.symbols = set()
        self.subscriptions = 0    # messages that asked for one
        self.pongs = []
        self.close_code = None    # of the client's close frame
        self.target, self.headers = None, {}
        self.ended = threading.Event()  # nothing more comes from the client

    # What a script does.
    def raw(self, data):
        try:
            self.stream.sendall(data)
        except OSError as error:
            raise Gone() from error

    def text(self, payload):
        self.raw(frame(TEXT, payload))
        self.sent.append(payload)

    def texts(self, payloads):
        """Many at once."""
        self.raw(b''.join(frame(TEXT, p) for p in payloads))
        self.sent.extend(payloads)

    def close(self, code, reason=b''):
        """In good order: our close frame, then theirs."""
        self.raw(frame(CLOSE, struct.pack('>H', code) + reason))
        self.ended.wait(20)

    def abort(self):
        """Not a word: a reset."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.stream.shutdown(socket.SHUT_RD)  # who listens lets go of it, which would keep it open
        self.ended.wait(20)
        self.stream.close()

    def end(self):
        """The end of the stream without a close frame."""
        self.stream.shutdown(socket.SHUT_WR)
        self.ended.wait(20)

    def wait_subscribed(self, count):
        end = time.monotonic() + 60
        while len(self.symbols) < count:
            if self.ended.is_set() or time.monotonic() > end:
                raise Gone()
            time.sleep(0.002)

    def wait_closed(self):
        """The code with which the client closes, or None where it just goes."""
        assert self.ended.wait(60), 'the client does not close'
        return self.close_code

    # Below: the wire.
    def read_request(self):
        head = b''
        while not head.endswith(b'\r\n\r\n'):
            byte = self.stream.recv(1)
            if not byte:
                raise Gone()
            head += byte
        lines = head.decode('latin-1').split('\r\n')
        self.target = lines[0].split(' ')[1]
        self.headers = {k.lower(): v.strip() for k, _, v in (line.partition(':') for line in lines[1:] if line)}

    def upgrade(self):
        self.raw(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                 b'Sec-WebSocket-Accept: ' + accept_key(self.headers['sec-websocket-key']).encode() + b'\r\n' + b'\r\n')
        threading.Thread(target=self._listen, daemon=True).start()

    def _exactly(self, count):
        data = b''
        while len(data) < count:
            block = self.stream.recv(count - len(data))
            if not block:
                raise Gone()
            data += block
        return data

    def _listen(self):
        try:
            while True:
                first, second = self._exactly(2)
                length = second & 127
                if length == 126:
                    length, = struct.unpack('>H', self._exactly(2))
                elif length == 127:
                    length, = struct.unpack('>Q', self._exactly(8))
                assert second & 128, 'a client masks what it sends'
                mask = self._exactly(4)
                payload = bytes(b ^ mask[i % 4] for i, b in enumerate(self._exactly(length)))
                self._heard(first & 15, payload)
        except (OSError, ValueError, Gone):
            pass
        self.ended.set()

    def _heard(self, opcode, payload):
        if opcode == TEXT:
            message = json.loads(payload)
            if message['type'] == 'subscribe':
                self.symbols.add(message['symbol'])
                self.subscriptions += 1
        elif opcode == PONG:
            self.pongs.append(payload)
        elif opcode == CLOSE:
            self.close_code = struct.unpack('>H', payload[:2])[0] if len(payload) >= 2 else 1005


class Venue:
    def __init__(self, script, answer=None, tls=None):
        """`answer`: bytes to answer the upgrade with instead, or a function that gives them (None: upgrade after all);
        `tls`: an ssl.SSLContext."""
        self.script, self.answer, self.tls = script, answer, tls
        self.connections, self.failures, self.attempts = [], [], []
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=16)
        self.address = '127.0.0.1:%d' % self.listener.getsockname()[1]
        self.threads = []
        self.accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self.accepting.start()
        return self

    def __exit__(self, kind, *unused):
        # The thread must have left the call before the number is free: a call that the kernel begins again would go to
        # whichever socket has got it since, such as the next venue's.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.accepting.join()
        self.listener.close()
        for connection in self.connections:
            try:
                connection.stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.ended.wait(10)
            connection.stream.close()
        for thread in self.threads:
            thread.join(10)
        if kind is None and self.failures:
            raise self.failures[0]

    def _accept(self):
        while True:
            try:
                stream, _ = self.listener.accept()
            except OSError:
                return
            self.attempts.append(time.monotonic())
            thread = threading.Thread(target=self._serve, args=(stream,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, stream):
        try:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                stream = self.tls.wrap_socket(stream, server_side=True)
            connection = Connection(len(self.connections) + 1, stream)
            connection.read_request()
            answer = self.answer(connection) if callable(self.answer) else self.answer
            if answer:
                connection.raw(answer)
                stream.close()
                return
            self.connections.append(connection)
            connection.upgrade()
            self.script(connection)
        except (Gone, OSError, ssl.SSLError):
            pass
        except BaseException as failure:
            self.failures.append(failure)
        finally:
            try:
                stream.close()
            except OSError:
                pass
