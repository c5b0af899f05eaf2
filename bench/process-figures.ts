/** What the kernel says of other processes: their memory and processor time, with all that they started. Linux. */
import { readdirSync, readFileSync } from "node:fs";

export type ProcessFigures = {
  readonly rssMb: number;
  /** Without mapped files, whose pages are the kernel's to drop. */
  readonly rssAnonMb: number;
  /** Since they started, all threads. */
  readonly cpuNs: number;
};

/** Ticks of /proc/<pid>/stat are hundredths of a second on every Linux that Node.js runs on. */
const TICK_NS = 10_000_000;

export const figuresOf = (pids: readonly number[]): ProcessFigures => {
  const total = { rssMb: 0, rssAnonMb: 0, cpuNs: 0 };
  for (const pid of withDescendants(pids)) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      total.rssMb += megabytes(status, "VmRSS");
      total.rssAnonMb += megabytes(status, "RssAnon");
      // After the name in brackets: state is field 3, utime 14, stime 15.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      total.cpuNs += (Number(fields[11]) + Number(fields[12])) * TICK_NS;
    } catch {
      // ended between the listing and the look
    }
  }
  return total;
};

const megabytes = (status: string, name: string): number =>
  (Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0) * 1_024) / 1e6;

/** These processes and all that they started, as of now. */
export const withDescendants = (pids: readonly number[]): readonly number[] => {
  const all = [...pids];
  for (let at = 0; at < all.length; at++) all.push(...childrenOf(all[at] as number));
  return all;
};

const childrenOf = (pid: number): readonly number[] => {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "utf8")
        .split(" ")
        .filter((text) => text !== "")
        .map(Number),
    );
  } catch {
    return [];
  }
};
