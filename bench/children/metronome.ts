/** A thread that says each tick on time: timers of the event loop itself are a millisecond coarse. */
import { parentPort, workerData } from "node:worker_threads";
import { nowNs } from "./process-time.ts";

const { tickMs, ticks } = workerData as { tickMs: number; ticks: number };
const nobody = new Int32Array(new SharedArrayBuffer(4));
const startNs = nowNs() + tickMs * 1e6;

for (let tick = 0; tick < ticks; tick++) {
  const dueNs = startNs + tick * tickMs * 1e6;
  const waitMs = (dueNs - nowNs()) / 1e6;
  if (waitMs > 0) Atomics.wait(nobody, 0, 0, waitMs);
  parentPort?.postMessage(dueNs);
}
