"""A real Apache Kafka behind TLS, and behind TLS with a password (PLAIN, SCRAM-SHA-512): everything that speaks to it comes in, and
where it may not, the reason is said in words, nothing is lost and no password is told."""
import contextlib, json, os, signal

import tap
from harness import *

PASSWORD = 'canary-behind-the-door'
# librdkafka before 2.6.1 cannot speak SCRAM to Kafka 4, which takes no repeated nonce any more; this one takes it.
TAKES_SCRAM_OF_ALL = '3.9.1'

_resources = contextlib.ExitStack()
_secured = {}


class Secured:
    """One broker with many ways in: open (for those who judge), TLS, TLS with a certificate of the client's own, TLS with a
    password, and TLS at an address that its certificate does not name."""

    def __init__(self, version):
        tap.shared('oracle', 'topic.py')
        self.directory = _resources.enter_context(folder())
        self.ca, certificate, key = private_ca(self.directory)
        self.client = certificate, key
        for name, parts in {'store.pem': (key, certificate), 'trust.pem': (self.ca,)}.items():
            with open(f'{self.directory}/{name}', 'w', encoding='utf-8') as out:
                for part in parts:
                    with open(part, encoding='utf-8') as text:
                        out.write(text.read())
        broker = Broker(self.directory, users=[f'mdpipe:{PASSWORD}'], version=version)
        first = free_ports(4)
        while {*range(first, first + 4)} & {broker.port, broker.port + 1000}:  # chosen, and not taken yet
            first = free_ports(4)
        self.at = {'PLAINTEXT': broker.bootstrap, 'TLS': f'127.0.0.1:{first}', 'MUTUAL': f'127.0.0.1:{first + 1}',
                   'PASSWORD': f'127.0.0.1:{first + 2}', 'ELSEWHERE': f'127.0.0.2:{first + 3}'}
        listeners = ','.join(f'{name}://{address}' for name, address in self.at.items())
        login = 'org.apache.kafka.common.security.{} required'
        store = ['ssl.keystore.type=PEM', f'ssl.keystore.location={self.directory}/store.pem', 'ssl.truststore.type=PEM',
                 f'ssl.truststore.location={self.directory}/trust.pem']
        settings = [f'listeners={listeners},CONTROLLER://127.0.0.1:{broker.port + 1000}', f'advertised.listeners={listeners}',
                    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,MUTUAL:SSL,ELSEWHERE:SSL,PASSWORD:SASL_SSL', *store,
                    'inter.broker.listener.name=PLAINTEXT', 'listener.name.mutual.ssl.client.auth=required', 'sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512',
                    f'listener.name.password.scram-sha-512.sasl.jaas.config={login.format("scram.ScramLoginModule")};',
                    f'listener.name.password.plain.sasl.jaas.config={login.format("plain.PlainLoginModule")} user_mdpipe="{PASSWORD}";']
        broker.settings += [word for setting in settings for word in ('--set', setting)]
        self.open = _resources.enter_context(broker).bootstrap
        self.count = 0

    def tls(self):
        return ['--kafka', self.at['TLS'], '-X', 'security.protocol=ssl', '-X', f'ssl.ca.location={self.ca}']

    def mutual(self):
        certificate, key = self.client
        return ['--kafka', self.at['MUTUAL'], '-X', 'security.protocol=ssl', '-X', f'ssl.ca.location={self.ca}',
                '-X', f'ssl.certificate.location={certificate}', '-X', f'ssl.key.location={key}']

    def password(self, mechanism, password=PASSWORD, user='mdpipe'):
        """By a file, as a password is: it is not for an argv."""
        path = f'{self.directory}/{mechanism}-{user}-{len(password)}.properties'
        with open(path, 'w', encoding='utf-8') as out:
            out.write(f'security.protocol=SASL_SSL\nssl.ca.location={self.ca}\nsasl.mechanism={mechanism}\n'
                      f'sasl.username={user}\nsasl.password={password}\n')
        os.chmod(path, 0o600)
        return ['--kafka', self.at['PASSWORD'], '--kafka-config', path]

    def topics(self):
        """Options for topics of one test's own, which are there."""
        self.count += 1
        names = [f'{name}-{self.count}' for name in ('raw', 'metrics', 'alerts', 'dead')]
        options = [word for pair in zip(['--raw-topic', '--metrics-topic', '--alerts-topic', '--dead-letter-topic'], names) for word in pair]
        return names[0], options


def _broker(version=None):
    if version not in _secured:
        _secured[version] = Secured(version)
    return _secured[version]


def _session(directory):
    path = f'{directory}/session.jsonl.gz'
    run(MDREPLAY, 'generate', '--symbols', 12, '--trades', 3000, '--seed', 5, '-o', path)
    return path


