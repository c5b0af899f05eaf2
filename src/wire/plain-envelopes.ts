/**
 * Envelopes of one contract, one after the other, of which a handler wants the payload and no more.
 *
 * Problem: a view reads every field of an envelope, and nearly all of them say what the envelope before said.
 * Approach: the constants of the last contract are kept as bytes; where an envelope begins with them, and goes on
 * with a time, perhaps a key, and a payload to its end, its payload is found by comparing. Anything else takes a view.
 *
 * Invariant: a payload that is returned is what a view of the envelope would give, and the `head` says all else but
 * time and key.
 */
import { lastPayload, TIME_BYTES } from "./bundle.ts";
import { ByteReader, isAscii } from "./byte-reader.ts";
import { EnvelopeView } from "./envelope.ts";
import { WireError } from "./wire-error.ts";

/** More constants than this are not worth a comparison. */
const HEAD_BYTES_MAX = 512;
/** Envelopes in a row that may be learnt from for nothing; then only each so many-th is. */
const PATIENCE = 16;
const SELDOM = 256;
const TIME_TAG = 0x21;
const KEY_TAG = 0x1a;
const NO_BYTES = new Uint8Array(0);

export class PlainEnvelopes {
  #bytes: Uint8Array = NO_BYTES;
  #head: EnvelopeView | undefined;
  #patience = PATIENCE;

  /** The constants that are known; they have been checked. */
  get head(): EnvelopeView | undefined {
    return this.#head;
  }

  /** The payload, where there is nothing else but the constants that are known, a time, and perhaps a key. */
  payloadOf(bytes: Uint8Array, start: number, end: number): Uint8Array | undefined {
    if (!this.#begins(bytes, start, end)) return undefined;
    const payload = payloadBehindTime(bytes, start + this.#bytes.length, end);
    if (payload !== undefined) this.#patience = PATIENCE;
    return payload;
  }

  /** Whether it has the constants that are known, and no others. */
  #begins(bytes: Uint8Array, start: number, end: number): boolean {
    const head = this.#bytes;
    const rest = start + head.length;
    if (this.#head === undefined || rest >= end || bytes[rest] !== TIME_TAG) return false;
    for (let at = 0; at < head.length; at++) if (bytes[start + at] !== head[at]) return false;
    return true;
  }

  /** Takes the constants of this envelope for those that follow, where what is behind them is as for `payloadOf`. */
  learn(bytes: Uint8Array, start: number, end: number): void {
    // Where contracts alternate, or every message has something rare, there is nothing to be had.
    if (--this.#patience < 0 && this.#patience % SELDOM !== 0) return;
    if (this.#begins(bytes, start, end)) return;
    this.#bytes = NO_BYTES;
    this.#head = undefined;
    try {
      const rest = endOfConstants(bytes, start, end);
      if (rest - start > HEAD_BYTES_MAX || payloadBehindTime(bytes, rest, end) === undefined)
        return;
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

/** A key of 128 bytes and more, or beyond ASCII, takes a view. */
const payloadBehindTime = (
  bytes: Uint8Array,
  start: number,
  end: number,
): Uint8Array | undefined => {
  const at = start + TIME_BYTES;
  if (at > end || bytes[start] !== TIME_TAG) return undefined;
  if (at + 1 >= end || bytes[at] !== KEY_TAG) return lastPayload(bytes, at, end);
  const behindKey = at + 2 + (bytes[at + 1] as number);
  if ((bytes[at + 1] as number) > 0x7f || behindKey > end) return undefined;
  return isAscii(bytes, at + 2, behindKey) ? lastPayload(bytes, behindKey, end) : undefined;
};

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
