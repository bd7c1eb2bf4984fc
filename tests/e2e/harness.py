"""Processes, sockets and folders for tests that use mdpipe as a user does."""
import contextlib, gzip, json, os, random, re, shutil, signal, socket, subprocess, sys, tempfile, threading, time

import tap

SOURCE = os.environ['MDPIPE_SOURCE_ROOT']
MDPIPE = os.environ['MDPIPE_BINARY']
MDREPLAY = os.environ['MDREPLAY_BINARY']
# Sanitizers and a loaded machine are slow: no test asserts a time, all wait for what must come, this long.
PATIENCE_S = float(os.environ.get('MDPIPE_TEST_PATIENCE_S', '120'))
# Whoever runs the tests in the background, or by nohup, ignores these; what a program makes of them is tested.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
PYTHON = '/usr/bin/python3'  # Debian's, which has confluent_kafka


@contextlib.contextmanager
def folder():
    path = tempfile.mkdtemp(prefix='mdpipe-e2e-')
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def until(what, condition, patience_s=None):
    """Waits for a condition; its first true value. Fails with what it waited for."""
    end = time.monotonic() + (patience_s or PATIENCE_S)
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f'waited in vain for {what}')


class Process:
    """A program, its output gathered line by line; killed at the end of a with block if it still runs."""

    def __init__(self, *command, env=None):
        self.command = [str(c) for c in command]
        # A token or a broker of whoever runs the tests is none of their business.
        clean = {k: v for k, v in os.environ.items() if not k.startswith(('FINNHUB_', 'KAFKA_BOOTSTRAP', 'MDPIPE_FEED'))}
        clean.update(env or {})
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=clean)
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.decode(errors='replace').rstrip('\n'))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()

    @property
    def output(self):
        return '\n'.join(self.lines)

    def find(self, pattern):
        for line in list(self.lines):
            found = re.search(pattern, line)
            if found:
                return found.group(1) if found.groups() else found.group(0)
        return None

    def wait_for(self, pattern):
        def look():
            found = self.find(pattern)
            if not found and self.process.poll() is not None:
                self.reader.join()
                found = self.find(pattern)
                assert found, f'{self.command[:3]} ended with {self.process.returncode} before /{pattern}/:\n{self.output}'
            return found
        return until(f'/{pattern}/ from {self.command[:3]}\n{self.output}', look)

    def wait(self, expect=0):
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'{self.command[:3]} does not end:\n{self.output[-4000:]}')
        self.reader.join()
        assert expect is None or code == expect, f'{self.command} ended with {code}, not {expect}:\n{self.output[-4000:]}'
        return self.output

    def signal(self, number):
        self.process.send_signal(number)


def catches(pid, number):
    """Whether a process has a handler for this signal."""
    with open(f'/proc/{pid}/status', encoding='ascii') as status:
        return int(re.search(r'SigCgt:\s+([0-9a-f]+)', status.read()).group(1), 16) >> (number - 1) & 1


def run(*command, expect=0, env=None):
    with Process(*command, env=env) as process:
        return process.wait(expect)


def serve(*arguments):
    """mdreplay serve on a port of its own; (process, HOST:PORT)."""
    venue = Process(MDREPLAY, 'serve', *arguments, '--listen', '127.0.0.1:0')
    return venue, venue.wait_for(r'(127\.0\.0\.1:\d+)')


def mdpipe_run(directory, address, *arguments, scheme='ws', journal=None, store=None, env=None):
    return Process(MDPIPE, 'run', '--feed', f'{scheme}://{address}', '--journal', journal or f'{directory}/journal',
                   '--store', store or f'{directory}/trades', '--listen', '127.0.0.1:0', *arguments, env=env)


def get(address, path):
    """(status, body) of an HTTP GET."""
    host, port = address.rsplit(':', 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f'GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n'.encode())
        answer = b''
        while True:
            block = connection.recv(65536)
            if not block:
                break
            answer += block
    head, _, body = answer.partition(b'\r\n\r\n')
    return int(head.split()[1]), body.decode()


def metric(address, name, **labels):
    """The value of one Prometheus sample, or None."""
    for line in get(address, '/metrics')[1].splitlines():
        if line.startswith(name) and line[len(name):len(name) + 1] in ('{', ' '):
            if all(f'{k}="{v}"' in line for k, v in labels.items()):
                return float(line.rsplit(' ', 1)[1])
    return None


