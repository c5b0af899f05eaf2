/**
 * Segment files in memory whose process can be killed and which can lose their power: what a write that was not
 * acknowledged left behind is decided sector by sector, at a kill for those who read it, at a power cut, which may be
 * later, for good. Whole files are lost by nobody.
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
  mark: SimulatedFile | undefined;
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

  openMark(): SegmentFile | undefined {
    return this.mark;
  }

  async createMark(): Promise<SegmentFile> {
    await Promise.resolve();
    if (this.cut) await new Promise(() => {});
    this.mark = new SimulatedFile("journal.wal.mark", SECTOR_BYTES, this);
    return this.mark;
  }

  /** What was written and not synced is lost or not, as the fate says. */
  losePower(): void {
    for (const file of [...this.files, ...(this.mark === undefined ? [] : [this.mark])]) {
      file.losePower();
    }
  }
}

export class SimulatedFile implements SegmentFile {
  readonly path: string;
  readonly capacity: number;
  readonly bytes: Uint8Array;
  readonly #disk: SimulatedSegments;
  /** What the disk has where something was written that it may not have. */
  readonly #onDisk = new Map<number, Uint8Array>();

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
    for (const sector of sectorsOf(at, bytes.length)) this.#onDisk.delete(sector);
  }

  read(at: number, bytes: number): Uint8Array {
    return this.bytes.slice(at, at + bytes);
  }

  async sync(): Promise<void> {
    await Promise.resolve();
    if (this.#disk.cut) await new Promise(() => {});
    this.#onDisk.clear();
  }

  close(): void {}

  losePower(): void {
    for (const [at, bytes] of this.#onDisk) if (!this.#disk.fate()) this.bytes.set(bytes, at);
    this.#onDisk.clear();
  }

  #writeSome(bytes: Uint8Array, at: number): void {
    for (const sector of sectorsOf(at, bytes.length)) {
      if (!this.#disk.fate()) continue;
      if (!this.#onDisk.has(sector)) {
        this.#onDisk.set(sector, this.bytes.slice(sector, sector + SECTOR_BYTES));
      }
      const from = Math.max(sector, at);
      this.bytes.set(bytes.subarray(from - at, sector + SECTOR_BYTES - at), from);
    }
  }
}

/** Where the sectors begin that a write touches. */
function* sectorsOf(at: number, bytes: number): Generator<number> {
  const first = at - (at % SECTOR_BYTES);
  for (let sector = first; sector < at + bytes; sector += SECTOR_BYTES) yield sector;
}
