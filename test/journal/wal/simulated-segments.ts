/**
 * Segment files in memory that can lose their power: what a write that was not acknowledged left behind is decided
 * sector by sector, and whole files by nobody.
 */

import type { SegmentFile, SegmentFiles } from "../../../src/journal/wal/segment-file.ts";

const SECTOR_BYTES = 512;

/** True: the sector reached the disk. */
export type SectorFate = () => boolean;

export class SimulatedSegments implements SegmentFiles {
  readonly files: SimulatedFile[] = [];
  /** Called before each write; a throw fails it, with what the fate says written. */
  beforeWrite: (() => void) | undefined;
  fate: SectorFate = () => true;
  /** From now on writes neither end nor fail: the process is gone. */
  cut = false;
  /** Writes that still end after the cut. */
  writesLeft = 0;
  #made = 0;

  open(): SegmentFile[] {
    return [...this.files];
  }

  async create(bytes: number, head: Uint8Array): Promise<SegmentFile> {
    await Promise.resolve();
    if (this.cut) await new Promise(() => {});
    this.#made += 1;
    const file = new SimulatedFile(`journal.wal.${this.#made}`, bytes, this);
    file.bytes.set(head);
    this.files.push(file);
    return file;
  }

  remove(file: SegmentFile): void {
    this.files.splice(this.files.indexOf(file as SimulatedFile), 1);
  }
}

export class SimulatedFile implements SegmentFile {
  readonly path: string;
  readonly capacity: number;
  readonly bytes: Uint8Array;
  readonly #disk: SimulatedSegments;

  constructor(path: string, capacity: number, disk: SimulatedSegments) {
    this.path = path;
    this.capacity = capacity;
    this.bytes = new Uint8Array(capacity);
    this.#disk = disk;
  }

  async write(parts: readonly Uint8Array[], at: number): Promise<void> {
    const bytes = Buffer.concat(parts);
    await Promise.resolve();
    if (this.#disk.cut && this.#disk.writesLeft-- <= 0) {
      this.#writeSome(bytes, at);
      await new Promise(() => {});
    }
    try {
      this.#disk.beforeWrite?.();
    } catch (error) {
      this.#writeSome(bytes, at);
      throw error;
    }
    this.bytes.set(bytes, at);
  }

  read(at: number, bytes: number): Uint8Array {
    return this.bytes.slice(at, at + bytes);
  }

  close(): void {}

  #writeSome(bytes: Uint8Array, at: number): void {
    for (let from = 0; from < bytes.length; from += SECTOR_BYTES) {
      if (!this.#disk.fate()) continue;
      this.bytes.set(bytes.subarray(from, from + SECTOR_BYTES), at + from);
    }
  }
}
