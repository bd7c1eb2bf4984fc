"""How well mdreplay serve keeps its schedule: its own report beside a second process that notes when the kernel had received
each frame (SO_TIMESTAMPNS), and beside the machine's floor (a bare clock_nanosleep and spin).

  pacing.py SESSION [--from T] [--to T] [--speed N]...     seconds are those of the session over the speed

Before a number counts its answer is proven: every frame of the session came, in as many text frames. Columns: late by p50,
p99 and max as reported, p99 by the kernel's stamps, drift, frames late by more than 1 ms, processor time of mdreplay in
percent of a core (all its threads, start and reading included).
"""
import argparse, gzip, json, math, os, re, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('MDPIPE_BUILD', f'{ROOT}/build-bench')
MDREPLAY = f'{BUILD}/replay/mdreplay'


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def schedule(session, begin_ns, end_ns):
    """Schedule times of capture or frame lines, as mdreplay --help has them: the running maximum of the receive times, or where
    none was recorded, of the latest exchange time in each frame."""
    latest, times = -math.inf, []
    with gzip.open(session, 'rt') as lines:
        for line in lines:
            frame = json.loads(line)
            time_ns = frame['recv_ns'] if 'recv_ns' in frame else max(trade['t'] for trade in frame['data']) * 1_000_000
            latest = max(latest, time_ns)
            if begin_ns <= time_ns < end_ns:
                times.append(latest)
    return times


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


def measure(prefix, arguments, speed, precise, symbols, times):
    with tempfile.TemporaryDirectory() as folder:
        report = f'{folder}/report.json'
        command = [*prefix, MDREPLAY, 'serve', arguments.session, '--speed', speed, '--once', '--quiet', '--listen', '127.0.0.1:0', '--report', report]
        for name in ('from', 'to'):
            if getattr(arguments, name + '_'):
                command += ['--' + name, getattr(arguments, name + '_')]
        venue = subprocess.Popen(command + ['--precise'] * precise, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        port = re.search(r':(\d+)\s*$', venue.stdout.readline()).group(1)
        begin = time.monotonic()
        with open(f'{folder}/times', 'w+') as received:
            receiver = subprocess.Popen([f'{BUILD}/bench/replay/receive_times', port, *symbols], stdout=received)
            _, status, used = os.wait4(venue.pid, 0)
            seconds = time.monotonic() - begin
            receiver.wait()
            received.seek(0)
            stamps = [int(line) for line in received]
        assert status == 0, status
        with open(report) as file:
            said = json.load(file)
    assert len(stamps) == len(times) == said['frames_sent'] == said['late_ns']['frames'], (len(stamps), len(times), said['frames_sent'])
    zero = said['first_due_unix_ns']
    kernel = [stamp - (zero + (due - times[0]) / float(speed)) for stamp, due in zip(stamps, times)]
    late = said['late_ns']
    print(f"{'precise' if precise else 'sleep':8} x{speed:4} {len(times):7} frames in {said['sending_seconds']:7.2f} s  "
          f"p50 {late['p50'] / 1e3:7.1f}  p99 {late['p99'] / 1e3:7.1f}  max {late['max'] / 1e3:8.1f} us   kernel: p50 {quantile(kernel, .5) / 1e3:7.1f}  "
          f"p99 {quantile(kernel, .99) / 1e3:7.1f} us   drift {said['drift']['ns_per_s']:8.2f} ns/s   over 1 ms {said['late']['frames']:4}  "
          f"core {(used.ru_utime + used.ru_stime) / seconds * 100:5.1f} %", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('session')
    parser.add_argument('--from', dest='from_')
    parser.add_argument('--to', dest='to_')
    parser.add_argument('--speed', action='append')
    arguments = parser.parse_args()
    limits = []  # epoch seconds, as given
    for text, otherwise in ((arguments.from_, -math.inf), (arguments.to_, math.inf)):
        limits.append(float(text) * 1e9 if text else otherwise)
    prefix = os.environ.get('PACING_PREFIX', '').split()
    symbols = output(MDREPLAY, 'info', arguments.session, '--list-symbols').split()
    times = schedule(arguments.session, *limits)
    for spin in ([], ['--spin']):
        floor = json.loads(output(*prefix, f'{BUILD}/bench/replay/wait_floor', '4', '200', *spin))
        print(f"floor: clock_nanosleep{' and spin' if spin else '':9}  p50 {floor['p50'] / 1e3:7.1f}  p99 {floor['p99'] / 1e3:7.1f}  max "
              f"{floor['max'] / 1e3:8.1f} us   core {floor['core_percent']} %", flush=True)
    for speed in arguments.speed or ['1']:
        for precise in (True, False):
            measure(prefix, arguments, speed, precise, symbols, times)


if __name__ == '__main__':
    sys.exit(main())
