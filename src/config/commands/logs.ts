import { command } from '../command-spec.ts';
import { yesNo } from '../kinds.ts';
import { onOff } from '../settings.ts';
import { EVERYWHERE, REDIS } from './common-settings.ts';

export const LOGS = command({
  name: 'logs',
  summary: 'shows what the startup commands of a route wrote',
  usage: ['ROUTE [--follow] [--json] [--redis URL]'],
  about:
    'Prints the last runs of the startup command of a route, oldest first: when each ended, how, and the end of its output, as startup jobs keep it (the whole output is in the --output-dir of the scaler). What the application itself writes is where your scheduler keeps it.',
  settings: {
    redis: REDIS,
    follow: onOff('follow', yesNo, 'go on with further runs as they end, until Ctrl-C'),
    json: onOff('json', yesNo, 'print one line of JSON for each run'),
    ...EVERYWHERE,
  },
  tail: 'none',
  operands: true,
  routes: false,
  examples: [
    ['pullproxy logs app.example.com', 'why do its starts fail?'],
    ['pullproxy logs app.example.com --follow', 'and the next ones'],
  ],
});
