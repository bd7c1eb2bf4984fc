"""The README keeps its word: the demonstrations run, and every option that it or a help text's example names exists."""
import os, re, subprocess

import tap
from harness import *

BUILD = os.path.dirname(os.path.dirname(MDPIPE))


def _demo(*arguments):
    done = subprocess.run([f'{SOURCE}/scripts/demo.sh', *arguments], capture_output=True, text=True, env={**os.environ, 'BUILD': BUILD})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for wanted in ('published           20,000  = trades', 'stored              20,000  = trades', '"trade_count":', 'trades_2024-03-15.jsonl'):
        assert wanted in done.stdout, f'{wanted} is not in\n{done.stdout}'


def test_the_demonstration_needs_nothing_but_the_checkout():
    _demo()


def test_the_demonstration_runs_on_a_real_kafka():
    _demo('--kafka')


def _help(program, command):
    return subprocess.run([program, *command, '--help'], capture_output=True, text=True).stdout


def test_every_command_and_option_in_the_documents_exists():
    checked = 0
    for document in ('README.md', 'docs/coming-from-python.md'):
        with open(f'{SOURCE}/{document}', encoding='utf-8') as text:
            blocks = re.findall(r'```sh\n(.*?)```', text.read(), re.S)
        for line in '\n'.join(blocks).replace('\\\n', ' ').splitlines():
            for program, path in (('mdpipe', MDPIPE), ('mdreplay', MDREPLAY)):
                for call in re.findall(rf'(?:^|[/\s]){program} ([^|&>#]*)', line):
                    words = call.split()
                    command = []
                    for word in words:
                        if not re.fullmatch(r'[a-z]+', word) or len(command) == 2:
                            break
                        command.append(word)
                    said = _help(path, command)
                    assert said, f'{document}: {program} {command}'
                    for option in re.findall(r'(?<!\S)(--?[a-zA-Z][\w-]*)', call):
                        assert re.search(rf'(?<![\w-]){re.escape(option)}(?![\w-])', said), f'{document}: {program} {" ".join(command)} has no {option}'
                        checked += 1
            for script in re.findall(r'(scripts/\w+\.sh)', line):
                assert os.access(f'{SOURCE}/{script}', os.X_OK), f'{document}: {script}'
                checked += 1
    assert checked > 20, checked


tap.run(globals())
