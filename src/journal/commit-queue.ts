/**
 * Commits in front of a store that writes one group at a time: those that wait while a group is synced share the next
 * one, in the order of the calls (group commit, no timer).
 */

import type { StoreWrite } from "../ports/journal-store.ts";

/** Values of one group, so that a burst does not become one endless write. */
const GROUP_BYTES_MAX = 16 * 1024 * 1024;

export type Commit = {
  readonly writes: readonly StoreWrite[];
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
};

export class CommitQueue {
  /** Settles every commit of the group, or throws what the remaining ones fail with. */
  readonly #commitGroup: (group: readonly Commit[]) => Promise<void>;
  #queue: Commit[] = [];
  #draining: Promise<void> | undefined;

  constructor(commitGroup: (group: readonly Commit[]) => Promise<void>) {
    this.#commitGroup = commitGroup;
  }

  /** Resolves once nothing is under way; undefined: nothing is. */
  get idle(): Promise<void> | undefined {
    return this.#draining;
  }

  /** `bytes`: of the values. */
  add(writes: readonly StoreWrite[], bytes: number): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#queue.push({ writes, bytes, resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  async #drain(): Promise<void> {
    await undefined; // calls of the same turn join the first group
    while (this.#queue.length > 0) {
      const group = this.#takeGroup();
      try {
        await this.#commitGroup(group);
      } catch (error) {
        for (const commit of group) commit.reject(error);
      }
    }
    this.#draining = undefined;
  }

  #takeGroup(): Commit[] {
    let bytes = 0;
    let count = 0;
    for (const commit of this.#queue) {
      bytes += commit.bytes;
      if (count > 0 && bytes > GROUP_BYTES_MAX) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }
}
