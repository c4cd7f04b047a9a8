const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Beyond this `setTimeout` fires at once instead of late, so no setting may reach it. */
export const LONGEST_TIMER_MS = 24 * 3_600_000;

/** `250ms`, `30s`, `5m`, `1h` in milliseconds; null when `text` is not a duration. The unit is never guessed. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,12})(ms|s|m|h)$/.exec(text.trim());
  if (match === null) return null;
  return Number(match[1]) * (UNIT_MS[match[2] ?? ''] ?? Number.NaN);
}

/** The shortest form that `parseDuration` reads back as the same number. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  for (const unit of ['h', 'm', 's']) {
    const size = UNIT_MS[unit] ?? 1;
    if (ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}