def _everything_comes_in(broker, way):
    raw, topics = broker.topics()
    with folder() as directory:
        session = _session(directory)
        run(MDPIPE, 'topics', 'create', *way, *topics)
        run(MDPIPE, 'topics', 'check', *way, *topics)
        venue, address = serve(session, '--speed', 'max', '--once')
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--once', *way, *topics) as pipe:
            pipe.wait()
        judged = ['--bootstrap', broker.open, '--topic', raw, session]
        print('# ' + oracle('topic.py', '--no-duplicates', *judged).strip())
        run(MDPIPE, 'store', *way, '--topic', raw, '--group', f'store-{raw}', '--dead-letter-topic', topics[-1], '--until-end',
            '--store', f'{directory}/again', '--listen', 'none')
        oracle('store.py', f'{directory}/again', session)
        said = run(MDPIPE, 'tail', *way, '--topic', raw, '--from', 'earliest', '--until-end', '--json', '--listen', 'none')
        lines = [line for line in said.splitlines() if line.startswith('{')]
        assert len(lines) == len(list(session_trades(session))), len(lines)
        said = run(MDREPLAY, 'kafka', session, *way, '--topic', raw, '--speed', 'max')
        assert f'{len(lines):,}' in said, said


def test_over_tls_with_a_ca_of_its_own_every_command_comes_in():
    _everything_comes_in(_broker(), _broker().tls())


def test_with_a_certificate_of_the_clients_own_every_command_comes_in():
    _everything_comes_in(_broker(), _broker().mutual())


def test_with_a_password_in_a_file_every_command_comes_in():
    _everything_comes_in(_broker(), _broker().password('PLAIN'))


def test_with_a_password_that_is_never_sent_every_command_comes_in():
    broker = _broker(TAKES_SCRAM_OF_ALL)
    _everything_comes_in(broker, broker.password('SCRAM-SHA-512'))


def _refusals(broker):
    return {
        'a CA that nobody knows': (['--kafka', broker.at['TLS'], '-X', 'security.protocol=ssl'], 'certificate verify failed'),
        'a name that the certificate does not have': (
            [word.replace(broker.at['TLS'], broker.at['ELSEWHERE']) for word in broker.tls()], 'certificate verify failed'),
        'no certificate of the client': (
            ['--kafka', broker.at['MUTUAL'], '-X', 'security.protocol=ssl', '-X', f'ssl.ca.location={broker.ca}'], 'certificate'),
        'a wrong password': (broker.password('PLAIN', 'wrong-' + PASSWORD), 'uthentication failed'),
        'a wrong password that is never sent': (broker.password('SCRAM-SHA-512', 'wrong-' + PASSWORD), 'uthentication failed'),
        'a user that is not there': (broker.password('PLAIN', user='nobody'), 'uthentication failed'),
        'plain words to a broker that wants TLS': (['--kafka', broker.at['TLS']], 'security.protocol'),
        'TLS to a broker that wants plain words': (
            ['--kafka', broker.open, '-X', 'security.protocol=ssl', '-X', f'ssl.ca.location={broker.ca}'], 'SSL'),
    }


def test_whoever_may_not_come_in_is_told_why_and_no_password_is_said():
    broker = _broker()
    _, topics = broker.topics()
    refusals = _refusals(broker)
    with contextlib.ExitStack() as together:  # each waits for its time-out
        asked = {what: together.enter_context(Process(MDPIPE, 'topics', 'check', *way, *topics)) for what, (way, _) in refusals.items()}
        for what, process in asked.items():
            said = process.wait(3)
            print(f'# {what}: {said.strip()}')
            assert refusals[what][1] in said, f'{what}: {said}'
            assert PASSWORD not in said, said


def test_a_run_that_may_not_come_in_journals_on_says_why_and_publishes_all_when_the_door_is_opened():
    broker = _broker()
    raw, topics = broker.topics()
    with folder() as directory:
        session = _session(directory)
        run(MDPIPE, 'topics', 'create', '--kafka', broker.open, *topics)
        symbols = symbols_file(directory, session)
        wrong, right = broker.password('PLAIN', 'wrong-' + PASSWORD), broker.password('PLAIN')
        venue, address = serve(session, '--speed', 'max', '--once')
        with venue, mdpipe_run(directory, address, '--symbols', symbols, '--drain', 0, *wrong, *topics) as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('the reason', lambda: 'uthentication failed' in get(health, '/healthz')[1])
            status, body = get(health, '/healthz')
            assert status == 200 and json.loads(body)['status'] == 'degraded', body
            venue.wait()
            pipe.signal(signal.SIGTERM)
            said = body + pipe.wait()
        assert PASSWORD not in said, said
        with mdpipe_run(directory, '127.0.0.1:1', '--symbols', symbols, *right, *topics) as pipe:
            health = pipe.wait_for(r'health=([0-9.:]+)')
            until('all published', lambda: metric(health, 'mdpipe_journal_lag', cursor='publish') == 0)
            pipe.signal(signal.SIGTERM)
            pipe.wait()
        print('# ' + oracle('topic.py', '--no-duplicates', '--bootstrap', broker.open, '--topic', raw, session).strip())


with _resources:
    tap.run(globals())
