/**
 * The store port with scripted failures: commits wait until the test lets them end, each as it says.
 *
 * What is durable is a list of commits; `crash` gives a store that holds those and, as the test chooses,
 * the one that was under way. Reads see what the memory engine sees.
 */

import { memoryEngine } from "../../../src/journal/memory/memory-engine.ts";
import type {
  JournalStore,
  ScanOptions,
  StoreEntry,
  StoreFailure,
  StoreWrite,
  Table,
} from "../../../src/ports/journal-store.ts";
import { StoreError } from "../../../src/ports/journal-store.ts";

type Pending = {
  readonly writes: readonly StoreWrite[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
};

export class ScriptedStore implements JournalStore {
  readonly #inner: JournalStore;
  readonly durable: (readonly StoreWrite[])[];
  pending: Pending | undefined;
  /** Commits end by themselves. */
  auto = true;
  /** Commits fail like this until it is cleared. */
  failing: { readonly failure: StoreFailure; readonly survives: boolean } | undefined;
  commits = 0;
  closed = false;

  private constructor(inner: JournalStore, durable: (readonly StoreWrite[])[]) {
    this.#inner = inner;
    this.durable = durable;
  }

  static async open(
    durable: readonly (readonly StoreWrite[])[] = [],
    bytesMax = Number.POSITIVE_INFINITY,
  ): Promise<ScriptedStore> {
    const inner = await memoryEngine().open({ dataDir: ":memory:", bytesMax });
    for (const writes of durable) await inner.commit(writes);
    return new ScriptedStore(inner, [...durable]);
  }

  commit(writes: readonly StoreWrite[]): Promise<void> {
    if (this.pending !== undefined) throw new Error("two commits in flight");
    this.commits++;
    return new Promise((resolve, reject) => {
      this.pending = { writes, resolve, reject };
      if (this.auto) void this.end();
    });
  }

  /** Ends the commit under way as `failing` says. */
  async end(): Promise<void> {
    const { writes, resolve, reject } = this.pending as Pending;
    this.pending = undefined;
    const { failing } = this;
    if (failing === undefined || failing.survives) {
      await this.#inner.commit(writes);
      this.durable.push(writes);
    }
    if (failing === undefined) resolve();
    else reject(new StoreError(failing.failure, `scripted ${failing.failure}`));
  }

  /** What a process finds that starts after this one was killed. */
  crash(keepsPending: boolean): Promise<ScriptedStore> {
    const durable = [...this.durable];
    if (keepsPending && this.pending !== undefined) durable.push(this.pending.writes);
    return ScriptedStore.open(durable);
  }

  /** Changes a row behind the journal's back. */
  async tamper(table: Table, key: Uint8Array, value: Uint8Array | undefined): Promise<void> {
    const writes = [{ table, key, value }];
    await this.#inner.commit(writes);
    this.durable.push(writes);
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    return this.#inner.get(table, key);
  }

  scan(table: Table, options: ScanOptions): StoreEntry[] {
    return this.#inner.scan(table, options);
  }

  bytesOnDisk(): number {
    return this.#inner.bytesOnDisk();
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.#inner.close();
  }
}
