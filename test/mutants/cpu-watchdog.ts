/**
 * Ends its process when a seed has used too much processor time; a thread of its own, since broken code may never
 * return. Processor time, because on a busy machine a wall clock tells how busy it is.
 */
import { parentPort, workerData } from "node:worker_threads";

/** A seed of sound code takes a fraction of a second. */
const SEED_CPU_MS_MAX = 120_000;
const LOOK_MS = 500;

const usedMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};

/** Counts up with each seed. */
const seeds = new Int32Array(workerData as SharedArrayBuffer);
let seed = -1;
let startMs = 0;
parentPort?.unref();
setInterval(() => {
  const now = Atomics.load(seeds, 0);
  if (now !== seed) {
    seed = now;
    startMs = usedMs();
  } else if (usedMs() - startMs > SEED_CPU_MS_MAX) {
    process.kill(process.pid, "SIGTERM");
  }
}, LOOK_MS);
