/** The corpus, and what once broke something: all of it holds. npm run fuzz looks for more. */
import { expect, test } from '@jest/globals';
import { readInputs, TARGETS } from './corpus.ts';
import { mutate, randomOf } from './mutate.ts';

const MUTANTS = 1_500;
/** Through real sockets. */
const SOCKETS_MUTANTS = 60;

test.each(TARGETS.map((target) => [target.name, target] as const))(
  '%s holds for whatever is on file, and for some that is like it',
  async (name, target) => {
    const inputs = [...target.seeds, ...readInputs('corpus', name), ...readInputs('crashes', name)];
    expect(inputs.length).toBeGreaterThan(0);
    try {
      for (const input of inputs) await target.run(input);
      const random = randomOf(1);
      const any = (): Buffer => inputs[Math.floor(random() * inputs.length)] as Buffer;
      const mutants = target.pace === 'sockets' ? SOCKETS_MUTANTS : MUTANTS;
      for (let i = 0; i < mutants; i++) await target.run(mutate(any(), any(), target.words, random, target.lines));
    } finally {
      await target.restart?.();
    }
  },
);
