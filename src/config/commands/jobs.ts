import { command } from '../command-spec.ts';
import { yesNo } from '../kinds.ts';
import { onOff } from '../settings.ts';
import { EVERYWHERE, REDIS } from './common-settings.ts';

export const JOBS = command({
  name: 'jobs',
  summary: 'lists startup jobs, tries one again, removes one',
  usage: ['list | retry ID | remove ID   [--json] [--redis URL]'],
  about:
    'A startup job is an order for instances of one route. One that failed, or that waits for its next try, can be tried again now; one that does not run can be removed: clients that still wait order another one. Ends with 1 when that is not possible.',
  settings: {
    redis: REDIS,
    json: onOff('json', yesNo, 'print JSON'),
    ...EVERYWHERE,
  },
  tail: 'none',
  operands: true,
  routes: false,
  examples: [
    ['pullproxy jobs list', 'running ones first'],
    ['pullproxy jobs retry 17', 'what its command lacked is there now'],
  ],
});
