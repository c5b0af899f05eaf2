/**
 * What work costs beside other work in the same process. Processor time is not the time that passes: other processes and
 * a machine that stands still do not show in it; what is left of a machine's speed goes out in the ratio.
 */

/** Of the whole process, its threads included, in ms. */
export const processorMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};

const costOf = (work: () => unknown): number => {
  const beganMs = processorMs();
  work();
  return processorMs() - beganMs;
};

/** How often the cost of `other` goes into that of `work`; the least of three, after one to warm up. */
export const timesTheCost = (work: () => unknown, other: () => unknown): number => {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 4; round++) {
    const ratio = costOf(work) / Math.max(costOf(other), 0.1);
    if (round > 0) least = Math.min(least, ratio);
  }
  return least;
};
