/**
 * A simulated disk under the journal: commits become durable after a while, one after the other, and a
 * crash keeps all of a commit or nothing of it, and of commits under way a prefix.
 *
 * Faults keep to the store port's promises: a sync may fail with the data kept or dropped, the disk may be
 * full, a block of the log may change under a bit flip. What is durable is the image; each life of the node
 * opens its own view of it.
 */
import { MeshError } from "../errors.ts";
import {
  type JournalStore,
  type ScanOptions,
  type StoreEntry,
  StoreError,
  type StoreWrite,
  TABLES,
  type Table,
} from "../ports/journal-store.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { nameOf, SortedRows } from "./sorted-rows.ts";
import type { VirtualProcess } from "./virtual-process.ts";
import type { VirtualTime } from "./virtual-time.ts";

export type DiskFaults = {
  /** A sync takes this long on average. */
  syncMeanMs: number;
  /** Probability that a sync fails, and that its data is there all the same. */
  syncFails: number;
  keptOnFailure: number;
  /** Probability that a commit under way at a crash is on the disk afterwards. */
  keptOnCrash: number;
  /** Nothing that adds bytes fits. */
  isFull: boolean;
  /** Probability that a commit damages one block of the log written before. */
  bitFlip: number;
};

export type DiskHooks = {
  readonly fault: (name: string) => void;
  /** A commit is durable and the node was told so; or survived a crash, or a sync that failed. */
  readonly durable: (writes: readonly StoreWrite[], how: "ok" | "unknown") => void;
  /** The block of the log at this key is not what was written any more. */
  readonly damaged?: (key: Uint8Array) => void;
};

type Image = Map<Table, SortedRows>;
/** A copy of a folder. */
export type DiskImage = ReadonlyMap<Table, SortedRows>;
type Pending = { readonly writes: readonly StoreWrite[]; readonly end: () => void };

const emptyImage = (): Image => new Map(TABLES.map((table) => [table, new SortedRows()]));

const copyImage = (image: DiskImage): Image =>
  new Map([...image].map(([table, rows]) => [table, rows.copy()]));

/** To each of the images; rows are shared, since nobody changes them. */
const apply = (writes: readonly StoreWrite[], ...images: readonly Image[]): void => {
  for (const { table, key, value } of writes) {
    const row = value === undefined ? undefined : { name: nameOf(key), key, value };
    for (const image of images) {
      if (row === undefined) image.get(table)?.remove(key);
      else image.get(table)?.putRow(row);
    }
  }
};

export class VirtualDisk {
  readonly faults: DiskFaults = {
    syncMeanMs: 0.3,
    syncFails: 0,
    keptOnFailure: 0.5,
    keptOnCrash: 0.5,
    isFull: false,
    bitFlip: 0,
  };
  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #hooks: DiskHooks;
  #image = emptyImage();
  #store: VirtualStore | undefined;
  #failsNext = false;

  constructor(time: VirtualTime, random: SeededRandom, hooks: DiskHooks) {
    this.#time = time;
    this.#random = random;
    this.#hooks = hooks;
  }

  /** @throws MeshError JOURNAL_LOCKED while another process has it */
  open(process: VirtualProcess): JournalStore {
    const holder = this.#store;
    if (holder?.isOpen === true && holder.process.isAlive) {
      throw new MeshError("JOURNAL_LOCKED", "the simulated disk is open in another process");
    }
    this.#store = new VirtualStore(this, process, copyImage(this.#image));
    return this.#store;
  }

  /** The process that had it open was killed: what was under way is kept or lost. */
  crash(): void {
    const pending = this.#store?.takePending() ?? [];
    for (const { writes } of pending) {
      if (!this.#random.chance(this.faults.keptOnCrash)) {
        this.#hooks.fault("crashLostCommit");
        return;
      }
      this.#hooks.fault("crashKeptCommit");
      apply(writes, this.#image);
      this.#hooks.durable(writes, "unknown");
    }
  }

  /** The next commit's sync fails. */
  failNextSync(): void {
    this.#failsNext = true;
  }

  /** What is durable now, as a copy of the folder would have it. */
  backup(): DiskImage {
    return copyImage(this.#image);
  }

  /** Puts a copy in place of what is there. The process that had it open must be gone. */
  restore(image: DiskImage): void {
    if (this.#store?.isOpen === true && this.#store.process.isAlive) {
      throw new Error("a folder in use cannot be restored");
    }
    this.#image = copyImage(image);
  }

  rows(table: Table): StoreEntry[] {
    return this.#table(table).range({ limit: Number.POSITIVE_INFINITY });
  }

  count(table: Table): number {
    return this.#table(table).size;
  }

  /** One commit of a store: durable, or not, after a while. For the store only. */
  commit(store: VirtualStore, writes: readonly StoreWrite[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const { faults } = this;
      const delayMs = 0.01 + this.#random.exponential(faults.syncMeanMs);
      const drawn = faults.syncFails > 0 && this.#random.chance(faults.syncFails);
      const fails = drawn || this.#failsNext;
      this.#failsNext = false;
      const finish = (): void => {
        if (this.#isTooFull(writes)) {
          this.#hooks.fault("diskFull");
          reject(new StoreError("full", "the simulated disk is full"));
          return;
        }
        if (fails) {
          const kept = this.#random.chance(faults.keptOnFailure);
          this.#hooks.fault(kept ? "syncFailedKept" : "syncFailedDropped");
          if (kept) this.#keep(store, writes, "unknown");
          reject(new StoreError("sync", "the simulated sync failed"));
          return;
        }
        this.#keep(store, writes, "ok");
        this.#flip(store);
        resolve();
      };
      store.queue({ writes, end: finish }, delayMs);
    });
  }

  #keep(store: VirtualStore, writes: readonly StoreWrite[], how: "ok" | "unknown"): void {
    apply(writes, this.#image, store.view);
    this.#hooks.durable(writes, how);
  }

  #isTooFull(writes: readonly StoreWrite[]): boolean {
    if (!this.faults.isFull) return false;
    return writes.some(({ table, value }) => table === "log" && value !== undefined);
  }

