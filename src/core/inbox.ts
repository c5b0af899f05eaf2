/**
 * What one consumer has handled of one producer's messages for one subscription.
 *
 * Problem: a message can arrive again (a settle got lost, a link broke, a shard came back); the
 * second arrival must have no second effect, for as long as the producer may still send it.
 * Approach: the producer states its durable floor, the position up to which everything is settled;
 * above it this member keeps marks of what it handled, as ranges per epoch of the producer. A mark
 * covers the message and the positions before it that do not concern the subscription, so that
 * in-order traffic is one range.
 *
 * Invariants:
 * - the floor never falls, whatever is heard and in whatever order; marks are strictly above it;
 * - `isSettled(p)` once true stays true;
 * - `rangesCount <= rangesMax` and `epochsCount <= epochsMax`, but for a row stored under larger
 *   limits.
 * At the limit a mark is refused ("full"), nothing is forgotten instead: forgetting would turn a
 * redelivery into a second effect. Ask `hasRoom` before a handler starts; a message without room
 * goes back unhandled.
 *
 * Rejected: a set of message ids (grows with traffic instead of with gaps); a high-water mark alone
 * (wrong as soon as keys are handled in parallel); forgetting the oldest marks after a time.
 *
 * Bytes, big-endian: version (u8 = 1), floor epoch (u32), floor seq (u64), count of epochs (u32),
 * then for each epoch in ascending order: epoch (u32), length (u32), that many bytes of
 * RangeSet.encode.
 * Source: DESIGN section 7, "Inbox".
 */
import { MeshError } from "../errors.ts";
import { comparePositions, type Position, ZERO } from "./position.ts";
import { RangeSet } from "./range-set.ts";

export type InboxLimits = {
  /** Most ranges over all epochs; one costs about 16 bytes in memory and 2 to 5 on disk. */
  readonly rangesMax: number;
  /** Most producer epochs with marks above the floor. */
  readonly epochsMax: number;
};

/**
 * What meshbus runs with: 1 MiB of ranges, and more restarts than a producer sees before its floor
 * moves.
 */
export const INBOX_LIMITS: InboxLimits = Object.freeze({ rangesMax: 65_536, epochsMax: 1_024 });

/** "known": it was settled before, nothing changed. "full": a limit is reached, nothing changed. */
export type MarkVerdict = "marked" | "known" | "full";

const VERSION = 1;
const HEADER_BYTES = 17;
const EPOCH_HEADER_BYTES = 8;

export class Inbox {
  readonly #limits: InboxLimits;
  readonly #marks = new Map<number, RangeSet>();
  #floor: Position = ZERO;
  #rangesCount = 0;

  constructor(limits: InboxLimits) {
    this.#limits = limits;
  }

  /** The highest floor heard: everything at or below it is settled at the producer, durably. */
  get floor(): Position {
    return this.#floor;
  }

  get rangesCount(): number {
    return this.#rangesCount;
  }

  get epochsCount(): number {
    return this.#marks.size;
  }

