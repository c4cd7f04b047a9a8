/**
 * How many times longer tests wait where the machine may be slow and busy: a limit of a test says that something hangs, and on CI three
 * or four test files share two processors. Costs no time in a run in which everything comes.
 */
export const PATIENCE = process.env.CI === 'true' ? 3 : 1;
