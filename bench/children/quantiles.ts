/** Times of one round in microseconds, reduced to what the bench reports. */
export type Quantiles = { readonly p50Us: number; readonly p99Us: number };

/** With the processor time of the asking process for one round trip, all threads. */
export type RoundTrips = Quantiles & { readonly askerCpuUs: number };

export const quantiles = (timesUs: Float64Array): Quantiles => {
  const sorted = timesUs.slice().sort();
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
  return { p50Us: at(0.5), p99Us: at(0.99) };
};

/** Asks `count` times, one after the other, and times each. */
export const timeSequential = async (
  count: number,
  ask: () => Promise<unknown>,
): Promise<RoundTrips> => {
  const timesUs = new Float64Array(count);
  const before = process.cpuUsage();
  for (let at = 0; at < count; at++) {
    const startMs = performance.now();
    await ask();
    timesUs[at] = (performance.now() - startMs) * 1_000;
  }
  const { user, system } = process.cpuUsage(before);
  return { ...quantiles(timesUs), askerCpuUs: (user + system) / count };
};
