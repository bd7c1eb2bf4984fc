"""Checks the models: run.py [SENTENCE…]; each as it is, exhaustively, and with each rule left out, which must be found."""
import os, re, shutil, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'e2e'))
import tap

DEPTH = 5000  # steps; the longest path is far shorter, and one that is not is an error
SINGLE = ['-DNOREDUCE']  # one process: there is nothing to reduce

# Model, sizes that bound it, its sentence.
HOLDS = [
    ('commit', ['RECORDS=3', 'KILLS=0'], [], 'readers find whole records in order'),
    ('commit', ['RECORDS=2', 'KILLS=1'], [], 'readers find whole records in order across a kill'),
    ('commit', ['RECORDS=1', 'KILLS=2'], [], 'readers find whole records in order though recovery is killed too'),
    ('recovery', ['RECORDS=3', 'ENDS=2'], SINGLE, 'recovery keeps what was committed and synced'),
    ('recovery', ['RECORDS=1', 'ENDS=3'], SINGLE, 'recovery keeps what was committed and synced over three ends in a row'),
    ('publisher', ['TRADES=4', 'ENDS=2'], SINGLE, 'the filter sees each trade once and loses none'),
    ('publisher', ['TRADES=4', 'ENDS=1', 'AN_HOUR_OF_SILENCE'], SINGLE, 'the filter sees each trade once though the broker forgets the producer'),
]

# Model, what is left out, sizes, what is then violated, sentence.
C, R, P = ['RECORDS=2', 'KILLS=1'], ['RECORDS=3', 'ENDS=2'], ['TRADES=3', 'ENDS=2']
NOT_WHOLE = r'content!=255|position_in|content&15|length==1'
FOUND = [
    ('commit', 'COMMIT_NOT_RELEASED', C, NOT_WHOLE, 'a commit word that is not released'),
    ('commit', 'COMMIT_NOT_ACQUIRED', C, NOT_WHOLE, 'a commit word that is not acquired'),
    ('commit', 'NOT_CLEARED', C, NOT_WHOLE, 'a next word that is not cleared'),
    ('commit', 'CLEARED_AFTERWARDS', C, NOT_WHOLE, 'a next word that is cleared after the commit'),
    ('commit', 'SYMBOL_DEFINED_AFTERWARDS', C, 'symbol', 'a symbol that is defined behind its first use'),
    ('commit', 'NOT_RESTATED', C, 'symbol', 'a segment that does not restate its symbols'),
    ('commit', 'MAGIC_NOT_RELEASED', C, 'position|committed', 'a segment whose magic is not stored last'),
    ('commit', 'CLOSED_BEFORE_BEGUN', C, 'memory', 'a roll record before the next segment is begun'),
    ('commit', 'NOT_CLOSED', C, 'position==committed', 'a recovery that does not close what it found open'),
    ('commit', 'CLOSED_ONLY_AFTERWARDS', ['RECORDS=1', 'KILLS=3'], 'position==committed', 'a recovery that closes earlier segments last'),
    ('recovery', 'NOT_VERIFIED', R, 'is_bad|committed', 'a recovery that takes no checksums after a loss of power'),
    ('recovery', 'TRUSTED_AFTER_A_KILL', R, 'rebooted|is_bad', 'a recovery that trusts what an earlier boot left, since it was killed once'),
    ('recovery', 'CUT_AGAIN', R, 'rebooted', 'a recovery that does not see that it has cut already'),
    ('recovery', 'EPOCH_NOT_RAISED', R, 'given', 'an epoch that stays after a loss of power'),
    ('recovery', 'HEAD_NOT_SYNCED', R, 'given', 'a new epoch that is not synced before its first position is given away'),
    ('recovery', 'LEFT_UNSYNCED', R, r'is_closed|is_bad|synced_count|i==committed_count', 'what a killed life left unsynced'),
    ('recovery', 'LOST_HEADS_REFUSED', R, '0', 'a journal refused for a head that was lost with the power'),
    ('recovery', 'CHECKPOINT_BEFORE_SYNC', R, 'synced_count|checkpoint_segment', 'a checkpoint before what it says is synced'),
    ('recovery', 'CLOSED_ONLY_AFTERWARDS', ['RECORDS=1', 'ENDS=3'], 'is_closed', 'a recovery that closes earlier segments last, read from the disk'),
    ('recovery', 'DELETED_BY_WHAT_IS_NOT_SAVED', R, r'position_before\[oldest\]<=cursor', 'retention by cursors that are not saved'),
    ('recovery', 'DELETED_BEFORE_THE_NEXT_IS_SYNCED', R, 'current>oldest', 'retention that leaves no head that is synced'),
    ('publisher', 'NO_SCAN', P, 'killed_in_flight', 'a resume without the scan'),
    ('publisher', 'FOUND_IN_ANY_PARTITION', P, r'previous_of_first|last\[', 'a scan that takes one partition for another'),
    ('publisher', 'LAST_OF_WHAT_WAS_SENT', P, r'previous_of_first|last\[0\]', 'a cursor that takes what was sent for what was acknowledged'),
    ('publisher', 'CURSOR_BEFORE_ACKNOWLEDGEMENT', P, r'previous_of_first|last\[0\]', 'a cursor that is saved before the acknowledgement'),
    ('publisher', 'FIRST_NOT_ALONE', P, r'previous_of_first|last\[0\]', 'a first message that does not go alone'),
    ('publisher', 'AN_HOUR_OF_SILENCE NOT_ALONE_AFTER_SILENCE', ['TRADES=4', 'ENDS=1'], r'previous_of_first|last\[0\]', 'a first message after an hour that does not go alone'),
    ('publisher', 'PREVIOUS_OF_WHAT_WAS_SENT', P, r'previous_of_first|last\[0\]', 'a previous position that a rebuild does not take back'),
    ('publisher', 'ENDS_NOT_SAVED ENDS_TAKEN_AGAIN', P, 'killed_in_flight', 'end offsets that are not saved before the first message'),
    ('publisher', 'RAW_LOG_IS_EXACT', P, 'highest', 'a duplicate in the raw log, which is not promised away'),
]


