/**
 * Time as this process has it, for parts with real sockets in one process: a look at the clock counts at most STEP_MS
 * since the last one, and one comes every LOOK_MS. While the machine gives this process nothing, no time passes here:
 * a limit in it says what the code under test waited for, not what the machine did.
 */
import type { Clock, Timer } from "../src/ports/clock.ts";

const LOOK_MS = 5;
const STEP_MS = 10;

type OwnTimer = { handle: NodeJS.Timeout | undefined };

let ownMs = 0;
let lookedMs = performance.now();

const look = (): number => {
  const realMs = performance.now();
  ownMs += Math.min(realMs - lookedMs, STEP_MS);
  lookedMs = realMs;
  return ownMs;
};

setInterval(look, LOOK_MS).unref();

export const ownClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: look,
  setTimer: (delayMs, fn) => {
    const timer: OwnTimer = { handle: undefined };
    const dueMs = look() + delayMs;
    const arm = (leftMs: number): void => {
      timer.handle = setTimeout(() => {
        const stillMs = dueMs - look();
        if (stillMs > 0) arm(stillMs);
        else fn();
      }, leftMs).unref();
    };
    arm(delayMs);
    return timer as unknown as Timer;
  },
  clearTimer: (timer) => clearTimeout((timer as unknown as OwnTimer).handle),
  endOfTurn: (fn) => void setImmediate(fn),
};
