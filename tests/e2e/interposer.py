"""What tests/e2e/interposer.cpp, put before a program, lets a test count and hold up."""
import mmap, os, struct, subprocess

from harness import MDPIPE

INTERPOSER = os.environ['MDPIPE_INTERPOSER_LIBRARY']
THREADS = ('feed', 'aggregate', 'store')


class Interposer:
    """The memory that tests/e2e/interposer.cpp shares with us."""
    FRAMES = 12

    def __init__(self, directory):
        self.path = f'{directory}/interposer'
        with open(self.path, 'wb') as out:
            out.write(bytes(4096))
        with open(self.path, 'r+b') as file:
            self.memory = mmap.mmap(file.fileno(), 4096)
        self.environment = {'LD_PRELOAD': INTERPOSER, 'MDPIPE_INTERPOSER': self.path}

    def set(self, counting=0, store_hangs=0, names_hang=0, feed_fails_once=0):
        struct.pack_into('<IIII', self.memory, 0, counting, store_hangs, names_hang, feed_fails_once)

    def jump(self, seconds):
        """The wall clock is so far off from now on."""
        struct.pack_into('<q', self.memory, 16 + 48 + len(THREADS) * self.FRAMES * 8, seconds)

    def counts(self):
        numbers = struct.unpack_from('<6Q', self.memory, 16)
        return dict(zip(THREADS, numbers[:3])), dict(zip(THREADS, numbers[3:]))

    def first(self, thread):
        at = 16 + 48 + THREADS.index(thread) * self.FRAMES * 8
        addresses = [hex(a) for a in struct.unpack_from(f'<{self.FRAMES}Q', self.memory, at) if a]
        return subprocess.run(['addr2line', '-Cfpe', MDPIPE, *addresses], capture_output=True, text=True).stdout
