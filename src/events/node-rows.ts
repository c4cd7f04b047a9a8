/** Lines about nodes and workers. */
import { happened, MINUTE, type Row, wrong } from './row.ts';

export const NODE_ROWS: Readonly<Record<string, Row>> = {
  ready: happened('started', () => 'started', ['namesake']),
  'worker ready': happened('started', () => 'a worker started', ['worker_died', 'worker_hangs', 'worker_start']),
  draining: happened('draining', () => 'was told to leave'),
  over: happened('stopped', () => 'has left in order'),
  'worker over': happened('stopped', () => 'a worker has left in order'),
  'asked to leave': happened('leave_asked', () => 'was asked to leave'),
  'all workers were restarted': happened('workers_restarted', () => 'all workers were restarted'),
  'a worker has left: another one takes its place': happened('worker_left', () => 'a worker has left: another one takes its place'),
  'a node stopped beating: removing what it had registered': {
    ...wrong(
      'error',
      'node_lost',
      (say) =>
        `node ${say('node')} stopped beating: ${say('held')} held clients, ${say('active')} requests and ${say('links')} links went with it`,
      'It was killed, or is cut off from Redis. What went through it is lost, its linkers dial the other nodes.',
      0,
    ),
  },
  'a node that was missing is back': happened('node_back', (say) => `node ${say('node')} is back`),
  'a missing node was forgotten': happened('node_forgotten', (say) => `an operator said that node ${say('node')} does not come back`),
  'another node beats with the id of this one: give each an id of its own (--id)': wrong(
    'error',
    'namesake',
    (say) => `two nodes have the id ${say('id')}; the other one started at ${say('started')}`,
    'What one of them says the other one contradicts. Give each an id of its own (--id).',
    90_000,
  ),
  'internal error': wrong(
    'error',
    'internal_error',
    (say) => `internal error (${say('where')}): ${say('err')}`,
    'A fault in pullproxy. Only what it happened in has ended. The log has its stack: please report it.',
    15 * MINUTE,
  ),
  'ending because of an internal error': wrong(
    'error',
    'ended_by_fault',
    (say) => `ends because of an internal error: ${say('why')}`,
    'A fault in pullproxy. Is it started again? The log has the stack: please report it.',
    15 * MINUTE,
  ),
  'a worker can not be started; trying again': wrong(
    'error',
    'worker_start',
    (say) => `a worker can not be started: ${say('err')}`,
    'It is tried again.',
  ),
  'a worker has died: another one takes its place': wrong(
    'error',
    'worker_died',
    (say) => `worker ${say('worker')} has died (${say('signal')}${say('code')})`,
    'Another one takes its place. Its log says why.',
  ),
  'a worker hangs: it is killed': wrong(
    'error',
    'worker_hangs',
    (say) => `worker ${say('worker')} hung and was killed`,
    'Another one takes its place.',
  ),
  'the clocks are far apart': wrong(
    'warning',
    'clocks_apart',
    (say) => `its clock is ${say('differenceMs')} ms away from that of Redis`,
    'Times in logs and on this page do not fit together, and certificates may be taken for invalid. Set the clock by NTP.',
  ),
  'a certificate expires soon': wrong(
    'warning',
    'certificate_expires',
    (say) => `the certificate of ${say('of')} (${say('subject')}) expires in ${say('days')} days`,
    'Renew it. The node reads the new file by itself.',
    2 * MINUTE,
  ),
  'a certificate has expired': wrong(
    'error',
    'certificate_expired',
    (say) => `the certificate of ${say('of')} (${say('subject')}) has expired: clients refuse it`,
    'Renew it. The node reads the new file by itself.',
    2 * MINUTE,
  ),
};
