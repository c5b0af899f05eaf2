/**
 * Waits until nothing is left to do: every ledger shows nothing pending, nobody is busy, and nothing happens
 * any more for longer than any retry waits. When something is pending and nothing happens, it is stuck.
 */
import type { ChaosLog } from "./chaos-log.ts";
import type { ChaosProcess } from "./chaos-process.ts";

const LOOK_MS = 100;
const QUIET_MS = 3_000;
const STUCK_MS = 20_000;
const LONGEST_MS = 180_000;

/** Undefined when all is done, or what is stuck. */
export const drain = async (
  log: ChaosLog,
  processes: readonly ChaosProcess[],
  signal: AbortSignal,
): Promise<string | undefined> => {
  const beganMs = performance.now();
  let records = -1;
  let changedMs = beganMs;
  for (;;) {
    const crash = processes.find((one) => one.crash !== undefined);
    if (crash !== undefined) return `${crash.crash}\n${crash.errors}`;
    if (signal.aborted) return "interrupted";
    const pending = await pendingOf(processes);
    const nowMs = performance.now();
    if (log.records.length !== records) {
      records = log.records.length;
      changedMs = nowMs;
    }
    const stillMs = nowMs - changedMs;
    if (pending.length === 0 && stillMs > QUIET_MS) return undefined;
    if (stillMs > STUCK_MS || nowMs - beganMs > LONGEST_MS) {
      return `stuck for ${Math.round(stillMs / 1_000)} s: ${pending.join("; ")}`;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
};

const pendingOf = async (processes: readonly ChaosProcess[]): Promise<string[]> => {
  const found: string[] = [];
  const look = async (one: ChaosProcess): Promise<void> => {
    const status = await one.status();
    if (status === undefined) return;
    if (status.busy) found.push(`${one.name} is busy`);
    for (const [subscription, { pending }] of Object.entries(status.ledger)) {
      if (pending > 0) found.push(`${one.name} has ${pending} pending of "${subscription}"`);
    }
  };
  await Promise.all(processes.map(look));
  return found;
};
