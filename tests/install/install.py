"""`meson install` gives what a user needs: binaries that run, headers and mdpipe.pc with which a stage of one's own is built."""
import decimal, json, os, subprocess

import tap
from harness import MDPIPE, SOURCE, folder, mdpipe_run, run, serve, session_trades, symbols_file

BUILD = os.environ['MDPIPE_BUILD_ROOT']


def output(*command, env=None):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=env)
    assert done.returncode == 0, f'{command}:\n{done.stdout}\n{done.stderr}'
    return done.stdout


def test_a_stage_built_outside_the_tree_against_the_installed_files_reads_a_journal():
    with folder() as directory:
        prefix = output('meson', 'introspect', '--buildoptions', BUILD)
        prefix = next(option['value'] for option in json.loads(prefix) if option['name'] == 'prefix')
        output('meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet', env={**os.environ, 'DESTDIR': directory})
        installed = directory + prefix
        libraries = next(d for d, _, names in os.walk(installed) if 'mdpipe.pc' in names)
        environment = {**os.environ, 'PKG_CONFIG_PATH': libraries}
        flags = output('pkg-config', '--define-variable=prefix=' + installed, '--cflags', '--libs', 'mdpipe', env=environment).split()

        for name in ('mdpipe', 'mdreplay'):
            assert output(f'{installed}/bin/{name}', '--version').startswith(name + ' ')
        binary = f'{directory}/largest_trades'
        source = f'{SOURCE}/tests/install/largest_trades.cpp'
        output(*os.environ['CXX'].split(), '-std=c++20', '-O1', source, '-o', binary, *flags)

        session = f'{directory}/session.jsonl.gz'
        run(f'{installed}/bin/mdreplay', 'generate', '--symbols', 8, '--trades', 3000, '--seed', 5, '-o', session)
        venue, address = serve(session, '--speed', 'max', '--once')
        with venue, mdpipe_run(directory, address, '--symbols', symbols_file(directory, session), '--kafka', 'none', '--once') as pipe:
            pipe.wait()
        want = {}
        for symbol, text in session_trades(session):
            size = json.loads(text, parse_float=decimal.Decimal, parse_int=decimal.Decimal)['v']
            want[symbol] = max(size, want.get(symbol, decimal.Decimal(0)))
        got = dict(line.rsplit(' ', 1) for line in output(binary, f'{directory}/journal').splitlines())
        assert {symbol: decimal.Decimal(size) for symbol, size in got.items()} == want


tap.run(globals())
