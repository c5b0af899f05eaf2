/**
 * The receiving side of large frames: puts their pieces together.
 *
 * Problem: pieces come from a peer that may be broken or hostile, and what is half there takes memory. Approach: a
 * lane carries one frame at a time, its pieces in order and without gaps, all of which say how large the whole is.
 * Anything else is a fault, after which the link has no use. The room for a frame is asked for at its first piece, once:
 * memory of that size is not used before it is written to, and is never moved.
 *
 * Invariants: at most two frames are half there; neither is larger than `frameBytesMax`; `taken` is the sum of the
 * pieces' bytes. What is half there when the link goes, goes with it.
 */
import type { Lane } from "./piece-sender.ts";

export type Piece = {
  readonly lane: Lane;
  /** Bytes of the whole frame, and where in it this piece begins. */
  readonly total: number;
  readonly offset: number;
  readonly data: Uint8Array;
};

export type PieceFault = { readonly code: "MALFORMED" | "TOO_LARGE"; readonly message: string };

type Half = { readonly bytes: Uint8Array; filled: number };

export class PieceAssembler {
  readonly #frameBytesMax: number;
  readonly #allocate: (bytes: number) => Uint8Array;
  readonly #halves: Record<Lane, Half | undefined> = { bulk: undefined, express: undefined };
  #taken = 0;

  /** @param allocate gives room for a frame; it need not be zeroes */
  constructor(frameBytesMax: number, allocate: (bytes: number) => Uint8Array) {
    this.#frameBytesMax = frameBytesMax;
    this.#allocate = allocate;
  }

  /** Bytes of pieces since the session began. */
  get taken(): number {
    return this.#taken;
  }

  /** A frame is half there. */
  get isHalf(): boolean {
    return this.#halves.bulk !== undefined || this.#halves.express !== undefined;
  }

  /** The frame that this piece completes, undefined while some are missing, or what is wrong with the piece. */
  take(piece: Piece): Uint8Array | PieceFault | undefined {
    const { lane, total, offset, data } = piece;
    if (total > this.#frameBytesMax) {
      const message = `a frame of ${total} B in pieces exceeds frameBytesMax ${this.#frameBytesMax}`;
      return { code: "TOO_LARGE", message };
    }
    let half = this.#halves[lane];
    const expected = half?.filled ?? 0;
    if (data.length === 0 || offset !== expected || (half && half.bytes.length !== total)) {
      const where = half === undefined ? "a new frame" : `${expected} of ${half.bytes.length} B`;
      return malformed(`${data.length} B at ${offset} of ${total} do not go on with ${where}`);
    }
    if (offset + data.length > total)
      return malformed(`a piece ends beyond its frame of ${total} B`);
    half ??= { bytes: this.#allocate(total), filled: 0 };
    half.bytes.set(data, offset);
    half.filled += data.length;
    this.#taken += data.length;
    const isWhole = half.filled === total;
    this.#halves[lane] = isWhole ? undefined : half;
    return isWhole ? half.bytes : undefined;
  }
}

const malformed = (message: string): PieceFault => ({ code: "MALFORMED", message });
