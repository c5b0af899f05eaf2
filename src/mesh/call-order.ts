/**
 * Keeps the order of calls: a call that must wait makes later calls of its keys wait behind it, nobody else.
 *
 * Bound: `WAITING_MAX` calls wait; one more is refused.
 */
import { MeshError } from "../errors.ts";

const WAITING_MAX = 65_536;

export class CallOrder {
  /** The last call of each key (by hash) that waits. */
  readonly #last = new Map<number, Promise<unknown>>();
  #waiting = 0;

  /** Nobody waits: a call may go at once. */
  get isClear(): boolean {
    return this.#last.size === 0;
  }

  /** Runs `turn` when every earlier call of these keys has had its turn. @throws MeshError JOURNAL_FULL */
  async run<T>(keys: Iterable<number>, turn: () => Promise<T>): Promise<T> {
    if (this.#waiting >= WAITING_MAX) {
      throw new MeshError("JOURNAL_FULL", `${this.#waiting} calls wait already`);
    }
    const own = new Set(keys);
    const before = [...own].flatMap((key) => this.#last.get(key) ?? []);
    const done = Promise.all(before).then(turn);
    const quiet = done.then(nothing, nothing);
    for (const key of own) this.#last.set(key, quiet);
    this.#waiting++;
    void quiet.then(() => {
      this.#waiting--;
      for (const key of own) if (this.#last.get(key) === quiet) this.#last.delete(key);
    });
    return done;
  }
}

const nothing = (): void => {};
