/** Keeps the declarations of what the package exports; those of its inside are nobody's business. */
import { cp, rm } from 'node:fs/promises';

await cp('dist/types/pull', 'dist/pull', { recursive: true });
await rm('dist/types', { recursive: true });
