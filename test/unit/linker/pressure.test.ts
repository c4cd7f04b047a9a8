/** What the files of a control group say about the application. */
import { expect, test } from '@jest/globals';
import { type GroupFiles, groupDirectory, pressureOf } from '../../../src/linker/pressure.ts';

const NOTHING: GroupFiles = { memoryMax: null, memoryCurrent: null, memoryStat: null, memoryPressure: null, cpuPressure: null };

function psi(some: string, full: string): string {
  const rest = 'avg60=0.00 avg300=0.00 total=12';
  return `some avg10=${some} ${rest}\nfull avg10=${full} ${rest}\n`;
}

test.each<[string, Partial<GroupFiles>, string]>([
  ['a group without files', {}, 'none'],
  ['no limit of memory', { memoryMax: 'max\n', memoryCurrent: '99999999999\n' }, 'none'],
  ['half of its memory', { memoryMax: '1000\n', memoryCurrent: '500\n' }, 'none'],
  ['most of its memory', { memoryMax: '1000\n', memoryCurrent: '900\n' }, 'no more'],
  ['all of its memory', { memoryMax: '1000\n', memoryCurrent: '990\n' }, 'less'],
  [
    'all of its memory, most of it files',
    { memoryMax: '1000\n', memoryCurrent: '990\n', memoryStat: 'anon 290\ninactive_file 700\n' },
    'none',
  ],
  ['waits for memory', { memoryPressure: psi('12.34', '3.00') }, 'no more'],
  ['stalls for memory', { memoryPressure: psi('30.00', '10.50') }, 'less'],
  ['waits for a processor now and then', { cpuPressure: psi('55.00', '0.00') }, 'none'],
  ['waits for a processor all the time', { cpuPressure: psi('93.00', '0.00') }, 'no more'],
  ['garbage', { memoryMax: 'x', memoryCurrent: '-', memoryStat: '\0', memoryPressure: 'some avg10=much ', cpuPressure: '' }, 'none'],
  ['no memory at all', { memoryMax: '0\n', memoryCurrent: '0\n' }, 'none'],
])('%s', (_name, files, expected) => {
  expect(pressureOf({ ...NOTHING, ...files })).toBe(expected);
});

const UNIFIED = '25 1 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup rw';

test.each<[string, string, string, string | null]>([
  ['of a service', '0::/system.slice/app.service\n', UNIFIED, '/sys/fs/cgroup/system.slice/app.service'],
  [
    'beside those of version 1',
    '4:memory:/a\n0::/b\n',
    `1 1 0:1 / /sys/fs/cgroup/memory rw - cgroup c rw,memory\n${UNIFIED}`,
    '/sys/fs/cgroup/b',
  ],
  ['in a container, which sees its own as the root', '0::/\n', UNIFIED, '/sys/fs/cgroup'],
  [
    'of which a part is mounted',
    '0::/docker/abc/app\n',
    '25 1 0:22 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw',
    '/sys/fs/cgroup/app',
  ],
  ['that is mounted nowhere', '0::/other\n', '25 1 0:22 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw', null],
  ['of version 1 only', '4:memory:/a\n', UNIFIED, null],
  ['of a process that is gone', '', UNIFIED, null],
])('the directory of a group %s', (_name, cgroup, mountinfo, expected) => {
  expect(groupDirectory(cgroup, mountinfo)).toBe(expected);
});
