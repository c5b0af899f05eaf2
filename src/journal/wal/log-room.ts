/**
 * Room in the write-ahead log: where the next record goes, and what is brought to the store below for it.
 *
 * Approach: segments are given back in order, the oldest first. Rows whose newest state is in it are committed to the
 * store below, with the number up to which the log is done with; what was overwritten or removed since never gets
 * there. That happens beside commits, which go on in other segments, and before there is need of it.
 * Invariants: what is in the log finds room below (bytesMax counts both); a segment is written again only after the
 * store below has, synced, that it is done with.
 */

import {
  type JournalStore,
  StoreError,
  type StoreWrite,
  type Table,
} from "../../ports/journal-store.ts";
import { storeErrorOf } from "../full-disk.ts";
import { bytesBelow, type Overlay, type OverlayRow, valueIn } from "./overlay.ts";
import type { Segment } from "./segment.ts";
import type { SegmentRing } from "./segment-ring.ts";
import { encodeWalRow, WAL_KEY } from "./wal-row.ts";

/** One commit to the store below while a segment is given back; pages that a larger one replaces count as used meanwhile. */
const MOVE_BYTES = 512 * 1024;
const MOVE_ROWS = 512;
/** Commits up to this size may use the reserve: marks, cursors, removals. */
const SMALL_BYTES_MAX = 48 * 1024;
const RESERVE_BYTES = 1536 * 1024;
/** Upkeep that failed is not tried after every commit: on a full disk that writes zeros for nothing. */
const REST_COMMITS = 256;

/** What the log is brought to. */
export type StoreBelow = JournalStore & {
  /** Bytes of what it holds, to be compared with bytesMax. */
  usedBytes(): number;
};

export type WalLimits = {
  /** Of what is below and in the log. */
  readonly bytesMax: number;
  /** Rows and bytes in memory beyond which segments are given back; beyond twice as much commits wait. */
  readonly rowsMax: number;
  readonly memoryBytesMax: number;
};

export type LogRoomParts = {
  readonly below: StoreBelow;
  readonly ring: SegmentRing;
  readonly overlay: Overlay;
  readonly salt: Uint8Array;
  /** Number of the last commit that is below with all before it. */
  readonly moved: number;
  readonly limits: WalLimits;
};

export class LogRoom {
  readonly #below: StoreBelow;
  readonly #ring: SegmentRing;
  readonly #overlay: Overlay;
  readonly #salt: Uint8Array;
  readonly #limits: WalLimits;
  #moved: number;
  #belowBytes: number;
  /** Segments are given back or made. */
  #upkeep: Promise<void> | undefined;
  /** Commits until what failed is tried again. */
  #rests = 0;

  constructor(parts: LogRoomParts) {
    this.#below = parts.below;
    this.#ring = parts.ring;
    this.#overlay = parts.overlay;
    this.#salt = parts.salt;
    this.#limits = parts.limits;
    this.#moved = parts.moved;
    this.#belowBytes = parts.below.usedBytes();
  }

  /** Bytes of the log's files. */
  get bytes(): number {
    return this.#ring.bytes;
  }

  /** Where a record goes, when nothing has to be done for it. */
  ready(bytes: number): Segment | undefined {
    if (!this.#fits(bytes) || (this.#isCrowded(2) && this.#ring.hasFull)) return undefined;
    const { active } = this.#ring;
    // Rows can only be moved out of a segment that is not written any more.
    const mustTurn = this.#isCrowded() && !this.#ring.hasFull;
    if (active?.hasRoom(bytes) && !mustTurn) return active;
    return (
      this.#ring.begin(bytes, bytes <= SMALL_BYTES_MAX) ??
      (active?.hasRoom(bytes) ? active : undefined)
    );
  }

  /** @throws StoreError "full", "sync" */
  async make(bytes: number): Promise<Segment> {
    await this.#upkeep;
    let isMoved = false;
    for (;;) {
      if (!this.#fits(bytes)) {
        if (isMoved) throw this.#full(bytes);
        await this.#moveAll();
        isMoved = true;
        continue;
      }
      const segment = this.ready(bytes);
      if (segment !== undefined) return segment;
      await this.#work(bytes).catch((error: unknown) => {
        throw storeErrorOf(error, "the log has no room");
      });
    }
  }

  #full(bytes: number): StoreError {
    const used = this.#belowBytes + this.#overlay.bytes;
    const { bytesMax } = this.#limits;
    return new StoreError("full", `${bytes} B beside ${used} B would exceed bytesMax ${bytesMax}`);
  }

  #fits(bytes: number): boolean {
    const reserve = bytes <= SMALL_BYTES_MAX ? RESERVE_BYTES : 0;
    return this.#belowBytes + this.#overlay.bytes + bytes <= this.#limits.bytesMax + reserve;
  }

  #isCrowded(times = 1): boolean {
    const { rows, memoryBytes } = this.#overlay;
    const { rowsMax, memoryBytesMax } = this.#limits;
    return rows > times * rowsMax || memoryBytes > times * memoryBytesMax;
  }

  /** In the background, after a commit. One that needs what failed here tries it again, and says so. */
  keepUp(): void {
    if (!this.#isCrowded() && this.#ring.isReadyFor(0)) return;
    this.#rests -= 1;
    if (this.#rests > 0) return;
    this.#upkeep ??= this.#work(0)
      .catch(() => {
        this.#rests = REST_COMMITS;
      })
      .finally(() => {
        this.#upkeep = undefined;
      });
  }

  /** Gives segments back and makes new ones until one is free that holds so much, and one in reserve. */
  async #work(bytes: number): Promise<void> {
    while (this.#isCrowded() && this.#ring.hasFull) await this.#freeOldest();
    while (!this.#ring.isReadyFor(bytes)) {
      if (this.#ring.shouldFree(bytes)) await this.#freeOldest();
      else await this.#ring.add(bytes);
    }
  }

  /** Brings everything to the store below that can be. */
  async #moveAll(): Promise<void> {
    if (this.#overlay.rows === 0) return;
    this.#ring.begin(0, true);
    try {
      while (this.#ring.hasFull) await this.#freeOldest();
    } catch (error) {
      if (!(error instanceof StoreError && error.failure === "full")) throw error;
    }
  }

  async #freeOldest(): Promise<void> {
    const segment = this.#ring.oldest as Segment;
    let batch: StoreWrite[] = [];
    let moving: { readonly table: Table; readonly row: OverlayRow }[] = [];
    let bytes = 0;
    const move = async (): Promise<void> => {
      await this.#below.commit(batch);
      for (const { table, row } of moving) this.#overlay.drop(table, row);
      this.#belowBytes = this.#below.usedBytes();
      batch = [];
      moving = [];
      bytes = 0;
    };
    for (const found of [...this.#overlay.rowsOf(segment)]) {
      const { table, row } = found;
      if (this.#overlay.get(table, row.key) !== row) continue; // changed meanwhile
      batch.push({ table, key: row.key, value: valueIn(row) });
      moving.push(found);
      bytes += bytesBelow(row);
      if (bytes >= MOVE_BYTES || batch.length >= MOVE_ROWS) await move();
    }
    const moved = Math.max(this.#moved, segment.last);
    // Rows that were not brought below are as later commits left them, which must not be lost from now on.
    const row = encodeWalRow({ salt: this.#salt, moved, synced: this.#ring.last });
    batch.push({ table: "meta", key: WAL_KEY, value: row });
    await move();
    this.#moved = moved;
    this.#ring.freeOldest();
  }

  /** Once nothing is written. */
  async close(): Promise<void> {
    await this.#upkeep;
    this.#ring.close();
  }
}