def verify(model, defines, flags):
    """What the verifier said: (states, violated or None)."""
    compiler = next((c for c in ('gcc', 'cc', 'clang') if shutil.which(c)), None)
    if not shutil.which('spin') or not compiler:
        raise tap.Skip('spin or a C compiler is not installed: apt-get install spin gcc')
    with tempfile.TemporaryDirectory() as folder:
        def run(*command):
            done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False)
            assert done.returncode == 0, f'{" ".join(command)}: {done.stdout}'
            return done.stdout
        run('spin', '-a', *(f'-D{d}' for d in defines), os.path.join(HERE, model + '.pml'))
        run(compiler, '-O2', '-w', '-DSAFETY', '-DVECTORSZ=2048', '-DMEMLIM=4096', *flags, '-o', 'pan', 'pan.c')
        said = run('./pan', f'-m{DEPTH}', '-w22')
    for trouble in ('max search depth too small', 'out of memory', 'Search not completed'):
        if trouble in said and 'errors: 0' in said:
            raise AssertionError(said)
    violated = re.search(r'pan:\d+: (.*?) \(at depth', said)
    errors = int(re.search(r'errors: (\d+)', said)[1])
    assert (errors != 0) == bool(violated), said
    states = int(re.search(r'(\d+) states, stored', said)[1])
    print(f'# {model} {" ".join(defines)}: {states} states, depth {re.search("depth reached ([0-9]+)", said)[1]}'
          + (f', {violated[1]}' if violated else ''), flush=True)
    return states, violated and violated[1]


def holds(model, sizes, flags):
    def test():
        states, violated = verify(model, sizes, flags)
        assert not violated, violated
        assert states > 10000, 'too small to say anything'
    return test


def is_found(model, left_out, sizes, expected):
    def test():
        _, violated = verify(model, sizes + left_out.split(), [] if model == 'commit' else SINGLE)
        assert violated, 'nothing was found'
        assert re.search(expected, violated), f'found: {violated}'
    return test


tests = {}
for model, sizes, flags, sentence in HOLDS:
    tests[f'test_{model}: {sentence}'.replace(' ', '_')] = holds(model, sizes, flags)
for model, left_out, sizes, expected, sentence in FOUND:
    tests[f'test_{model}: {sentence} is found'.replace(' ', '_')] = is_found(model, left_out, sizes, expected)
tap.run(tests)
