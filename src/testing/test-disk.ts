/** What a test does to the disk of a node. */
import type { VirtualDisk } from "./virtual-disk.ts";

const SYNC_MEAN_MS = 0.3;

export class TestDisk {
  readonly #disk: VirtualDisk;

  constructor(disk: VirtualDisk) {
    this.#disk = disk;
  }

  /**
   * Syncs fail with this probability (default 1: all of them). `kept`: the probability that what a failed
   * sync was to write is on the disk all the same (default 0.5).
   */
  fail(probability = 1, options: { readonly kept?: number } = {}): void {
    this.#disk.faults.syncFails = probability;
    this.#disk.faults.keptOnFailure = options.kept ?? 0.5;
  }

  /** A sync takes this long on average; 0.3 ms at first. */
  slow(syncMeanMs: number): void {
    this.#disk.faults.syncMeanMs = syncMeanMs;
  }

  /** Nothing more fits. */
  fill(): void {
    this.#disk.faults.isFull = true;
  }

  /**
   * The probability that a commit that was under way when its process was killed is there afterwards; 0.5 at
   * first.
   */
  keepOnCrash(probability: number): void {
    this.#disk.faults.keptOnCrash = probability;
  }

  /** It works, fast and with room. */
  heal(): void {
    Object.assign(this.#disk.faults, { syncFails: 0, syncMeanMs: SYNC_MEAN_MS, isFull: false });
  }
}
