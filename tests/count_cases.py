"""Counts the cases of a run of scripts/test.sh: count_cases.py RESULTS SHARED

RESULTS holds JUnit files that meson wrote with its exit codes, and *.result files of single steps. Where SHARED is not empty, a case that skipped for
want of it has failed. The last line is "N passed, N failed, N skipped"; exit 1 where one failed or nothing ran."""
import glob, os, sys
import xml.etree.ElementTree as xml


def main():
    results, shared = sys.argv[1], sys.argv[2]
    passed, failed, skipped = 0, [], []
    for path in glob.glob(os.path.join(results, '*.result')):
        with open(path, encoding='utf-8') as text:
            if text.read().strip() == 'passed':
                passed += 1
            else:
                failed.append(os.path.basename(path)[:-len('.txt.result')])
    for path in sorted(glob.glob(os.path.join(results, '*.xml'))):
        for suite in xml.parse(path).getroot().iter('testsuite'):
            cases = list(suite.iter('testcase'))
            for case in cases:
                name = f'{os.path.basename(path)[:-4]}: {suite.get("name")}: {case.get("classname") or ""} {case.get("name")}'
                if case.find('failure') is not None or case.find('error') is not None:
                    failed.append(name)
                elif case.find('skipped') is not None:
                    why = ' '.join(case.find('skipped').itertext()) + (case.find('skipped').get('message') or '')
                    said = why + ' '.join(t.text or '' for t in case.iter('system-out'))
                    (failed if shared and 'MDPIPE_SHARED' in said else skipped).append(f'{name} (skipped: {why.strip()})')
                else:
                    passed += 1
        # A program that died or was stopped has no failed case: meson's exit code tells.
        name = os.path.basename(path)[:-4]
        with open(path[:-4] + '.exit', encoding='utf-8') as text:
            if text.read().strip() != '0' and not any(one.startswith(name + ': ') for one in failed):
                failed.append(f'{name}: a program ended before its end (see above)')
    for name in skipped:
        print('skipped', name)
    for name in failed:
        print('FAILED', name)
    print(f'{passed} passed, {len(failed)} failed, {len(skipped)} skipped')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
