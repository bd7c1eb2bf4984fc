"""Clients that know nothing of mdpipe receive a session from `mdreplay serve`, byte for byte: Python's websockets and
websocket-client, Node's ws, each as its users use it."""
import asyncio, json, os, shutil, ssl, subprocess

import tap
from harness import *

# Debian's modules for Node lie where only Debian's own node looks.
NODE_MODULES = '/usr/share/nodejs'
NODE_CLIENT = '''
const WebSocket = require('ws');
const [url, authority, symbols] = process.argv.slice(1);
const options = authority ? {ca: require('fs').readFileSync(authority)} : {};
const client = new WebSocket(url, options);
const messages = [];
const end = (outcome) => process.stdout.write(JSON.stringify({messages, outcome}), () => process.exit());
client.on('open', () => JSON.parse(symbols).forEach(symbol => client.send(JSON.stringify({type: 'subscribe', symbol}))));
client.on('message', (data, isBinary) => messages.push((isBinary ? 'binary:' : '') + data.toString('base64')));
client.on('unexpected-response', (request, response) => end(response.statusCode));
client.on('error', error => end(String(error)));
client.on('close', code => end(code));
'''


def _tls(authority):
    return ssl.create_default_context(cafile=authority) if authority else None


def _websockets(url, authority, symbols):
    import websockets

    async def talk():
        messages = []
        try:
            async with websockets.connect(url, ssl=_tls(authority)) as client:
                for symbol in symbols:
                    await client.send(json.dumps({'type': 'subscribe', 'symbol': symbol}))
                while True:
                    messages.append((await client.recv()).encode())
        except websockets.exceptions.ConnectionClosed as closed:
            return messages, closed.rcvd.code
        except websockets.exceptions.InvalidHandshake as refused:  # which says it in another place since version 14
            return messages, refused.response.status_code if hasattr(refused, 'response') else refused.status_code
    return asyncio.run(talk())


def _websocket_client(url, authority, symbols):
    import websocket
    messages = []
    try:
        client = websocket.create_connection(url, timeout=PATIENCE_S, sslopt={'ca_certs': authority} if authority else {})
    except websocket.WebSocketBadStatusException as refused:
        return messages, refused.status_code
    for symbol in symbols:
        client.send(json.dumps({'type': 'subscribe', 'symbol': symbol}))
    while True:
        opcode, data = client.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            client.close()
            return messages, int.from_bytes(data[:2], 'big')
        assert opcode == websocket.ABNF.OPCODE_TEXT, opcode
        messages.append(data)


def _ws(url, authority, symbols):
    import base64
    done = subprocess.run(['node', '-e', NODE_CLIENT, url, authority or '', json.dumps(symbols)], capture_output=True, text=True,
                          timeout=PATIENCE_S, env={**os.environ, 'NODE_PATH': NODE_MODULES})
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return [base64.b64decode(message, validate=True) for message in said['messages']], said['outcome']


def _present():
    """Those of them that are installed; it is scripts/setup.sh that installs all."""
    found = {}
    for module, name, talk in [('websockets', 'websockets', _websockets), ('websocket', 'websocket-client', _websocket_client)]:
        try:
            __import__(module)
            found[name] = talk
        except ImportError:
            pass
    if shutil.which('node') and os.path.isdir(f'{NODE_MODULES}/ws'):
        found['ws'] = _ws
    if len(found) < 3:
        raise tap.Skip(f'only {sorted(found)} are here; scripts/setup.sh installs them')
    return found


def _session(directory, trades):
    path = f'{directory}/session.jsonl'
    run(MDREPLAY, 'generate', '--symbols', 40, '--trades', trades, '--seed', 17, '-o', path)
    with open(path, 'rb') as lines:
        frames = [line[line.index(b'"frame":') + 8:-2] for line in lines]
    return path, frames, list(dict.fromkeys(symbol for symbol, _ in session_trades(path)))


def _receive(scheme, serve_options=(), authority=None, trades=20000):
    clients = _present()
    with folder() as directory:
        path, frames, symbols = _session(directory, trades)
        for name, talk in clients.items():
            log = f'{directory}/{name}.log'
            venue, address = serve(path, '--speed', 'max', '--once', '--log', log, *serve_options)
            with venue:
                messages, outcome = talk(f'{scheme}://{address}/?token=any', authority, symbols)
                venue.wait()
            for place, (got, sent) in enumerate(zip(messages, frames)):
                assert got == sent, f'{name}, message {place}: {got}, not {sent}'
            assert len(messages) == len(frames), f'{name}: {len(messages)} of {len(frames)}'
            assert outcome == 1000, f'{name}: {outcome}'
            print(f'# {name}: {len(messages)} messages, {sum(map(len, messages))} bytes, closed with {outcome}')


def test_each_client_receives_the_session_whole_and_is_closed_in_good_order():
    _receive('ws')


def test_each_client_receives_the_session_whole_over_tls():
    with folder() as directory:
        authority, certificate, key = private_ca(directory)
        _receive('wss', ['--tls-cert', certificate, '--tls-key', key], authority, trades=5000)


def test_each_client_receives_the_session_whole_in_fragments_and_drop_by_drop():
    with folder() as directory:
        faults = f'{directory}/faults.toml'
        with open(faults, 'w') as out:
            out.write('[[fault]]\nkind = "fragment"\nrate = 0.2\n\n[[fault]]\nkind = "drip"\nrate = 0.005\nbytes = 20\nevery_ms = 1\n\n'
                      '[[fault]]\nkind = "stall"\ntrade = 900\nseconds = 0.2\n\n[[fault]]\nkind = "slow"\nrate = 1\nseconds = 0.2\n')
        _receive('ws', ['--faults', faults], trades=5000)


def test_each_client_is_refused_with_401_where_its_token_is_wrong():
    clients = _present()
    with folder() as directory:
        path, frames, symbols = _session(directory, 500)
        for name, talk in clients.items():
            venue = Process(MDREPLAY, 'serve', path, '--speed', 'max', '--once', '--listen', '127.0.0.1:0', env={'FINNHUB_API_KEY': 'right'})
            with venue:
                address = venue.wait_for(r'(127\.0\.0\.1:\d+)')
                assert talk(f'ws://{address}/?token=wrong', None, symbols) == ([], 401), name
                assert talk(f'ws://{address}/?token=right', None, symbols) == (frames, 1000), name
                venue.wait()


tap.run(globals())
