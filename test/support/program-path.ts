/** What tests start as pullproxy. */
import { fileURLToPath } from 'node:url';

/** The source, for tests that need its modules: preloads that look for them, and containers in which nothing else is. */
export const SOURCE = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** The same in few files, which starts in half the processor time: bundle-program.mjs makes it before the tests. Without Jest it is the source. */
export const MAIN = process.env.TEST_PROGRAM ?? SOURCE;
