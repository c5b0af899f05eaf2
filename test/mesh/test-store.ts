/** A store in memory that survives its node, and whose commits fail or hang when told to. */
import { memoryEngine } from "../../src/journal/memory/memory-engine.ts";
import {
  type JournalStore,
  type ScanOptions,
  type StoreEntry,
  StoreError,
  type StoreFailure,
  type StoreWrite,
  TABLES,
  type Table,
} from "../../src/ports/journal-store.ts";

export class TestStore implements JournalStore {
  readonly #inner: JournalStore;
  /** Commits fail so, without writing, while this is set. */
  failing: StoreFailure | undefined;
  /** Commits that were tried. */
  tries = 0;
  #held: (() => void)[] | undefined;
  #dead = false;

  private constructor(inner: JournalStore) {
    this.#inner = inner;
  }

  static async open(): Promise<TestStore> {
    return new TestStore(await memoryEngine().open({ dataDir: ":memory:", bytesMax: 2 ** 30 }));
  }

  /** Commits from now on do not return, and write nothing, until `letGo`. */
  hold(): void {
    this.#held ??= [];
  }

  get held(): number {
    return this.#held?.length ?? 0;
  }

  letGo(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const go of held) go();
  }

  /** The process is gone: what it still commits never reaches the disk. The store of its next life. */
  crash(): TestStore {
    this.#dead = true;
    this.letGo();
    return new TestStore(this.#inner);
  }

  /** A copy of the folder, for another node. */
  async copy(): Promise<TestStore> {
    const copy = await TestStore.open();
    for (const table of TABLES) {
      await copy.commit(this.rows(table).map(({ key, value }) => ({ table, key, value })));
    }
    return copy;
  }

  async commit(writes: readonly StoreWrite[]): Promise<void> {
    this.tries++;
    if (this.#held !== undefined) await new Promise<void>((go) => this.#held?.push(go));
    if (this.#dead) throw new StoreError("closed", "the process is gone");
    if (this.failing !== undefined) throw new StoreError(this.failing, "told to fail");
    await this.#inner.commit(writes);
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    return this.#inner.get(table, key);
  }

  scan(table: Table, options: ScanOptions): StoreEntry[] {
    return this.#inner.scan(table, options);
  }

  rows(table: Table): StoreEntry[] {
    return this.#inner.scan(table, { limit: 100_000 });
  }

  bytesOnDisk(): number {
    return this.#inner.bytesOnDisk();
  }

  /** The data stays for the next life. */
  async close(): Promise<void> {}
}
