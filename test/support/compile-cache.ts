/** Where processes of tests find the source stripped of its types and compiled; `npm test` names the same place. */
import { fileURLToPath } from 'node:url';

export const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/node', import.meta.url));
