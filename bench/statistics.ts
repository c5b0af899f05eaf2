/** The middle of an odd or even number of values; NaN of none. */
export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
};

/** To so many digits after the point. */
export const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));

/** To one digit after the point, or to four in all where that is more. */
export const significant = (value: number): number =>
  Math.abs(value) >= 1_000 ? rounded(value, 1) : Number(value.toPrecision(4));

/** The smallest value that a share of all do not exceed; NaN of none. */
export const quantile = (values: readonly number[], share: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
};
