/** Commands for whoever operates a cluster, beside `status` and `route`. */
import { command } from './command-spec.ts';
import { filePath, redisUrls, yesNo } from './kinds.ts';
import { onOff, optional, setting } from './settings.ts';

export const INSPECT = command({
  name: 'inspect',
  summary: 'explains what Redis holds, and finds what contradicts itself',
  usage: ['[ROUTE] [--redis URL] [--json]'],
  about:
    "Reads every key of pullproxy's in Redis, changes none, says what each is for, and looks for inconsistencies: nodes that are gone, counts that do not add up, clients that wait although slots are free, a queue that starts nothing. With ROUTE it shows what is stored of that route. Ends with 1 when something is broken.",
  settings: {
    redis: setting('redis', redisUrls, 'redis://127.0.0.1:6379', 'the Redis to look into'),
    json: onOff('json', yesNo, 'print JSON'),
    config: optional('config', filePath, 'YAML file with these settings; a flag or an environment variable beats it'),
  },
  tail: 'none',
  operands: true,
  routes: false,
  examples: [
    ['pullproxy inspect', 'all keys, and what is wrong with them'],
    ['pullproxy inspect app.example.com', 'what is stored of one route'],
  ],
});

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export const COMPLETION = command({
  name: 'completion',
  summary: 'prints a script with which a shell completes commands, flags and values',
  usage: [`${SHELLS.join(' | ')}`],
  about: 'Load it in the file that your shell reads when it starts, or put it where the shell looks for such scripts.',
  settings: {},
  tail: 'none',
  operands: true,
  routes: false,
  examples: [
    ['source <(pullproxy completion bash)', 'in ~/.bashrc'],
    ['source <(pullproxy completion zsh)', 'in ~/.zshrc, after compinit'],
    ['pullproxy completion fish > ~/.config/fish/completions/pullproxy.fish', 'once'],
  ],
});
