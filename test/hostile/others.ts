/**
 * How long others wait while somebody attacks: by the clock, and by the processor time that the process they ask used
 * meanwhile, which is much the same on a busy machine.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";

export const ASK_EVERY_MS = 4;
/** Not a measure: on a machine that is busy with other things all wait. */
const ASK_MS_MAX = 60_000;

export type Asked = { p99: number; workP99: number; asked: number; failed: number };

const workMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};
const p99Of = (times: number[]): number => {
  times.sort((a, b) => a - b);
  return times[Math.floor(times.length * 0.99)] ?? 0;
};

/** Asks at a steady pace while `during` lasts; how long 99 of a hundred took, and how many failed. */
export const ask = async (asker: MeshNode, during: Promise<unknown>): Promise<Asked> => {
  const times: number[] = [];
  const works: number[] = [];
  let failed = 0;
  let isOver = false;
  const over = during.finally(() => {
    isOver = true;
  });
  const asks: Promise<unknown>[] = [];
  const beginMs = performance.now();
  for (let n = 0; !isOver; n++) {
    // Counted from when it should have been asked, not from when there was time for it.
    const dueMs = beginMs + n * ASK_EVERY_MS;
    await sleep(Math.max(0, dueMs - performance.now()));
    const beforeMs = workMs();
    const answered = (): void => {
      times.push(performance.now() - dueMs);
      works.push(workMs() - beforeMs);
    };
    asks.push(
      asker.request("sum", { n }, { timeoutMs: ASK_MS_MAX }).then(answered, () => failed++),
    );
  }
  await Promise.all([over, ...asks]);
  return { p99: p99Of(times), workP99: p99Of(works), asked: asks.length, failed };
};

export const told = (calm: Asked, pressed: Asked): string => {
  const pair = (name: string, before: number, now: number): string =>
    `${name} ${before.toFixed(2)} ms, then ${now.toFixed(2)} ms (${(now / before).toFixed(1)} times)`;
  const clock = pair("by the clock", calm.p99, pressed.p99);
  return `p99 of others: ${clock}, ${pair("of work", calm.workP99, pressed.workP99)}`;
};
