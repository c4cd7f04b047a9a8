/** A unit test that takes seconds is broken; one that starts containers, processes or a browser needs its time. */
import { expect, jest } from '@jest/globals';

jest.setTimeout(expect.getState().testPath?.includes('/test/unit/') ? 20_000 : 90_000);
