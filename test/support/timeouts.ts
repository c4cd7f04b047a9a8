/** Far more than any test takes on a quiet machine: a busy one is no reason to fail. */
import { expect, jest } from '@jest/globals';

jest.setTimeout(expect.getState().testPath?.includes('/test/unit/') ? 60_000 : 120_000);
