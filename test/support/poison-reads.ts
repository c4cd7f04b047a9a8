/**
 * Code that uses bytes of a socket after their event without having kept them finds them overwritten. Tests in this process have it always;
 * `npm run test:poisoned` preloads this file in every process that they start.
 */
import { poisonReads } from '../../src/memory/reused-reads.ts';

poisonReads();
