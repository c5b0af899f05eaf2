/** A thread that says each tick on time: timers of the event loop itself are a millisecond coarse. */
import { parentPort, workerData } from "node:worker_threads";

const { tickMs, ticks } = workerData as { tickMs: number; ticks: number };
const nobody = new Int32Array(new SharedArrayBuffer(4));
const startMs = performance.timeOrigin + performance.now() + tickMs;

for (let tick = 0; tick < ticks; tick++) {
  const dueMs = startMs + tick * tickMs;
  const waitMs = dueMs - (performance.timeOrigin + performance.now());
  if (waitMs > 0) Atomics.wait(nobody, 0, 0, waitMs);
  parentPort?.postMessage(dueMs);
}
