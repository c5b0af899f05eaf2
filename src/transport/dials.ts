/**
 * Dials under way.
 *
 * Invariants: a dial ends once, by what it waits for, its time, its signal, or the end of its transport; one
 * that fails is cut off, and nothing of it stays; no timer or listener outlives it.
 */
import { MeshError } from "../errors.ts";
import type { Clock } from "../ports/clock.ts";

export type DialOptions = { readonly timeoutMs: number; readonly signal?: AbortSignal };

type Attempt<T> = {
  readonly remote: string;
  /** Begins it; rejects with a MeshError. What it gives after `cut` is dropped. */
  open(): Promise<T>;
  cut(): void;
};

const TIMER_MAX_MS = 2 ** 31 - 1;

export class Dials {
  readonly #underWay = new Set<(error: MeshError) => void>();

  /** @throws MeshError PEER_LOST after `timeoutMs`, ABORTED, and what `open` or `stop` say */
  within<T>(clock: Clock, { timeoutMs, signal }: DialOptions, attempt: Attempt<T>): Promise<T> {
    const { remote } = attempt;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#underWay.delete(fail);
        clock.clearTimer(timer);
        signal?.removeEventListener("abort", aborted);
      };
      const fail = (error: MeshError): void => {
        settle();
        attempt.cut();
        reject(error);
      };
      const aborted = (): void =>
        fail(new MeshError("ABORTED", `the dial of ${remote} was aborted`));
      const timer = clock.setTimer(Math.min(timeoutMs, TIMER_MAX_MS), () => {
        fail(new MeshError("PEER_LOST", `${remote} was not reached within ${timeoutMs} ms`));
      });
      this.#underWay.add(fail);
      signal?.addEventListener("abort", aborted, { once: true });
      if (signal?.aborted) {
        aborted();
        return;
      }
      attempt.open().then((opened) => {
        settle();
        resolve(opened);
      }, fail);
    });
  }

  /** All that are under way fail with this. */
  stop(error: MeshError): void {
    for (const fail of [...this.#underWay]) fail(error);
  }
}
