import { command } from '../command-spec.ts';
import { yesNo } from '../kinds.ts';
import { onOff } from '../settings.ts';
import { EVERYWHERE, REDIS } from './common-settings.ts';

export const STATUS = command({
  name: 'status',
  summary: 'shows nodes, routes and instances',
  usage: ['[--redis URL] [--json] [--watch] [--exit-code]'],
  about: 'Prints the state of the cluster as the nodes wrote it to Redis: troubles first, then routes, nodes, startup jobs and instances.',
  settings: {
    redis: REDIS,
    json: onOff('json', yesNo, 'print JSON, in the form of /api/v1/state'),
    watch: onOff('watch', yesNo, 'print again each second; on a terminal like top, until q or Ctrl-C'),
    exitCode: onOff(
      'exit-code',
      yesNo,
      'end with 3 when something is an error, with 4 when there are only warnings, with 0 when nothing is wrong; without it 0 in all three cases. 1 is that Redis does not answer',
    ),
    ...EVERYWHERE,
  },
  tail: 'none',
  operands: false,
  routes: false,
  check: ({ watch, exitCode }) => (watch && exitCode ? ['--exit-code true: expected no --watch with it'] : []),
  examples: [
    ['pullproxy status --watch', 'a live picture'],
    ['pullproxy status --json', 'for scripts'],
    ['pullproxy status --exit-code > /dev/null', 'is all well?'],
  ],
});
