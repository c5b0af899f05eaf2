/**
 * Handlers that wait for something outside the mesh: a file, a socket, a real timer.
 *
 * Problem: simulated time runs as fast as the machine can; while a handler waits for a real answer of a few
 * milliseconds, its time-out of half a minute would be over. Approach: between two events the loop asks
 * here; while a handler waits and not for the mesh, time stands still, at most `realWaitMs` of real time for
 * each call of a handler. After that the handler counts as hanging, and time goes on without it.
 *
 * Which code belongs to which call of a handler, the asynchronous context says.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { performance } from "node:perf_hooks";
import { clearTimeout, setTimeout } from "node:timers";
import type { VirtualProcess } from "./virtual-process.ts";

type Call = {
  readonly process: VirtualProcess;
  /** What it waits for in the mesh. */
  waits: number;
  /** Real milliseconds at which time goes on without it; undefined until it was waited for. */
  deadlineMs: number | undefined;
};

export class OutsideWaits {
  readonly #context = new AsyncLocalStorage<Call>();
  readonly #calls = new Set<Call>();
  readonly #realWaitMs: number;
  readonly #onHang: () => void;
  #wake: (() => void) | undefined;

  constructor(realWaitMs: number, onHang: () => void) {
    this.#realWaitMs = realWaitMs;
    this.#onHang = onHang;
  }

  /** Whether a handler of this mesh is the cause of what runs now. */
  get isInHandler(): boolean {
    return this.process !== undefined;
  }

  /** The process of that handler. */
  get process(): VirtualProcess | undefined {
    return this.#context.getStore()?.process;
  }

  /** Calls a handler. */
  call<T>(process: VirtualProcess, handler: () => T): T {
    const call: Call = { process, waits: 0, deadlineMs: undefined };
    const result = this.#context.run(call, handler);
    if (!isThenable(result)) return result;
    this.#calls.add(call);
    const end = (): void => {
      this.#calls.delete(call);
      this.#wake?.();
    };
    result.then(end, end);
    return result;
  }

  /** Runs it as nobody's: what it starts belongs to no handler. */
  apart<T>(fn: () => T): T {
    return this.#context.exit(fn);
  }

  /** The handler that is the cause of this, if one is, waits for the mesh until the promise settles. */
  wait(promise: Promise<unknown>): void {
    const call = this.#context.getStore();
    if (call === undefined) return;
    call.waits++;
    this.#wake?.();
    const end = (): void => {
      call.waits--;
    };
    promise.then(end, end);
  }

  /** The process of some handlers has ended: nobody waits for them. */
  ended(): void {
    this.#wake?.();
  }

  /** Settles when no handler waits outside any more, or when something changed; undefined: none does. */
  hold(): Promise<void> | undefined {
    let firstMs = Number.POSITIVE_INFINITY;
    for (const call of this.#calls) {
      if (!call.process.isAlive) this.#calls.delete(call);
      else if (call.waits === 0 && !call.process.isStill) {
        call.deadlineMs ??= performance.now() + this.#realWaitMs;
        firstMs = Math.min(firstMs, call.deadlineMs);
      }
    }
    if (firstMs === Number.POSITIVE_INFINITY) return undefined;
    const leftMs = firstMs - performance.now();
    if (leftMs <= 0) {
      this.#letGo();
      return this.hold();
    }
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), leftMs);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }

  #letGo(): void {
    const nowMs = performance.now();
    for (const call of this.#calls) {
      if (call.waits > 0 || call.deadlineMs === undefined || call.deadlineMs > nowMs) continue;
      this.#calls.delete(call);
      this.#onHang();
    }
  }
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" &&
  value !== null &&
  typeof (value as { then?: unknown }).then === "function";
