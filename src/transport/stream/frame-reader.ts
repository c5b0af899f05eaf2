/**
 * Cuts a byte stream into frames: a preamble of 8 bytes, then for each frame its length (4 bytes,
 * big-endian) and its bytes. Length 0 is the close marker.
 *
 * Problem: reads end anywhere, a peer may claim lengths that it never sends, or send byte by byte, and memory that was
 * never used costs more than the bytes that are read into it. Approach: the reader says where the next bytes go. That is
 * a room, which is used again when nobody kept anything of it, or, of a frame that does not fit there, memory of the
 * frame's size: most of a large frame lies where it will stay when it is read. After a large frame only a little is
 * read at first, so that little of the next one has to be moved. What a small read brings is copied to memory of its size:
 * a message that is kept must not keep a whole room.
 *
 * Invariants: memory held is at most twice what arrived of one frame, and 324 KiB; nothing is handed over after a marker
 * or a fault; memory is used again only after all frames in it were given back.
 */

export const PREAMBLE: Uint8Array = Buffer.from("meshbus1");
export const HEADER_BYTES = 4;
/** As much as is read at once. */
const ROOM_BYTES = 64 * 1024;
/** Less room than this at the end of a room is not worth a read. */
const REST_BYTES_MIN = 32 * 1024;
/** What is read when a large frame may begin. */
const PEEK_BYTES = 4 * 1024;
/** A read of at most this is copied to where it may be kept. */
const TIGHT_BYTES = 16 * 1024;
/** A frame of at most this is copied out of a room that nobody keeps. */
const SMALL_BYTES = 2 * 1024;
/** Up to this a frame has memory of its size at once, above every frame that is not in pieces; then it doubles. */
const BODY_BYTES_MIN = 260 * 1024;

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
  #sink: FrameSink | undefined;
  #isDone = false;
  #greeted = 0;
  /** Where frames are read; undefined: the last one was kept. */
  #room: Buffer | undefined;
  /** From here to there it holds what was not handed over, which cannot be before so many bytes are there. */
  #start = 0;
  #end = 0;
  #needed = 1;
  /** Somebody may look into the room later. */
  #isKept = false;
  /** Memory of a frame that does not fit in the room, its length, and what has arrived of it. */
  #body: Buffer | undefined;
  #length = 0;
  #gathered = 0;
  #isAfterBody = false;

  /** Without a sink what arrives waits until `open`. */
  constructor(frameBytesMax: number, sink?: FrameSink) {
    this.#frameBytesMax = frameBytesMax;
    this.#sink = sink;
  }

  /** Anything came. */
  get isGreeted(): boolean {
    return this.#greeted > 0;
  }

  /** False: no more can be read before it is open. */
  get hasRoom(): boolean {
    return this.#sink !== undefined || this.#end < ROOM_BYTES;
  }

  /** Hands over what is there and all that comes. */
  open(sink: FrameSink): void {
    this.#sink = sink;
    this.#read();
  }

  /** Where the next bytes of the stream go. */
  room(): Buffer {
    if (this.#body !== undefined) return this.#body.subarray(this.#gathered);
    this.#room ??= Buffer.allocUnsafe(ROOM_BYTES);
    const from = this.#end;
    if (this.#isAfterBody) return this.#room.subarray(from, from + PEEK_BYTES);
    return from === 0 ? this.#room : this.#room.subarray(from);
  }

  /** So many bytes were written there. */
  filled(bytes: number): void {
    if (this.#body !== undefined) {
      this.#gathered += bytes;
      this.#grow(this.#body);
      return;
    }
    this.#end += bytes;
    this.#isAfterBody = false;
    if (this.#sink !== undefined) this.#read();
  }

  /** Takes bytes that were read elsewhere. They are copied. */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      const bytes = chunk.copy(this.room(), 0, at);
      at += bytes;
      this.filled(bytes);
    }
  }

  /** The body has grown. */
  #grow(body: Buffer): void {
    if (this.#gathered === this.#length) {
      this.#body = undefined;
      this.#isAfterBody = true;
      this.#handOver(body);
    } else if (this.#gathered === body.length) {
      this.#body = Buffer.allocUnsafe(Math.min(this.#length, 2 * body.length));
      body.copy(this.#body);
    }
  }

  #read(): void {
    if (this.#isDone) this.#leave();
    const room = this.#room;
    if (room === undefined || this.#end - this.#start < this.#needed) return;
    const end = this.#end;
    const isTight = this.#start === 0 && end <= TIGHT_BYTES && this.#isWhole(room, end);
    const bytes = isTight ? copied(room, end) : room;
    let at = this.#greet(bytes, this.#start, end);
    let missing = 0;
    while (!this.#isDone && end - at >= HEADER_BYTES) {
      const length = bytes.readUInt32BE(at);
      const from = at + HEADER_BYTES;
      if (!this.#accepts(length)) break;
      if (end - from < length) {
        missing = length;
        break;
      }
      at = from + length;
      // One small frame must not take the whole room away.
      const isOwn = isTight || (length <= SMALL_BYTES && !this.#isKept);
      const frame = bytes.subarray(from, at);
      const verdict = this.#handOver(isOwn && !isTight ? Buffer.from(frame) : frame);
      if (verdict !== "free" && !isOwn) this.#isKept = true;
    }
    this.#start = at;
    this.#needed = HEADER_BYTES + missing;
    this.#makeRoom(room, missing);
  }

  /** A frame ends in these bytes. */
  #isWhole(bytes: Buffer, end: number): boolean {
    if (this.#greeted < PREAMBLE.length || end < HEADER_BYTES) return true;
    return HEADER_BYTES + bytes.readUInt32BE(0) <= end;
  }

  /** Sees to it that the rest of the frame that begins at `start`, of so many bytes, can be read. 0: of its header. */
  #makeRoom(room: Buffer, length: number): void {
    const end = this.#end;
    const rest = room.length - end;
    if (this.#isDone || this.#start === end) {
      if (this.#isDone || !this.#isKept || rest < REST_BYTES_MIN) this.#leave();
      return;
    }
    if (length > 0 ? this.#start + this.#needed <= room.length : rest >= REST_BYTES_MIN) return;
    if (this.#needed > ROOM_BYTES / 2) {
      const from = this.#start + HEADER_BYTES;
      this.#length = length;
      this.#gathered = end - from;
      this.#body = Buffer.allocUnsafe(Math.min(length, BODY_BYTES_MIN));
      room.copy(this.#body, 0, from, end);
      this.#needed = HEADER_BYTES;
      this.#leave();
      return;
    }
    const next = this.#isKept ? Buffer.allocUnsafe(ROOM_BYTES) : room;
    room.copy(next, 0, this.#start, end);
    this.#room = next;
    this.#restart(end - this.#start);
  }

  /** Nothing in the room waits any more; it is used again, or is of those who keep it. */
  #leave(): void {
    if (this.#isKept) this.#room = undefined;
    this.#restart(0);
  }

  #restart(end: number): void {
    this.#start = 0;
    this.#end = end;
    this.#isKept = false;
  }

  /** Returns where the frames begin. */
  #greet(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (this.#greeted < PREAMBLE.length && at < end) {
      if (bytes[at] !== PREAMBLE[this.#greeted]) {
        this.#isDone = true;
        const isTls = this.#greeted === 0 && TLS_RECORDS.includes(bytes[at] as number);
        if (isTls) this.#sink?.malformed(TLS, "UNAUTHORIZED");
        else this.#sink?.malformed("another protocol");
        return end;
      }
      at++;
      this.#greeted++;
    }
    return at;
  }

  #accepts(length: number): boolean {
    if (length > 0 && length <= this.#frameBytesMax) return true;
    this.#isDone = true;
    if (length === 0) this.#sink?.marker();
    else {
      this.#sink?.malformed(`a frame of ${length} B, above frameBytesMax ${this.#frameBytesMax}`);
    }
    return false;
  }

  #handOver(frame: Buffer): FrameVerdict {
    const verdict = this.#sink?.frame(frame) ?? "stop";
    if (verdict === "stop") this.#isDone = true;
    return verdict;
  }
}

/** Its first bytes, in memory of their size. */
const copied = (room: Buffer, bytes: number): Buffer => {
  const copy = Buffer.allocUnsafe(bytes);
  room.copy(copy, 0, 0, bytes);
  return copy;
};
