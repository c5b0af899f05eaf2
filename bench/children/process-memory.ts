/** What the kernel says of this process's memory. Linux only: elsewhere there is no RssAnon. */
import { readFileSync } from "node:fs";

export type ProcessMemory = {
  readonly rssMb: number;
  /** Without mapped files, whose pages are the kernel's to drop. */
  readonly rssAnonMb: number;
};

export const processMemory = (): ProcessMemory => {
  const status = readFileSync("/proc/self/status", "utf8");
  const mb = (name: string): number => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status);
    if (found === null) throw new Error(`/proc/self/status has no ${name}`);
    return (Number(found[1]) * 1_024) / 1_000_000;
  };
  return { rssMb: mb("VmRSS"), rssAnonMb: mb("RssAnon") };
};