  /** Takes note of a floor stated by the producer; true when it was higher than any before. */
  heardFloor(position: Position): boolean {
    if (comparePositions(position, this.#floor) <= 0) return false;
    this.#floor = { epoch: position.epoch, seq: position.seq };
    for (const [epoch, ranges] of this.#marks) {
      if (epoch > position.epoch) continue;
      this.#rangesCount -= ranges.size;
      if (epoch === position.epoch) ranges.removeBelow(position.seq);
      if (epoch < position.epoch || ranges.size === 0) this.#marks.delete(epoch);
      else this.#rangesCount += ranges.size;
    }
    return true;
  }

  /**
   * True when a message of this epoch, and `running` others whose handlers have started, can all be
   * marked later whatever order they end in.
   */
  hasRoom(epoch: number, running: number): boolean {
    const { rangesMax, epochsMax } = this.#limits;
    if (this.#rangesCount + running >= rangesMax) return false;
    // The others may bring a new epoch each; one that is known takes no more room.
    const epochs = this.#marks.size + running;
    return epochs < epochsMax || (epochs === epochsMax && this.#marks.has(epoch));
  }

  /**
   * Marks from..to (a message and the positions skipped before it) as handled. What is at or below
   * the floor is left out, and so is what is below 0: how many were skipped is the peer's word.
   * @throws MeshError INVALID_OPTIONS unless they are integers with from <= to and 0 <= to <= 2^53-1
   */
  mark(epoch: number, from: number, to: number): MarkVerdict {
    const { epoch: floorEpoch, seq: floorSeq } = this.#floor;
    if (epoch < floorEpoch || (epoch === floorEpoch && to <= floorSeq)) return "known";
    const start = Math.max(from, epoch === floorEpoch ? floorSeq + 1 : 0);
    const ranges = this.#marks.get(epoch);
    if (ranges === undefined) return this.#markNewEpoch(epoch, start, to);
    if (ranges.hasAll(start, to)) return "known";
    if (this.#rangesCount >= this.#limits.rangesMax && !touches(ranges, start, to)) return "full";
    const before = ranges.size;
    ranges.add(start, to);
    this.#rangesCount += ranges.size - before;
    return "marked";
  }

  /** True when the message was handled here, or is at or below the floor. */
  isSettled(epoch: number, seq: number): boolean {
    const floor = this.#floor;
    if (epoch < floor.epoch || (epoch === floor.epoch && seq <= floor.seq)) return true;
    return this.#marks.get(epoch)?.has(seq) ?? false;
  }

  encode(): Uint8Array {
    const parts = [...this.#marks]
      .sort(([a], [b]) => a - b)
      .map(([epoch, ranges]) => ({ epoch, body: ranges.encode() }));
    const length = parts.reduce(
      (sum, { body }) => sum + EPOCH_HEADER_BYTES + body.length,
      HEADER_BYTES,
    );
    const bytes = new Uint8Array(length);
    const view = new DataView(bytes.buffer);
    view.setUint8(0, VERSION);
    view.setUint32(1, this.#floor.epoch);
    view.setBigUint64(5, BigInt(this.#floor.seq));
    view.setUint32(13, parts.length);
    let at = HEADER_BYTES;
    for (const { epoch, body } of parts) {
      view.setUint32(at, epoch);
      view.setUint32(at + 4, body.length);
      bytes.set(body, at + EPOCH_HEADER_BYTES);
      at += EPOCH_HEADER_BYTES + body.length;
    }
    return bytes;
  }

  /**
   * The inverse of `encode`. A row beyond the limits is read in full; new marks are then refused
   * until the floor has moved. Takes memory in proportion to `bytes`.
   * @throws MeshError JOURNAL_DAMAGED
   */
  static decode(bytes: Uint8Array, limits: InboxLimits): Inbox {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < HEADER_BYTES || bytes[0] !== VERSION) {
      throw damaged(`${bytes.length} B of version ${bytes[0]}; expected version ${VERSION}`);
    }
    const inbox = new Inbox(limits);
    const seq = Number(view.getBigUint64(5));
    if (!Number.isSafeInteger(seq)) throw damaged(`the floor's sequence is ${seq}`);
    inbox.#floor = { epoch: view.getUint32(1), seq };
    let left = view.getUint32(13);
    let at = HEADER_BYTES;
    let previous = -1;
    for (; left > 0; left--) {
      if (at + EPOCH_HEADER_BYTES > bytes.length) throw damaged(`it stops short at byte ${at}`);
      const epoch = view.getUint32(at);
      const end = at + EPOCH_HEADER_BYTES + view.getUint32(at + 4);
      if (end > bytes.length) throw damaged(`epoch ${epoch} ends beyond byte ${bytes.length}`);
      if (epoch <= previous) throw damaged(`epoch ${epoch} follows ${previous}`);
      inbox.#restore(epoch, RangeSet.decode(bytes.subarray(at + EPOCH_HEADER_BYTES, end)));
      previous = epoch;
      at = end;
    }
    if (at !== bytes.length) throw damaged(`${bytes.length - at} B follow the last epoch`);
    return inbox;
  }

  #markNewEpoch(epoch: number, from: number, to: number): MarkVerdict {
    if (this.#marks.size >= this.#limits.epochsMax) return "full";
    if (this.#rangesCount >= this.#limits.rangesMax) return "full";
    const ranges = new RangeSet();
    ranges.add(from, to);
    this.#marks.set(epoch, ranges);
    this.#rangesCount++;
    return "marked";
  }

  #restore(epoch: number, ranges: RangeSet): void {
    const first = ranges.first;
    if (first === undefined) throw damaged(`epoch ${epoch} has no marks`);
    if (comparePositions({ epoch, seq: first.from }, this.#floor) <= 0) {
      throw damaged(`a mark at ${epoch}:${first.from} is not above the floor`);
    }
    this.#marks.set(epoch, ranges);
    this.#rangesCount += ranges.size;
  }
}

/** True when from..to overlaps or adjoins a range, so that adding it makes no new one. */
const touches = (ranges: RangeSet, from: number, to: number): boolean =>
  ranges.meets(from === 0 ? 0 : from - 1, to + 1);

const damaged = (what: string): MeshError =>
  new MeshError("JOURNAL_DAMAGED", `an inbox row cannot be read: ${what}`);