  #flip(store: VirtualStore): void {
    const { bitFlip } = this.faults;
    if (bitFlip === 0 || !this.#random.chance(bitFlip)) return;
    const entries = this.rows("log");
    if (entries.length === 0) return;
    const { key, value } = this.#random.pick(entries);
    const damaged = Uint8Array.from(value);
    const at = this.#random.integer(0, damaged.length - 1);
    damaged[at] = (damaged[at] as number) ^ (1 << this.#random.integer(0, 7));
    this.#table("log").put(key, damaged);
    store.view.get("log")?.put(key, damaged);
    this.#hooks.damaged?.(key);
    this.#hooks.fault("bitFlip");
  }

  #table(name: Table): SortedRows {
    return this.#image.get(name) as SortedRows;
  }

  get time(): VirtualTime {
    return this.#time;
  }
}

/** Bytes of its own, small ones in memory from a pool: that is half of what a copy costs otherwise. */
const copyOf = (bytes: Uint8Array): Uint8Array => {
  const copy = Buffer.allocUnsafe(bytes.length);
  copy.set(bytes);
  return copy;
};

class VirtualStore implements JournalStore {
  readonly process: VirtualProcess;
  readonly view: Image;
  readonly #disk: VirtualDisk;
  readonly #pending: Pending[] = [];
  #closing: Promise<void> | undefined;
  #closed = false;
  #idle: (() => void) | undefined;

  constructor(disk: VirtualDisk, process: VirtualProcess, view: Image) {
    this.#disk = disk;
    this.process = process;
    this.view = view;
  }

  get isOpen(): boolean {
    return !this.#closed;
  }

  commit(writes: readonly StoreWrite[]): Promise<void> {
    if (this.#closing !== undefined) {
      return Promise.reject(new StoreError("closed", "the store is closed"));
    }
    const copies = writes.map(({ table, key, value }) => ({
      table,
      key: copyOf(key),
      value: value === undefined ? undefined : copyOf(value),
    }));
    return this.#disk.commit(this, copies);
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    const value = this.#table(table).get(key);
    return value && copyOf(value);
  }

  scan(table: Table, options: ScanOptions): StoreEntry[] {
    return this.#table(table)
      .range(options)
      .map(({ key, value }) => ({ key: copyOf(key), value: copyOf(value) }));
  }

  bytesOnDisk(): number {
    let bytes = 0;
    for (const rows of this.view.values()) bytes += rows.bytes;
    return bytes;
  }

  close(): Promise<void> {
    this.#closing ??= new Promise<void>((resolve) => {
      this.#idle = () => {
        this.#closed = true;
        resolve();
      };
      if (this.#pending.length === 0) this.#idle();
    });
    return this.#closing;
  }

  /** Ends commits one after the other, each after its own time. For the disk only. */
  queue(pending: Pending, delayMs: number): void {
    this.#pending.push(pending);
    this.#delays.push(delayMs);
    if (this.#pending.length === 1) this.#next();
  }

  /** For the disk only. */
  takePending(): Pending[] {
    this.#closed = true;
    return this.#pending.splice(0);
  }

  readonly #delays: number[] = [];

  #next(): void {
    const delayMs = this.#delays.shift() ?? 0;
    this.process.post(delayMs, () => {
      const pending = this.#pending.shift();
      if (pending === undefined) return;
      pending.end();
      if (this.#pending.length > 0) this.#next();
      else this.#idle?.();
    });
  }

  #table(name: Table): SortedRows {
    if (this.#closed) throw new StoreError("closed", "the store is closed");
    return this.view.get(name) as SortedRows;
  }
}
