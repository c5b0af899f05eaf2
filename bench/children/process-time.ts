/** Clocks of the machine and of this process. */

/** The machine's monotonic clock, the same in all processes. Exact to less than a microsecond. */
export const nowNs = (): number => Number(process.hrtime.bigint());

/** Processor time of this process so far, all threads: other processes on the machine change it little. */
export const cpuNs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1_000;
};
