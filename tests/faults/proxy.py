"""A proxy between a Kafka client and a broker, that knows frames, and Produce from the inside.

    with Proxy(broker_port) as proxy:      # the broker advertises proxy.port: --set advertised.listeners=…
        proxy.rule = lambda request: Lose() if request.produce else None
        proxy.cut()

A rule is asked for every request, in the proxy's thread, and says what becomes of it: None passes it on. Besides, everything
can be cut, delayed, swallowed or refused. Frames: length i32, then key i16, version i16, correlation i32 of a request,
correlation i32 of a response (big-endian)."""
import asyncio, collections, socket, struct, threading

PRODUCE = 0
NOT_LEADER_OR_FOLLOWER, TOPIC_AUTHORIZATION_FAILED, INVALID_TIMESTAMP, OUT_OF_ORDER_SEQUENCE_NUMBER = 6, 29, 32, 45

Answer = collections.namedtuple('Answer', 'error')                  # with this error, and the broker never sees it
AppendAndAnswer = collections.namedtuple('AppendAndAnswer', 'error')  # with this error, though the broker has taken it
Lose = collections.namedtuple('Lose', '')                           # the broker takes it; its answer is lost with the connection
Hold = collections.namedtuple('Hold', '')                           # the broker gets it at release(), also when the client is gone

Batch = collections.namedtuple('Batch', 'topic partition producer_id base_sequence count')


class Request:
    def __init__(self, link, frame):
        self.link, self.frame = link, frame
        self.key, self.version, self.correlation = struct.unpack_from('>hhi', frame)
        self.produce = self._batches() if self.key == PRODUCE else []

    def _batches(self):
        assert 5 <= self.version <= 7, f'Produce version {self.version}: not of the form that is read here'
        at = 8

        def take(form):
            nonlocal at
            values = struct.unpack_from('>' + form, self.frame, at)
            at += struct.calcsize('>' + form)
            return values[0] if len(values) == 1 else values

        def text():
            nonlocal at
            length = take('h')
            value = self.frame[at:at + max(length, 0)].decode()
            at += max(length, 0)
            return value
        text()  # client
        text()  # transaction
        take('hi')  # acks, time-out
        batches = []
        for _ in range(take('i')):
            topic = text()
            for _ in range(take('i')):
                partition, length = take('ii')
                producer_id, _, base_sequence, count = struct.unpack_from('>qhii', self.frame, at + 43)
                batches.append(Batch(topic, partition, producer_id, base_sequence, count))
                at += length
        return batches

    def refusal(self, error):
        topics = collections.OrderedDict()
        for batch in self.produce:
            topics.setdefault(batch.topic, []).append(batch.partition)
        body = struct.pack('>ii', self.correlation, len(topics))
        for topic, partitions in topics.items():
            body += struct.pack('>h', len(topic)) + topic.encode() + struct.pack('>i', len(partitions))
            body += b''.join(struct.pack('>ihqqq', partition, error, -1, -1, -1) for partition in partitions)
        return body + struct.pack('>i', 0)


class Link:
    """One client's connection and ours to the broker for it."""

    def __init__(self, proxy, client, broker):
        self.proxy, self.client, self.broker = proxy, client, broker  # (reader, writer) each
        self.answers = {}  # correlation → what becomes of the answer
        self.held = []
        self.client_gone = False

    async def run(self):
        requests = asyncio.ensure_future(self._requests())
        responses = asyncio.ensure_future(self._responses())
        await asyncio.wait([requests, responses], return_when=asyncio.FIRST_COMPLETED)
        self.client_gone = True
        while self.held and not responses.done():
            await asyncio.sleep(0.01)
        if self.proxy.released and not responses.done():
            await asyncio.wait([responses], timeout=1)  # the broker would drop what comes with the end of the connection
        requests.cancel()
        responses.cancel()
        self.close()

    async def _frames(self, reader):
        while True:
            try:
                length, = struct.unpack('>i', await reader.readexactly(4))
                frame = await reader.readexactly(length)
            except (asyncio.IncompleteReadError, OSError):
                return
            if self.proxy.delay_s:
                await asyncio.sleep(self.proxy.delay_s)
            if not self.proxy.swallow:
                yield frame

    def send(self, writer, frame):
        if not writer.is_closing():
            writer.write(struct.pack('>i', len(frame)) + frame)

    async def _requests(self):
        async for frame in self._frames(self.client[0]):
            request = Request(self, frame)
            fate = self.proxy.ask(request)
            if isinstance(fate, Answer):
                self.send(self.client[1], request.refusal(fate.error))
            elif isinstance(fate, Hold):
                self.held.append(request)
            else:
                if isinstance(fate, AppendAndAnswer):
                    self.answers[request.correlation] = request.refusal(fate.error)
                elif isinstance(fate, Lose):
                    self.answers[request.correlation] = None
                self.send(self.broker[1], frame)

    async def _responses(self):
        async for frame in self._frames(self.broker[0]):
            correlation, = struct.unpack_from('>i', frame)
            frame = self.answers.pop(correlation, frame)
            if frame is None:
                self.proxy.lost += 1
                self.close()
                return
            if not self.client_gone:
                self.send(self.client[1], frame)

    def release(self):
        for request in self.held:
            self.send(self.broker[1], request.frame)
        self.held.clear()

    def close(self):
        for _, writer in (self.client, self.broker):
            if writer.transport is not None:
                writer.transport.abort()


class Proxy:
    def __init__(self, broker_port=None):
        self.broker_port = broker_port
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.rule = None       # Request → fate
        self.swallow = False   # nothing comes through, and nobody is told
        self.refuse = False    # no new connections
        self.delay_s = 0       # of each frame
        self.lost = 0          # answers of which the broker knows and the client does not
        self.released = False
        self.failures = []     # of the rule
        self.links = set()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *unused):
        self._soon(self._stop)
        self.thread.join(10)
        if kind is None and self.failures:
            raise self.failures[0]

    def ask(self, request):
        try:
            return self.rule(request) if self.rule else None
        except Exception as failure:  # the test's, which must hear of it
            self.failures.append(failure)
            return None

    def cut(self):
        """Every connection breaks now."""
        self._soon(lambda: [link.close() for link in list(self.links)])

    def release(self):
        """What is held goes to the broker, before what is asked next: the rule ends."""
        def do():
            self.rule, self.released = None, True
            for link in list(self.links):
                link.release()
        self._soon(do)

    def held(self):
        return sum(len(link.held) for link in list(self.links))

    def _soon(self, function):
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (function(), done.set()))
        assert done.wait(10), 'the proxy hangs'

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self._serve, sock=self.listener))
        self.loop.run_forever()

    def _stop(self):
        for link in list(self.links):
            link.close()
        self.listener.close()
        self.loop.call_later(0.05, self.loop.stop)

    async def _serve(self, reader, writer):
        if self.refuse:
            writer.transport.abort()
            return
        try:
            broker = await asyncio.open_connection('127.0.0.1', self.broker_port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(self, (reader, writer), broker)
        self.links.add(link)
        try:
            await link.run()
        except asyncio.CancelledError:
            pass
        finally:
            link.close()
            self.links.discard(link)
