/** A straight line through samples by least squares: what something grows by, and how sure that is. */

export interface Slope {
  /** The change of y for one x. */
  readonly slope: number;
  /** Its standard error; infinite where there are too few samples to say. */
  readonly error: number;
}

const SAMPLES_MIN = 4;
/** Beyond this a series is a random walk, of which no slope can be told. */
const CORRELATION_MAX = 0.98;

/**
 * Neighbouring samples of memory resemble each other, so that there are fewer independent ones than samples: the error is widened by
 * what the residuals' correlation with their predecessors says (n (1 - r) / (1 + r) count, for a process of first order).
 */
export function leastSquares(points: readonly (readonly [x: number, y: number])[]): Slope {
  const n = points.length;
  const mean = (of: 0 | 1): number => points.reduce((sum, point) => sum + point[of], 0) / n;
  const [meanX, meanY] = [mean(0), mean(1)];
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  if (n < 2 || spread === 0) return { slope: 0, error: Number.POSITIVE_INFINITY };
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
  if (n < SAMPLES_MIN) return { slope, error: Number.POSITIVE_INFINITY };
  const residuals = points.map(([x, y]) => y - meanY - slope * (x - meanX));
  const squares = residuals.reduce((sum, one) => sum + one * one, 0);
  const products = residuals.slice(1).reduce((sum, one, i) => sum + one * (residuals[i] as number), 0);
  const correlation = squares === 0 ? 0 : Math.min(CORRELATION_MAX, Math.max(0, products / squares));
  const error = Math.sqrt(squares / (n - 2) / spread) * Math.sqrt((1 + correlation) / (1 - correlation));
  return { slope, error };
}
