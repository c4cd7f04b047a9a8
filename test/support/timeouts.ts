/** Far more than any test takes on a quiet machine: a busy one is no reason to fail. */
import { expect, jest } from '@jest/globals';

jest.setTimeout(expect.getState().testPath?.includes('/test/unit/') ? 60_000 : 120_000);

// On CI one more attempt, said in its log: these tests run real processes beside each other on few cores. What is broken fails twice.
if (process.env.CI === 'true') jest.retryTimes(1, { logErrorsBeforeRetry: true });
