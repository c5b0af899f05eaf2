/**
 * Envelopes of one contract, one after the other, of which a handler wants the payload and no more.
 *
 * Problem: a view reads every field of an envelope, and nearly all of them say what the envelope before said.
 * Approach: the constants of the last contract are kept as bytes; where an envelope begins with them, and goes on
 * with a time and a payload to its end, its payload is found by comparing. Anything else takes a view.
 *
 * Invariant: a payload that is returned is what a view of the envelope would give, and the `head` says all else.
 */
import { plainPayload } from "./bundle.ts";
import { ByteReader } from "./byte-reader.ts";
import { EnvelopeView } from "./envelope.ts";
import { WireError } from "./wire-error.ts";

/** More constants than this are not worth a comparison. */
const HEAD_BYTES_MAX = 512;
const TIME_TAG = 0x21;
const NO_BYTES = new Uint8Array(0);

export class PlainEnvelopes {
  #bytes: Uint8Array = NO_BYTES;
  #head: EnvelopeView | undefined;

  /** The constants that are known; they have been checked. */
  get head(): EnvelopeView | undefined {
    return this.#head;
  }

  /** The payload, where there is nothing else but the constants that are known, and a time. */
  payloadOf(bytes: Uint8Array, start: number, end: number): Uint8Array | undefined {
    const head = this.#bytes;
    const rest = start + head.length;
    if (this.#head === undefined || rest > end) return undefined;
    for (let at = 0; at < head.length; at++) if (bytes[start + at] !== head[at]) return undefined;
    return plainPayload(bytes, rest, end);
  }

  /** Takes the constants of this envelope for those that follow, if nothing but a time and a payload is behind them. */
  learn(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = NO_BYTES;
    this.#head = undefined;
    try {
      const rest = endOfConstants(bytes, start, end);
      if (rest - start > HEAD_BYTES_MAX || plainPayload(bytes, rest, end) === undefined) return;
      const own = bytes.slice(start, rest); // the frame does not stay for it
      const head = new EnvelopeView(own);
      if (!head.isConstant) return;
      this.#bytes = own;
      this.#head = head;
    } catch (error) {
      // Whoever reads it by a view says so.
      if (!(error instanceof WireError)) throw error;
    }
  }
}

const endOfConstants = (bytes: Uint8Array, start: number, end: number): number => {
  const reader = new ByteReader(bytes, start, end);
  while (reader.position < reader.limit) {
    const at = reader.position;
    const tag = reader.tag();
    if (tag === TIME_TAG) return at;
    reader.skip(tag, 0);
  }
  return end;
};
