import { describe, expect, test } from '@jest/globals';
import { Birth, ColdStageCounters, serverTiming } from '../../../../src/node/matching/cold-start.ts';

describe('where the time of a cold start went', () => {
  test('adds up to all of it', () => {
    const arrivedAt = performance.now() - 1_000;
    const birth = new Birth();
    birth.begun({ jobAgeMs: 900, commandAgeMs: 700 });
    birth.readyAt = performance.now() + 50;
    const firstByteAt = birth.readyAt + 5;
    const stages = birth.stages(arrivedAt, firstByteAt);
    expect(Object.keys(stages ?? {})).toEqual(['job', 'command', 'linked', 'ready', 'first_byte']);
    expect(Object.values(stages ?? {}).reduce((sum, ms) => sum + ms)).toBeCloseTo(firstByteAt - arrivedAt, 5);
    expect(stages?.command).toBeCloseTo(200, 0);
    expect(stages?.first_byte).toBeCloseTo(5, 5);
  });

  test('leaves out what nobody knows', () => {
    const birth = new Birth();
    birth.readyAt = performance.now();
    expect(Object.keys(birth.stages(performance.now() - 100, performance.now()) ?? {})).toEqual(['linked', 'ready', 'first_byte']);
  });

  test('of a client that came when the job was taken already begins with what it waited for', () => {
    const birth = new Birth();
    birth.begun({ jobAgeMs: 900, commandAgeMs: 700 });
    birth.readyAt = performance.now() + 50;
    const arrivedAt = performance.now() - 300;
    const stages = birth.stages(arrivedAt, birth.readyAt + 1);
    expect([stages?.job, stages?.command]).toEqual([0, 0]);
    expect(stages?.linked).toBeLessThanOrEqual(301);
  });

  test('is nothing for a client that came later', () => {
    const birth = new Birth();
    expect(birth.stages(0, 1)).toBeNull();
    birth.readyAt = 10;
    expect(birth.stages(20, 30)).toBeNull();
  });

  test('is told as a header, and counted by stage', () => {
    expect(serverTiming({ job: 1.04, first_byte: 20 })).toBe('Server-Timing: pullproxy-job;dur=1.0, pullproxy-first_byte;dur=20.0\r\n');
    const counters = new ColdStageCounters();
    counters.observe({ job: 20, first_byte: 2 });
    expect(counters.histograms.job.sum).toBeCloseTo(0.02);
    expect(counters.histograms.command.sum).toBe(0);
  });
});
