/** How a test lets simulated time pass: for so long, until something holds, until all is at rest. */
import { MeshError } from "../errors.ts";
import type { Calls } from "./calls.ts";
import type { OutsideWaits } from "./outside-waits.ts";
import type { Pacer } from "./pacer.ts";
import type { VirtualTime } from "./virtual-time.ts";

export type PassageHost = {
  readonly time: VirtualTime;
  readonly pacer: Pacer;
  readonly outside: OutsideWaits;
  readonly calls: Calls;
  /** What still happens by itself, or undefined. */
  readonly stirring: () => string | undefined;
};

/** The longer it takes to come to rest, the less often that is asked. */
const STEP_MIN_MS = 5;
const STEP_MAX_MS = 60_000;
const STEP_SHARE = 0.02;
/** Cursors are written so long after what they count. */
const AFTER_MS = 50;

export class Passage {
  readonly #host: PassageHost;

  constructor(host: PassageHost) {
    this.#host = host;
  }

  async advance(ms: number): Promise<void> {
    if (!(ms >= 0)) throw new MeshError("INVALID_OPTIONS", `ms is ${ms}, must be 0 or more`);
    await this.#pass(ms, () => false);
  }

  async until(condition: () => boolean, withinMs: number): Promise<void> {
    let thrown: { readonly error: unknown } | undefined;
    const holds = (): boolean => {
      try {
        return condition();
      } catch (error) {
        thrown = { error };
        return true;
      }
    };
    const held = await this.#pass(withinMs, holds);
    if (thrown !== undefined) throw thrown.error;
    if (!held) this.#fail(`the condition ${condition} does not hold within ${withinMs} ms`);
  }

  async settle(withinMs: number): Promise<void> {
    const { time, stirring } = this.#host;
    const startMs = time.nowMs;
    const endMs = startMs + withinMs;
    for (;;) {
      await this.advance(AFTER_MS);
      if (stirring() === undefined) {
        await this.advance(AFTER_MS);
        if (stirring() === undefined) return;
      }
      if (time.nowMs >= endMs) this.#fail(`not at rest within ${withinMs} ms`);
      const share = (time.nowMs - startMs) * STEP_SHARE;
      await this.advance(Math.min(STEP_MAX_MS, Math.max(STEP_MIN_MS, share)));
    }
  }

  sleep(ms: number): Promise<void> {
    const { time, outside, calls } = this.#host;
    const { process } = outside;
    const slept = new Promise<void>((resolve) => {
      if (!Number.isFinite(ms)) return;
      if (process === undefined) time.after(ms, resolve);
      else process.post(ms, resolve);
    });
    if (process === undefined) return calls.wait("sleep", slept, { withinMs: ms + 1 });
    outside.wait(slept);
    return slept;
  }

  /** True when the condition came to hold. */
  #pass(withinMs: number, isReached: () => boolean): Promise<boolean> {
    const { time, pacer, outside } = this.#host;
    if (pacer.isStopped) throw new MeshError("STOPPED", "the test mesh has stopped");
    const untilMs = time.nowMs + withinMs;
    const reached = new Promise<boolean>((resolve) => {
      outside.apart(() => pacer.add({ untilMs, isReached, over: resolve }));
    });
    outside.wait(reached);
    return reached;
  }

  #fail(what: string): never {
    const why = this.#host.stirring() ?? "the mesh is at rest";
    throw new MeshError("TIMEOUT", `${what} of simulated time: ${why}`);
  }
}
