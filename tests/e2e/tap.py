"""A test file as sentences: every function called test_… is one, run in order, told in TAP (which meson reads).

A test fails by an exception (assert), skips by raising Skip with the reason."""
import os, re, sys, time, traceback


class Skip(Exception):
    """What is needed is not here."""


def shared(*parts):
    """A path below the shared references, or Skip where they are absent."""
    root = os.environ.get('MDPIPE_SHARED') or os.path.join(os.environ['MDPIPE_SOURCE_ROOT'], '..', 'shared')
    path = os.path.join(root, *parts)
    if not os.path.exists(path):
        raise Skip(f'MDPIPE_SHARED: there is no {os.path.join(*parts)} in it')
    return path


def run(namespace):
    only = sys.argv[1:]
    tests = [(name, function) for name, function in namespace.items() if name.startswith('test_') and callable(function)]
    tests = [t for t in tests if not only or any(re.search(o, t[0]) for o in only)]
    print('TAP version 13')
    print(f'1..{len(tests)}', flush=True)
    failed = 0
    for number, (name, function) in enumerate(tests, 1):
        sentence = name[5:].replace('_', ' ')
        begin = time.monotonic()
        try:
            function()
        except Skip as reason:
            print(f'ok {number} {sentence} # SKIP {reason}', flush=True)
        except BaseException:
            failed += 1
            for line in traceback.format_exc().splitlines():
                print('# ' + line)
            print(f'not ok {number} {sentence}', flush=True)
        else:
            print(f'# {time.monotonic() - begin:.1f} s')
            print(f'ok {number} {sentence}', flush=True)
    sys.exit(1 if failed else 0)
