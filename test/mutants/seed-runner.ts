/**
 * Runs seeds in the tree it stands in, one after the other, and says a line of JSON about each. Arguments:
 * "ground:7" or "ground:1-200". A process of its own: broken code may hang, leak or take it down.
 */
import { Worker } from "node:worker_threads";
import { simulate } from "../sim/simulate.ts";
import { groundOf } from "./grounds.ts";

export type SeedReport = {
  readonly ground: string;
  readonly seed: number;
  readonly violations: readonly { readonly check: string; readonly message: string }[];
};

const seeds = new Int32Array(new SharedArrayBuffer(4));
new Worker(new URL("./cpu-watchdog.js", import.meta.url), { workerData: seeds.buffer }).unref();

for (const text of process.argv.slice(2)) {
  const [ground = "", range = ""] = text.split(":");
  const [first = 0, last = first] = range.split("-").map(Number);
  for (let seed = first; seed <= last; seed++) {
    Atomics.add(seeds, 0, 1);
    const { violations } = await simulate(seed, groundOf(ground));
    const report: SeedReport = { ground, seed, violations };
    process.stdout.write(`${JSON.stringify(report)}\n`);
  }
}
