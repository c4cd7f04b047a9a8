/** Puts beside the compiled files what the compiler does not carry over: Lua scripts and the dashboard's files. */
import { cp } from 'node:fs/promises';

await cp('src', 'dist', { recursive: true, filter: (path) => !path.endsWith('.ts') });
