/**
 * One connection over a TCP socket, the same on both sides.
 *
 * Problem: a stream has no frames, and a FIN does not say whether the peer meant to leave or died.
 * Approach: frames with a length in front (frame-reader.ts); a length of zero is the *close marker*, after
 * which a side sends nothing more. What is sent in one turn leaves in one write: what is small, or must be copied anyway, from
 * rooms that are used again (send-rooms.ts), what is large from where it lies.
 *
 * States: open -> closing (marker sent or on its way; what arrives is dropped, so that the peer is never
 * reset while it still reads) -> ended, or open -> ended (the peer closed or was lost).
 *
 * Invariants: `closed` is reported exactly once, no event follows it; `bufferedBytes` is what the kernel has
 * not taken; after CLOSE_MS a closing connection is cut off, whatever the peer does.
 */
import type { Socket } from "node:net";
import { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import type {
  Channel,
  Connection,
  ConnectionEvents,
  TransportContext,
} from "../../ports/transport.ts";
import { isRefusedCertificate } from "../tls-channel.ts";
import {
  type FrameReader,
  type FrameSink,
  type FrameVerdict,
  HEADER_BYTES,
  PREAMBLE,
} from "./frame-reader.ts";
import type { SendRooms } from "./send-rooms.ts";
import { startReads } from "./socket-reads.ts";

/** How long `close()` waits for a peer that does not read. The port promises it. */
const CLOSE_MS = 500;
/** More of one turn does not wait for its end. */
const COPY_BYTES_MAX = 64 * 1024;
/** Up to this, what is sent is copied together: cheaper than a vector of small ones. */
const PUT_BYTES_MAX = 12 * 1024;
/** Less than this does not hold a room while the socket is behind. */
const WASTE_BYTES = 4 * 1024;
/** Above this a frame that is kept is large garbage later. */
const LARGE_BYTES = 16 * 1024;
const MARKER: Uint8Array = Buffer.alloc(HEADER_BYTES);

/** What makes up one frame, in order. */
type Parts = readonly Uint8Array[];

export type StreamParts = {
  readonly reader: FrameReader;
  readonly rooms: SendRooms;
  readonly channel: Channel | undefined;
};

export class StreamConnection implements Connection, FrameSink {
  readonly remote: string;
  readonly channel: Channel | undefined;
  /** Resolves when the socket is closed. */
  readonly gone: Promise<void>;
  readonly #socket: Socket;
  readonly #context: TransportContext;
  readonly #reader: FrameReader;
  readonly #rooms: SendRooms;
  #state: "open" | "closing" | "ended" = "open";
  #events: ConnectionEvents | undefined;
  #report: { readonly reason: MeshError | undefined } | undefined;
  #cause: Error | undefined;
  #deadline: Timer | undefined;
  /** Sent in this turn: what is written, in order, and how many bytes of frames that is. */
  #gathering: Uint8Array[] = [];
  #gatheringBytes = 0;
  /** The rooms among it. The last one is being filled; of it what is from here on is not among it yet. */
  #lent: Buffer[] = [];
  #room: Buffer | undefined;
  #roomFrom = 0;
  #roomEnd = 0;
  #unsent = 0;

  /** @param socket connected, and not read from yet but into `reader` */
  constructor(
    socket: Socket,
    remote: string,
    context: TransportContext,
    { reader, rooms, channel }: StreamParts,
  ) {
    this.#socket = socket;
    this.remote = remote;
    this.channel = channel;
    this.#context = context;
    this.#reader = reader;
    this.#rooms = rooms;
    this.gone = new Promise((resolve) => {
      socket.on("close", () => {
        this.#lost();
        resolve();
      });
    });
    socket.on("error", (error) => {
      this.#cause = error;
    });
    socket.on("end", () => this.#socket.destroy());
    socket.write(PREAMBLE);
  }

  get bufferedBytes(): number {
    return this.#state === "open" ? this.#unsent : 0;
  }

  open(events: ConnectionEvents): void {
    this.#events = events;
    if (this.#report !== undefined) this.#context.clock.endOfTurn(() => this.#flushReport());
    this.#reader.open(this);
    if (this.#state !== "ended") startReads(this.#reader, this.#socket);
  }

  send(frame: Uint8Array): void {
    const bytes = frame.length;
    if (!this.#mayBe(bytes)) return;
    this.#begin(bytes, bytes <= PUT_BYTES_MAX ? bytes : 0);
    if (bytes <= PUT_BYTES_MAX) this.#put(frame);
    else this.#refer(frame);
    this.#grew(bytes);
  }

  sendParts(parts: Parts): void {
    const bytes = bytesOf(parts);
    if (!this.#mayBe(bytes)) return;
    let put = 0;
    for (const { length } of parts) if (length <= PUT_BYTES_MAX) put += length;
    this.#begin(bytes, put);
    for (const part of parts) {
      if (part.length <= PUT_BYTES_MAX) this.#put(part);
      else this.#refer(part);
    }
    this.#grew(bytes);
  }

  sendCopy(parts: Parts): void {
    const bytes = bytesOf(parts);
    if (!this.#mayBe(bytes)) return;
    this.#begin(bytes, bytes);
    for (const part of parts) this.#put(part);
    this.#grew(bytes);
  }

  /** Begins a frame of so many bytes, of which so many are put in the room. */
  #begin(bytes: number, put: number): void {
    const end = this.#roomEnd + HEADER_BYTES + put;
    if (this.#room === undefined || end > this.#room.length) {
      this.#endRoom();
      this.#room = this.#rooms.take(HEADER_BYTES + put);
      this.#lent.push(this.#room);
      this.#roomFrom = 0;
      this.#roomEnd = 0;
    }
    this.#roomEnd = this.#room.writeUInt32BE(bytes, this.#roomEnd);
  }

  #put(part: Uint8Array): void {
    (this.#room as Buffer).set(part, this.#roomEnd);
    this.#roomEnd += part.length;
  }

  #refer(part: Uint8Array): void {
    this.#endRoom();
    this.#gathering.push(part);
  }

  /** What was put is among what is written. */
  #endRoom(): void {
    if (this.#room === undefined || this.#roomEnd === this.#roomFrom) return;
    this.#gathering.push(this.#room.subarray(this.#roomFrom, this.#roomEnd));
    this.#roomFrom = this.#roomEnd;
  }

  #grew(bytes: number): void {
    if (this.#gatheringBytes === 0) this.#context.clock.endOfTurn(this.#flush);
    this.#gatheringBytes += bytes;
    this.#unsent += bytes;
    // The peer may begin with it while the turn goes on.
    if (this.#gatheringBytes > COPY_BYTES_MAX) this.#flush();
  }

  /** Whether a frame of this size may be sent; one that may not is the last. */
  #mayBe(bytes: number): boolean {
    if (this.#state !== "open") return false;
    const { frameBytesMax } = this.#context;
    if (bytes > 0 && bytes <= frameBytesMax) return true;
    this.#context.count("transport.badFrame");
    this.#leave(
      bytes === 0
        ? new MeshError("INVALID_OPTIONS", "frame of 0 B cannot be sent, the smallest is 1 B")
        : new MeshError(
            "PAYLOAD_TOO_LARGE",
            `frame ${bytes} B exceeds frameBytesMax ${frameBytesMax}`,
          ),
    );
    return false;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    if (this.#state === "open") this.#leave(undefined);
  }

  // --- FrameSink -----------------------------------------------------------------------------

  frame(bytes: Buffer): FrameVerdict {
    if (this.#state !== "open") return "stop";
    let isFree = false;
    try {
      isFree = this.#events?.frame(bytes) === true;
    } catch (error) {
      this.#context.logger.error("receiver of frames threw", { remote: this.remote, error });
      this.#leave(new MeshError("PEER_LOST", "the receiver of frames threw", { cause: error }));
    }
    if (!isFree && bytes.length > LARGE_BYTES) this.#context.garbage?.made(bytes.length);
    if (this.#state !== "open") return "stop";
    return isFree ? "free" : "kept";
  }

  /** The peer has closed: everything it sent was here. */
  marker(): void {
    this.#end(undefined);
  }

  malformed(what: string, code?: string): void {
    if (this.#state !== "open") return;
    this.#context.count("transport.malformed");
    const message = `${this.remote} sent ${what}; the connection was closed`;
    this.#end(new MeshError("PEER_LOST", message, code === undefined ? {} : { details: { code } }));
  }

  // --- inside --------------------------------------------------------------------------------

  /** One write for all that a turn gathers, its batches included; in a long turn one for each 64 KiB. */
  readonly #flush = (): void => {
    const bytes = this.#gatheringBytes;
    if (bytes === 0 || this.#state === "ended") return;
    this.#endRoom();
    const all = this.#gathering;
    const lent = this.#lent;
    this.#gathering = [];
    this.#lent = [];
    this.#gatheringBytes = 0;
    this.#room = undefined;
    this.#roomFrom = 0;
    this.#roomEnd = 0;
    const last = all.pop() as Uint8Array;
    if (all.length === 0 && bytes < WASTE_BYTES && this.#socket.writableLength > COPY_BYTES_MAX) {
      // Many such may wait for this socket.
      this.#socket.write(Buffer.from(last), () => this.#taken([], bytes));
      for (const room of lent) this.#rooms.give(room);
      return;
    }
    const taken = (): void => this.#taken(lent, bytes);
    if (all.length === 0) {
      this.#socket.write(last, taken);
      return;
    }
    this.#socket.cork();
    for (const chunk of all) this.#socket.write(chunk);
    this.#socket.write(last, taken);
    this.#socket.uncork();
  };

  #taken(lent: readonly Buffer[], bytes: number): void {
    for (const room of lent) this.#rooms.give(room);
    this.#unsent -= bytes;
    if (this.#unsent === 0 && this.#state === "open") this.#events?.drained();
  }

  /** open -> closing: what waits is sent, then the marker; the user hears `closed` at the turn's end. */
  #leave(reason: MeshError | undefined): void {
    this.#flush();
    this.#state = "closing";
    this.#socket.end(MARKER);
    this.#deadline = this.#context.clock.setTimer(CLOSE_MS, () => {
      if (this.#socket.writableLength > 0) this.#context.count("transport.discarded");
      this.#socket.destroy();
    });
    this.#report = { reason };
    this.#context.clock.endOfTurn(() => this.#flushReport());
  }

  /** open -> ended. */
  #end(reason: MeshError | undefined): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    this.#socket.destroy();
    this.#report = { reason };
    this.#flushReport();
  }

  /** The socket is closed, whoever did it. */
  #lost(): void {
    if (this.#deadline !== undefined) this.#context.clock.clearTimer(this.#deadline);
    if (this.#state === "open") {
      const isUnheard = this.channel === undefined && !this.#reader.isGreeted;
      this.#end(lost(this.remote, this.#cause, isUnheard));
    }
    this.#state = "ended";
  }

  #flushReport(): void {
    const report = this.#report;
    if (report === undefined || this.#events === undefined) return;
    this.#report = undefined;
    try {
      if (report.reason === undefined) this.#events.closed();
      else this.#events.closed(report.reason);
    } catch (error) {
      this.#context.logger.error("receiver of closed threw", { remote: this.remote, error });
    }
  }
}

const lost = (remote: string, cause: Error | undefined, isUnheard: boolean): MeshError => {
  if (isUnheard) {
    // A listener without keys says its preamble at once.
    const message = `the connection with ${remote} was lost before it said anything: has it keys?`;
    return new MeshError("PEER_LOST", message, { cause, details: { code: "UNHEARD" } });
  }
  if (isRefusedCertificate(cause)) {
    const message = `${remote} does not take this node's certificate`;
    return new MeshError("PEER_LOST", message, { cause, details: { code: "UNAUTHORIZED" } });
  }
  const message = `the connection with ${remote} was lost`;
  return new MeshError("PEER_LOST", message, cause === undefined ? {} : { cause });
};

const bytesOf = (parts: Parts): number => {
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  return bytes;
};
