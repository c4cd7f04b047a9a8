import { fileURLToPath } from 'node:url';

/** The code of the product. */
export const SOURCE = fileURLToPath(new URL('../../../src', import.meta.url));