def session_trades(path):
    """Symbol and text of every trade of a session of our own making, sliced out by a decoder that keeps positions."""
    decoder = json.JSONDecoder()
    with (gzip.open if path.endswith('.gz') else open)(path, 'rt', encoding='utf-8', newline='\n') as lines:
        for line in lines:
            line = line.rstrip('\n')
            if '"data"' not in line:
                continue
            frame = json.loads(line)
            frame = frame.get('frame', frame)
            if frame.get('type') != 'trade':
                continue
            at = line.index('[', line.index('"data"')) + 1
            for _ in frame['data']:
                while line[at] in ' \t,\r':
                    at += 1
                trade, end = decoder.raw_decode(line, at)
                yield trade['s'], line[at:end]
                at = end


def store_lines(directory):
    """Every line of the store's files, file by file in order of name."""
    for name in sorted(os.listdir(f'{directory}/trades')):
        if name.startswith('trades_'):
            with open(f'{directory}/trades/{name}', encoding='utf-8', newline='\n') as lines:
                yield from (line.rstrip('\n') for line in lines)


def by_symbol_and_date(texts):
    """Trades in their order, as the store promises it: that of the journal for each symbol within each UTC date."""
    result = {}
    for text in texts:
        trade = json.loads(text)
        result.setdefault((trade['s'], trade['t'] // 86_400_000), []).append(text)
    return result


def symbols_file(directory, session):
    path = f'{directory}/symbols.txt'
    with open(path, 'w', encoding='utf-8') as out:
        for symbol in dict.fromkeys(symbol for symbol, _ in session_trades(session)):
            out.write(symbol + '\n')
    return '@' + path


def free_ports(count):
    """The first of so many ports in a row that nobody listens on; below those that the kernel gives to connections: a client
    that tries again and again to reach a dead broker there would in the end be connected with itself, and hold its port."""
    while True:
        first = random.SystemRandom().randrange(20000, 30000)
        with contextlib.ExitStack() as probes:
            try:
                for node in range(count):
                    for port in (first + node, first + node + 1000):  # the controllers'
                        probes.enter_context(socket.create_server(('127.0.0.1', port)))
                return first
            except OSError:
                continue


class Broker:
    """A real Apache Kafka on ports of its own, by scripts/kafka.sh; `settings`: KEY=VALUE lines of its configuration; `users`:
    NAME:PASSWORD of those who may come in by SCRAM; `version`: of Kafka, another than the usual one."""

    def __init__(self, directory, *settings, nodes=1, users=(), version=None):
        self.settings = [word for setting in settings for word in ('--set', setting)]
        self.settings += [word for user in users for word in ('--user', user)] + (['--version', version] if version else [])
        self.nodes = nodes
        self.port = free_ports(nodes)
        self.data = f'{directory}/kafka'
        self.bootstrap = ','.join(f'127.0.0.1:{self.port + node}' for node in range(nodes))

    def command(self, verb):
        return run(f'{SOURCE}/scripts/kafka.sh', verb, '--port', self.port, '--nodes', self.nodes, '--data', self.data, *self.settings)

    def kill(self, node=1):
        """kill -9 of one node; `start` brings it back."""
        with open(f'{self.data}/node-{node}/pid') as pid_file:
            pid = int(pid_file.read())
        with open(f'/proc/{pid}/cmdline', 'rb') as command_line:
            assert f'{self.data}/node-{node}/'.encode() in command_line.read()
        os.kill(pid, signal.SIGKILL)
        until('the end of the broker', lambda: not _answers(self.port + node - 1))

    def __enter__(self):
        self.command('start')
        return self

    def __exit__(self, *unused):
        self.command('stop')


def _answers(port):
    try:
        socket.create_connection(('127.0.0.1', port), timeout=10).close()
        return True
    except OSError:
        return False


def oracle(name, *arguments, expect=0):
    return run(PYTHON, tap.shared('oracle', name), *arguments, expect=expect)


def private_ca(directory):
    """A certificate authority of one test's own and a certificate for 127.0.0.1: (ca, certificate, key)."""
    def openssl(*arguments):
        run('openssl', *arguments)
    ca, ca_key = f'{directory}/ca.pem', f'{directory}/ca.key'
    certificate, key, request = f'{directory}/venue.pem', f'{directory}/venue.key', f'{directory}/venue.csr'
    extension = f'{directory}/extension'
    with open(extension, 'w') as out:
        out.write('subjectAltName=IP:127.0.0.1,DNS:localhost\n')
    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', ca_key, '-out', ca, '-days', '2', '-subj', '/CN=test CA')
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', request, '-subj', '/CN=test venue')
    openssl('x509', '-req', '-in', request, '-CA', ca, '-CAkey', ca_key, '-CAcreateserial', '-out', certificate,
            '-days', '2', '-extfile', extension)
    return ca, certificate, key
