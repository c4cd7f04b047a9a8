/** One thing that was looked at. */
export interface Check {
  readonly area: 'machine' | 'redis' | 'configuration' | 'nodes';
  readonly state: 'ok' | 'warning' | 'error';
  readonly text: string;
  /** The advice; null: none. */
  readonly advice: string | null;
}

/** Makes the checks of one area. */
export function checksOf(area: Check['area']) {
  return {
    ok: (text: string): Check => ({ area, state: 'ok', text, advice: null }),
    warning: (text: string, advice: string): Check => ({ area, state: 'warning', text, advice }),
    error: (text: string, advice: string): Check => ({ area, state: 'error', text, advice }),
  };
}

/** For scripts: 1 with an error, 3 with nothing worse than warnings. */
export function exitCodeOf(checks: readonly Check[]): number {
  if (checks.some(({ state }) => state === 'error')) return 1;
  return checks.some(({ state }) => state === 'warning') ? 3 : 0;
}
