/** The applications under test as command lines: `--` and what follows it at `linker` or `dev`. */
import { fileURLToPath } from 'node:url';

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export const COUNTING_APP = [process.execPath, path('counting-app.mjs')];
export const BREATHING_APP = [process.execPath, path('breathing-app.mjs')];
export const WS_ECHO_APP = [process.execPath, path('ws-echo.mjs')];
export const SINGLE_THREADED_APP = ['python3', path('single_threaded.py')];

/** For NODE_OPTIONS: the process' clock is wrong by SKEW_MS. */
export const SKEWED_CLOCK = `--import=${path('skewed-clock.mjs')}`;
