import { command } from '../command-spec.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export const COMPLETION = command({
  name: 'completion',
  summary: 'prints a script that completes commands, flags and values in a shell',
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
