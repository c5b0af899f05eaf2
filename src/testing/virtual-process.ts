/**
 * One life of a simulated process: what is scheduled in it stops when it is killed and waits while it is
 * paused, as with SIGKILL and SIGSTOP. While it is blocked its event loop waits in the same way, as in a long
 * computation, but its threads run.
 *
 * Invariants: nothing of a killed process runs again; events that fell due in a pause or a block run after
 * it, in order, but for timers that are cleared meanwhile.
 */
import type { Clock, Timer } from "../ports/clock.ts";
import type { VirtualTime, VirtualTimer } from "./virtual-time.ts";

export type ClockFault = {
  /** Wall milliseconds at the start of the simulation. */
  wallMs: number;
  /** Speed against simulated time, both clocks; 1 is exact. */
  readonly rate: number;
};

type Armed = Timer & { due: VirtualTimer; isCleared: boolean };

export class VirtualProcess {
  readonly name: string;
  readonly clock: Clock;
  readonly #time: VirtualTime;
  #state: "running" | "paused" | "dead" = "running";
  #blocked = false;
  #stoodMs = 0;
  #stillSinceMs = 0;
  /** What fell due in a pause; until all of it has run, what comes stands behind it. */
  readonly #backlog: (() => void)[] = [];

  /** `clocks` is shared by the lives of a machine: a jump of its `wallMs` is seen at once. */
  constructor(name: string, time: VirtualTime, clocks: ClockFault) {
    this.name = name;
    this.#time = time;
    this.clock = {
      wallMs: () => Math.floor(clocks.wallMs + time.nowMs * clocks.rate),
      monotonicMs: () => time.nowMs * clocks.rate,
      setTimer: (delayMs, fn) => this.#arm(delayMs / clocks.rate, fn),
      clearTimer: (timer) => this.#clear(timer as Armed),
      endOfTurn: (fn) =>
        time.endOfTurn(() => {
          if (this.#state !== "dead") fn();
        }),
    };
  }

  get isAlive(): boolean {
    return this.#state !== "dead";
  }

  get isPaused(): boolean {
    return this.#state === "paused";
  }

  get isBlocked(): boolean {
    return this.#blocked;
  }

  /** Its event loop waits: it is paused or blocked. */
  get isStill(): boolean {
    return this.#state === "paused" || this.#blocked;
  }

  /** For how much of simulated time its event loop has waited. */
  get stoodMs(): number {
    return this.#stoodMs + (this.isStill ? this.#time.nowMs - this.#stillSinceMs : 0);
  }

  /** Calls `fn` in this process after so many milliseconds of simulated time. */
  post(delayMs: number, fn: () => void): VirtualTimer {
    const timer = this.#time.after(delayMs, () => this.enter(fn));
    return timer;
  }

  /** Runs it now, or after the pause, or never. */
  enter(fn: () => void): void {
    if (this.#state === "dead") return;
    if (this.#turns && this.#backlog.length === 0) fn();
    else this.#backlog.push(fn);
  }

  pause(): void {
    if (this.#state !== "running") return;
    this.#stand();
    this.#state = "paused";
  }

  resume(): void {
    if (this.#state !== "paused") return;
    const stoodMs = this.stoodMs;
    this.#state = "running";
    this.#goOn(stoodMs);
  }

  block(): void {
    this.#stand();
    this.#blocked = true;
  }

  unblock(): void {
    if (!this.#blocked) return;
    const stoodMs = this.stoodMs;
    this.#blocked = false;
    this.#goOn(stoodMs);
  }

  /** Ends it as SIGKILL does. */
  kill(): void {
    this.#state = "dead";
    this.#backlog.length = 0;
  }

  #stand(): void {
    if (!this.isStill) this.#stillSinceMs = this.#time.nowMs;
  }

  #goOn(stoodMs: number): void {
    if (this.isStill) return;
    this.#stoodMs = stoodMs;
    this.#catchUp();
  }

  #arm(delayMs: number, fn: () => void): Armed {
    const run = (): void => {
      if (!armed.isCleared) fn();
    };
    const armed: Armed = { due: this.post(delayMs, run), isCleared: false };
    return armed;
  }

  /** Also one that fell due and waits in the backlog. */
  #clear(armed: Armed): void {
    armed.isCleared = true;
    this.#time.cancel(armed.due);
  }

  get #turns(): boolean {
    return this.#state === "running" && !this.#blocked;
  }

  /** One event of the backlog after the other, each in a turn of its own. */
  #catchUp(): void {
    if (this.#backlog.length === 0 || !this.#turns) return;
    this.#time.after(0, () => {
      if (!this.#turns) return;
      this.#backlog.shift()?.();
      this.#catchUp();
    });
  }
}
