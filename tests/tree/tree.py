"""What the tree promises to its readers: who may include whom, headers that stand alone, files of a readable size, one style."""
import concurrent.futures, os, re, shutil, subprocess

import tap

ROOT = os.environ['MDPIPE_SOURCE_ROOT']

# A room → the rooms that it may name. base and event are there for everybody behind them.
ROOMS = {
    'base': set(),
    'event': {'base'},
    'feed': {'base', 'event'},
    'journal': {'base', 'event'},
    'kafka': {'base', 'event'},
    'ops': {'base'},
    'runner': {'base', 'event', 'journal'},
    'stage': {'base', 'event', 'kafka'},
    'wiring': {'base', 'event', 'feed', 'journal', 'kafka', 'ops', 'runner', 'stage'},
}
# Within stage/, Kafka is publish's alone.
KAFKA_STAGE = re.compile(r'/publish[_.]')
# An outside library, by how its headers begin → where it may be named.
LIBRARIES = {
    'librdkafka/': {'src/kafka', 'tests/support', 'bench/replay'},
    'simdjson': {'src/feed', 'replay', 'bench/feed'},
    'boost/beast': {'src/feed', 'src/ops', 'replay', 'tests'},
    'boost/asio': {'src/feed', 'src/ops', 'replay', 'tests'},
    'boost/multiprecision': {'src/stage', 'tests/stage'},
    'boost/lockfree': {'bench'},
    'openssl/': {'src/feed', 'replay', 'tests'},
    'spdlog/': {'src/ops'},
    'prometheus/': {'src/ops'},
    'toml++/': {'src/wiring', 'replay'},
    'CLI/': {'src/wiring', 'tools', 'replay', 'tests/wiring'},
    'concurrentqueue/': {'src/stage', 'bench'},
    'readerwriterqueue/': {'bench'},
    'rapidjson/': {'bench'},
    'isa-l/': {'replay'},
    'zlib': {'replay', 'tests'},
    'zstd': {'replay', 'tests'},
    'xxhash': {'replay'},
    'benchmark/': {'bench'},
    'gtest/': {'tests'},
    'gmock/': {'tests'},
}
TOP = {'.ci', '.clang-format', '.clang-tidy', '.git', '.gitignore', 'LICENSE', 'README.md', 'bench', 'docs', 'include', 'meson.build',
       'meson_options.txt', 'replay', 'scripts', 'src', 'tests', 'tools'}
LINES_MAX = 500


def tracked():
    listed = subprocess.run(['git', '-C', ROOT, 'ls-files', '-z'], capture_output=True, check=True).stdout.decode()
    return [path for path in listed.split('\0') if path and os.path.exists(os.path.join(ROOT, path))]


def sources():
    return [path for path in tracked() if path.endswith(('.cpp', '.hpp'))]


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as text:
        return text.read()


def includes(path):
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', read(path), re.M)


def room_of(path):
    found = re.match(r'(?:src|include/mdpipe)/(\w+)/', path)
    return found.group(1) if found else None


def none_of(complaints):
    assert not complaints, '\n'.join(complaints)


def test_a_room_includes_only_the_rooms_that_it_may():
    complaints = []
    for path in sources():
        room = room_of(path)
        for include in includes(path):
            found = re.match(r'mdpipe/(\w+)/', include)
            if not room or not found or found.group(1) == room:
                continue
            if found.group(1) not in ROOMS[room] or (room == 'stage' and found.group(1) == 'kafka' and not KAFKA_STAGE.search(path)):
                complaints.append(f'{path} includes {include}')
    none_of(complaints)


def test_private_headers_are_included_in_their_own_room_only():
    # Of the tests, faults and fuzz look into whatever room they try.
    private = {os.path.basename(path): room_of(path) for path in sources() if path.startswith('src/') and path.endswith('.hpp')}
    complaints = []
    for path in sources():
        for include in includes(path):
            owner = private.get(os.path.basename(include)) if '/' not in include else None
            here = room_of(path) or (path.split('/')[1] if path.startswith(('tests/', 'bench/')) else None)
            beside = os.path.exists(os.path.join(ROOT, os.path.dirname(path), include))
            if owner and not beside and here not in (owner, 'faults', 'fuzz'):
                complaints.append(f'{path} includes {include} of {owner}')
    none_of(complaints)


def test_an_outside_library_is_named_only_where_it_belongs():
    complaints = []
    for path in sources():
        for include in includes(path):
            for library, places in LIBRARIES.items():
                if include.startswith(library) and not any(path.startswith(place + '/') for place in places):
                    complaints.append(f'{path} includes {include}')
    none_of(complaints)


def test_every_public_header_compiles_alone():
    command = os.environ.get('CXX', 'c++').split()
    headers = [path for path in sources() if path.startswith('include/')]
    assert headers

    def compile_alone(path):
        done = subprocess.run([*command, '-std=c++20', '-fsyntax-only', '-Wall', '-Wextra', '-Werror', '-I', f'{ROOT}/include',
                               '-x', 'c++', '-'], input=f'#include "{path[len("include/"):]}"\n', capture_output=True, text=True)
        return '' if done.returncode == 0 else f'{path}:\n{done.stderr[-2000:]}'
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        none_of([complaint for complaint in pool.map(compile_alone, headers) if complaint])


def test_no_source_file_is_longer_than_a_sitting():
    none_of([f'{path} has {lines} lines' for path in tracked() if path.endswith(('.cpp', '.hpp', '.py', '.sh', '.build'))
             for lines in [read(path).count('\n')] if lines > LINES_MAX])


def test_nothing_lies_at_the_top_that_is_not_expected_there():
    none_of([entry for entry in {path.split('/')[0] for path in tracked()} if entry not in TOP])


def test_every_header_says_what_it_is_for():
    none_of([f'{path} begins with neither a \\file comment nor a // comment' for path in sources() if path.endswith('.hpp')
             and not re.match(r'#pragma once\n(/// \\file\n///|//)', read(path))])


def test_every_fault_that_must_be_survived_has_a_test():
    rows = re.findall(r'^\| (\d+) \| .* \| `(\S+)` (\w+) \|$', read('tests/faults/README.md'), re.M)
    none_of([f'row {row}: {path} has no {name}' for row, path, name in rows if path not in tracked() or name not in read(path)])
    none_of([f'row {row} has no test' for row in [*range(11, 36), *range(40, 43)] if str(row) not in {row for row, _, _ in rows}])


def test_shell_scripts_are_clean():
    if not shutil.which('shellcheck'):
        raise tap.Skip('shellcheck is not installed')
    scripts = [path for path in tracked() if path.endswith('.sh') or path == '.ci/run']
    done = subprocess.run(['shellcheck', *scripts], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_code_is_formatted():
    tool = shutil.which('clang-format-16') or shutil.which('clang-format')
    if not tool:
        raise tap.Skip('clang-format is not installed')
    done = subprocess.run([tool, '--dry-run', '-Werror', *sources()], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]


tap.run(globals())
