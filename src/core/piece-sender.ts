/**
 * The sending side of large frames: what one link cuts into pieces, and which piece goes next.
 *
 * Problem: a frame of 64 MB on a connection delays everything behind it, and frames that depend on one another must
 * keep their order. Approach: two lanes, "bulk" (batches) and "express" (requests and replies), each in order; they
 * take turns piece by piece. A small frame goes through a lane only when something waits there that it must not
 * overtake, and then whole. Pieces on their way are bounded by a window (piece-window.ts) that what the peer
 * has taken opens again.
 *
 * Invariants: `next` gives the bytes of a lane's frames in order, each once; pieces sent and not taken never exceed the
 * window, but for one piece that may always go; nothing is copied: what is given is a view of what was pushed; of a
 * frame that went in pieces `over` hears once, when the peer has taken the last.
 */
import { PieceWindow } from "./piece-window.ts";
import { Ring } from "./ring.ts";

export type Lane = "bulk" | "express";

export type PieceSizes = {
  /** Frames above this are cut. */
  readonly wholeBytesMax: number;
  /** Bytes of a piece. */
  readonly pieceBytes: number;
  /** Least and most bytes of pieces on their way. */
  readonly windowBytesMin: number;
  readonly windowBytesMax: number;
};

/**
 * Of a real node. Sockets are read 64 KiB at a time: pieces of half of that mostly lie whole in what was read. Frames up
 * to 256 KiB are cheaper whole, and take a fast network less than half a millisecond.
 */
export const PIECE_SIZES: PieceSizes = Object.freeze({
  wholeBytesMax: 256 * 1024,
  pieceBytes: 32 * 1024 - 64,
  windowBytesMin: 128 * 1024,
  windowBytesMax: 8 * 1024 * 1024,
});

/** A frame, as the parts that it consists of. */
export type Parts = readonly Uint8Array[];

/** What goes next. */
export type Cut = {
  readonly lane: Lane;
  /** Undefined: `parts` are a whole small frame. */
  readonly piece: { readonly total: number; readonly offset: number } | undefined;
  readonly parts: Parts;
};

type Waiting = {
  readonly parts: Parts;
  readonly bytes: number;
  readonly ready: ((upTo: number) => void) | undefined;
  sent: number;
};
type Sent = {
  readonly upTo: number;
  readonly bytes: number;
  readonly atMs: number;
  /** The frame that it ends. */
  readonly whole: Parts | undefined;
};

export class PieceSender {
  readonly #sizes: PieceSizes;
  readonly #window: PieceWindow;
  readonly #lanes: Readonly<Record<Lane, Ring<Waiting>>> = {
    bulk: new Ring<Waiting>(),
    express: new Ring<Waiting>(),
  };
  readonly #waitingBytes: Record<Lane, number> = { bulk: 0, express: 0 };
  /** Whose turn it is. */
  #turn: Lane = "express";
  /** Bytes of pieces since the session began: given to the connection, and taken by the peer. */
  #sent = 0;
  #taken = 0;
  readonly #underWay = new Ring<Sent>();
  readonly #over: (parts: Parts) => void;

  constructor(sizes: PieceSizes, over: (parts: Parts) => void = () => {}) {
    this.#sizes = sizes;
    this.#over = over;
    this.#window = new PieceWindow(sizes.windowBytesMin, sizes.windowBytesMax);
  }

  /** Bytes that wait in a lane. */
  waiting(lane: Lane): number {
    return this.#waitingBytes[lane];
  }

  /** Bytes of pieces that the peer has taken since the session began, and those it has not. */
  get takenBytes(): number {
    return this.#taken;
  }

  get underWay(): number {
    return this.#sent - this.#taken;
  }

  /** Whether a frame of this size need not go through the lane. */
  passes(lane: Lane, bytes: number): boolean {
    return bytes <= this.#sizes.wholeBytesMax && this.#lanes[lane].length === 0;
  }

  /** `ready` is told how many of the frame's first bytes are about to leave, before they do. */
  push(lane: Lane, parts: Parts, ready?: (upTo: number) => void): void {
    const bytes = bytesOf(parts);
    this.#lanes[lane].push({ parts, bytes, ready, sent: 0 });
    this.#waitingBytes[lane] += bytes;
  }

  /** The next to be sent, which counts as sent; undefined: nothing waits, or the window is full. */
  next(nowMs: number): Cut | undefined {
    const other = this.#turn === "bulk" ? "express" : "bulk";
    return this.#cut(this.#turn, nowMs) ?? this.#cut(other, nowMs);
  }

  /** What waits, without regard to the window: the session ends. */
  rest(nowMs: number): Cut | undefined {
    return this.#cut("express", nowMs, true) ?? this.#cut("bulk", nowMs, true);
  }

  /** The peer has taken so many bytes of pieces since the session began. False: it cannot have. */
  taken(total: number, nowMs: number): boolean {
    if (total < this.#taken || total > this.#sent) return false;
    for (let first = this.#underWay.at(0); first !== undefined; first = this.#underWay.at(0)) {
      if (first.upTo > total) break;
      this.#underWay.shift();
      this.#window.taken(first.atMs, nowMs, first.bytes, this.#sent, total);
      if (first.whole !== undefined) this.#over(first.whole);
    }
    this.#taken = total;
    return true;
  }

  #cut(lane: Lane, nowMs: number, isLast = false): Cut | undefined {
    const ring = this.#lanes[lane];
    const waiting = ring.at(0);
    if (waiting === undefined) return undefined;
    const { parts, bytes, sent } = waiting;
    if (bytes <= this.#sizes.wholeBytesMax) {
      ring.shift();
      this.#gave(lane, bytes);
      return { lane, piece: undefined, parts };
    }
    const size = Math.min(this.#sizes.pieceBytes, bytes - sent);
    if (!isLast && this.underWay > 0 && this.underWay + size > this.#window.bytes) return undefined;
    waiting.sent += size;
    waiting.ready?.(waiting.sent);
    const isLastPiece = waiting.sent === bytes;
    if (isLastPiece) ring.shift();
    this.#gave(lane, size);
    this.#sent += size;
    const whole = isLastPiece ? parts : undefined;
    this.#underWay.push({ upTo: this.#sent, bytes: size, atMs: nowMs, whole });
    return {
      lane,
      piece: { total: bytes, offset: sent },
      parts: sliceOf(parts, sent, sent + size),
    };
  }

  #gave(lane: Lane, bytes: number): void {
    this.#waitingBytes[lane] -= bytes;
    this.#turn = lane === "bulk" ? "express" : "bulk";
  }
}

export const bytesOf = (parts: Parts): number => parts.reduce((sum, { length }) => sum + length, 0);

const sliceOf = (parts: Parts, from: number, to: number): Parts => {
  const slices: Uint8Array[] = [];
  let start = 0;
  for (const part of parts) {
    const first = Math.max(from - start, 0);
    const end = Math.min(to - start, part.length);
    if (first < end) slices.push(part.subarray(first, end));
    start += part.length;
  }
  return slices;
};
