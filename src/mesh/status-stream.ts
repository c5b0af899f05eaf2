/** `node.status()`: changes as they happen, to any number of readers. */
import type { StatusChange } from "../runtime/environment.ts";

/** Changes kept for a reader that is slow; the oldest goes first. */
const BUFFER_MAX = 256;

type Reader = {
  readonly changes: StatusChange[];
  wake: (() => void) | undefined;
  ended: boolean;
};

export class StatusStream {
  readonly #readers = new Set<Reader>();
  #ended = false;

  push(change: StatusChange): void {
    for (const reader of this.#readers) {
      reader.changes.push(change);
      if (reader.changes.length > BUFFER_MAX) reader.changes.shift();
      reader.wake?.();
    }
  }

  end(): void {
    this.#ended = true;
    for (const reader of this.#readers) {
      reader.ended = true;
      reader.wake?.();
    }
  }

  /** Ends when the node has stopped. */
  read(): AsyncIterableIterator<StatusChange> {
    const reader: Reader = { changes: [], wake: undefined, ended: this.#ended };
    this.#readers.add(reader);
    const finish = (): IteratorReturnResult<undefined> => {
      this.#readers.delete(reader);
      return { done: true, value: undefined };
    };
    return {
      next: async () => {
        while (reader.changes.length === 0) {
          if (reader.ended) return finish();
          await new Promise<void>((resolve) => {
            reader.wake = resolve;
          });
          reader.wake = undefined;
        }
        return { done: false, value: reader.changes.shift() as StatusChange };
      },
      return: async () => {
        reader.ended = true;
        reader.changes.length = 0;
        reader.wake?.();
        return finish();
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }
}
