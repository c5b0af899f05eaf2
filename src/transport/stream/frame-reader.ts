/**
 * Cuts a byte stream into frames: a preamble of 8 bytes, then for each frame its length (4 bytes,
 * big-endian) and its bytes. Length 0 is the close marker.
 *
 * Problem: chunks end anywhere, and a peer may claim lengths that it never sends, or send byte by byte.
 * Approach: a frame that lies whole in one chunk is a view of it, without a copy; one that does not is
 * gathered in a buffer that doubles with what has arrived, up to the length claimed.
 *
 * Invariants: memory held is at most twice what arrived of one frame (and 64 KiB); nothing is handed over
 * after a marker or a fault; a buffer is used again only after all frames in it were given back.
 */

export const PREAMBLE: Uint8Array = Buffer.from("meshbus1");
export const HEADER_BYTES = 4;
const GATHER_BYTES = 64 * 1024;

/** "free": nothing of the frame is kept. "stop": it may be, and nothing more is wanted. */
export type FrameVerdict = "stop" | "kept" | "free";

export type FrameSink = {
  frame(bytes: Buffer): FrameVerdict;
  marker(): void;
  /** `code` says more to who reports it. */
  malformed(what: string, code?: string): void;
};

/** Types of TLS records: an alert, and the first of a handshake. */
const TLS_RECORDS = [0x15, 0x16];
const TLS = "TLS: it has keys, and this node has none";

export class FrameReader {
  readonly #frameBytesMax: number;
  readonly #sink: FrameSink;
  #isDone = false;
  #greeted = 0;
  /** Bytes of a header that was cut. */
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** The frame being gathered: its length, 0 when there is none, and what has arrived of it. */
  #length = 0;
  #gathered = 0;
  #body: Buffer = this.#header;
  /** Where the last frame was gathered, when nothing of it was kept. */
  #spare: Buffer | undefined;
  /** Somebody may look into the chunk later. */
  #isKept = false;

  constructor(frameBytesMax: number, sink: FrameSink) {
    this.#frameBytesMax = frameBytesMax;
    this.#sink = sink;
  }

  /** Anything came. */
  get isGreeted(): boolean {
    return this.#greeted > 0;
  }

  /**
   * Takes the next bytes of the stream. The chunk belongs to the reader: frames are views of it.
   * @returns whether nothing of the chunk is kept
   */
  push(chunk: Buffer): boolean {
    this.#isKept = false;
    if (!this.#isDone) this.#read(chunk);
    return !this.#isKept;
  }

  #read(chunk: Buffer): void {
    let at = this.#greet(chunk);
    if (this.#length > 0) at = this.#gather(chunk, at);
    while (!this.#isDone && at < chunk.length) {
      if (this.#headerBytes > 0 || chunk.length - at < HEADER_BYTES) {
        at = this.#splitHeader(chunk, at);
        if (this.#headerBytes > 0) return;
        if (this.#length > 0) at = this.#gather(chunk, at);
        continue;
      }
      const length = chunk.readUInt32BE(at);
      at += HEADER_BYTES;
      if (!this.#accepts(length)) return;
      const end = at + length;
      if (end <= chunk.length) {
        if (this.#handOver(chunk.subarray(at, end)) !== "free") this.#isKept = true;
        at = end;
      } else {
        this.#begin(length);
        at = this.#gather(chunk, at);
      }
    }
  }

  /** Returns where the frames begin in this chunk. */
  #greet(chunk: Buffer): number {
    let at = 0;
    while (this.#greeted < PREAMBLE.length && at < chunk.length) {
      if (chunk[at] !== PREAMBLE[this.#greeted]) {
        this.#isDone = true;
        const isTls = this.#greeted === 0 && TLS_RECORDS.includes(chunk[at] as number);
        if (isTls) this.#sink.malformed(TLS, "UNAUTHORIZED");
        else this.#sink.malformed("another protocol");
        return chunk.length;
      }
      at++;
      this.#greeted++;
    }
    return at;
  }

  #accepts(length: number): boolean {
    if (length > 0 && length <= this.#frameBytesMax) return true;
    this.#isDone = true;
    if (length === 0) this.#sink.marker();
    else this.#sink.malformed(`a frame of ${length} B, above frameBytesMax ${this.#frameBytesMax}`);
    return false;
  }

  #splitHeader(chunk: Buffer, from: number): number {
    let at = from;
    while (this.#headerBytes < HEADER_BYTES && at < chunk.length) {
      this.#header[this.#headerBytes++] = chunk[at++] as number;
    }
    if (this.#headerBytes < HEADER_BYTES) return at;
    this.#headerBytes = 0;
    const length = this.#header.readUInt32BE(0);
    if (this.#accepts(length)) this.#begin(length);
    return at;
  }

  #begin(length: number): void {
    this.#length = length;
    this.#gathered = 0;
    const bytes = Math.min(length, GATHER_BYTES);
    const spare = this.#spare;
    this.#spare = undefined;
    this.#body = spare !== undefined && spare.length >= bytes ? spare : Buffer.allocUnsafe(bytes);
  }

  #handOver(frame: Buffer): FrameVerdict {
    const verdict = this.#sink.frame(frame);
    this.#isDone = verdict === "stop";
    return verdict;
  }

  #gather(chunk: Buffer, from: number): number {
    const end = Math.min(chunk.length, from + this.#length - this.#gathered);
    this.#ensure(this.#gathered + end - from);
    chunk.copy(this.#body, this.#gathered, from, end);
    this.#gathered += end - from;
    if (this.#gathered === this.#length) {
      const body = this.#body;
      const frame = body.length === this.#length ? body : body.subarray(0, this.#length);
      this.#length = 0;
      this.#body = this.#header;
      if (this.#handOver(frame) === "free" && body.length <= GATHER_BYTES) this.#spare = body;
    }
    return end;
  }

  #ensure(bytes: number): void {
    if (bytes <= this.#body.length) return;
    const size = Math.min(this.#length, Math.max(bytes, 2 * this.#body.length));
    const larger = Buffer.allocUnsafe(size);
    this.#body.copy(larger, 0, 0, this.#gathered);
    this.#body = larger;
  }
}
