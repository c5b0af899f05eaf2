/**
 * One connection over a TCP socket, the same on both sides.
 *
 * Problem: a stream has no frames, and a FIN does not say whether the peer meant to leave or died.
 * Approach: frames with a length in front (frame-reader.ts); a length of zero is the *close marker*, after
 * which a side sends nothing more. What is sent in one turn leaves in one write, small frames copied
 * together, large ones as they are.
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
  FrameReader,
  type FrameSink,
  type FrameVerdict,
  HEADER_BYTES,
  PREAMBLE,
} from "./frame-reader.ts";
import { freeChunk } from "./free-chunk.ts";

/** How long `close()` waits for a peer that does not read. The port promises it. */
const CLOSE_MS = 500;
/** Up to this, what leaves in one turn is copied into one buffer: cheaper than a vector of small ones. */
const COPY_BYTES_MAX = 64 * 1024;
const NOTHING: Uint8Array = Buffer.alloc(0);
const MARKER: Uint8Array = Buffer.alloc(HEADER_BYTES);

/** What makes up one frame, in order. */
type Parts = readonly Uint8Array[];

export class StreamConnection implements Connection, FrameSink {
  readonly remote: string;
  readonly channel: Channel | undefined;
  /** Resolves when the socket is closed. */
  readonly gone: Promise<void>;
  readonly #socket: Socket;
  readonly #context: TransportContext;
  readonly #reader: FrameReader;
  #state: "open" | "closing" | "ended" = "open";
  #events: ConnectionEvents | undefined;
  #report: { readonly reason: MeshError | undefined } | undefined;
  #cause: Error | undefined;
  #deadline: Timer | undefined;
  /** Sent in this turn: frames, or their parts. */
  #gathering: (Uint8Array | Parts)[] = [];
  #gatheringBytes = 0;
  #unsent = 0;

  /** @param socket connected, and not read from yet */
  constructor(
    socket: Socket,
    remote: string,
    context: TransportContext,
    channel?: Channel | undefined,
  ) {
    this.#socket = socket;
    this.remote = remote;
    this.channel = channel;
    this.#context = context;
    this.#reader = new FrameReader(context.frameBytesMax, this);
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
    this.#socket.on("data", (chunk: Buffer) => {
      if (this.#state === "open" && this.#reader.push(chunk)) freeChunk(chunk);
    });
  }

  send(frame: Uint8Array): void {
    this.#send(frame, frame.length);
  }

  sendParts(parts: Parts): void {
    this.#send(parts, bytesOf(parts));
  }

  #send(frame: Uint8Array | Parts, bytes: number): void {
    if (this.#state !== "open") return;
    const { frameBytesMax } = this.#context;
    if (bytes > 0 && bytes <= frameBytesMax) {
      if (this.#gathering.push(frame) === 1) this.#context.clock.endOfTurn(this.#flush);
      this.#gatheringBytes += bytes;
      this.#unsent += bytes;
      // The peer may begin with it while the turn goes on.
      if (this.#gatheringBytes > COPY_BYTES_MAX) this.#flush();
      return;
    }
    this.#context.count("transport.badFrame");
    this.#leave(
      bytes === 0
        ? new MeshError("INVALID_OPTIONS", "frame of 0 B cannot be sent, the smallest is 1 B")
        : new MeshError(
            "PAYLOAD_TOO_LARGE",
            `frame ${bytes} B exceeds frameBytesMax ${frameBytesMax}`,
          ),
    );
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
    let isFree = false;
    try {
      isFree = this.#events?.frame(bytes) === true;
    } catch (error) {
      this.#context.logger.error("receiver of frames threw", { remote: this.remote, error });
      this.#leave(new MeshError("PEER_LOST", "the receiver of frames threw", { cause: error }));
    }
    if (this.#state !== "open") return "stop";
    return isFree ? "free" : "kept";
  }

  /** The peer has closed: everything it sent was here. */
  marker(): void {
    this.#end(undefined);
  }

  malformed(what: string, code?: string): void {
    this.#context.count("transport.malformed");
    const message = `${this.remote} sent ${what}; the connection was closed`;
    this.#end(new MeshError("PEER_LOST", message, code === undefined ? {} : { details: { code } }));
  }

  // --- inside --------------------------------------------------------------------------------

  /** One write for all that a turn gathers, its batches included; in a long turn one for each 64 KiB. */
  readonly #flush = (): void => {
    const frames = this.#gathering;
    const bytes = this.#gatheringBytes;
    if (frames.length === 0 || this.#state === "ended") return;
    this.#gathering = [];
    this.#gatheringBytes = 0;
    const taken = (): void => this.#taken(bytes);
    if (bytes <= COPY_BYTES_MAX) {
      this.#socket.write(joined(frames, bytes), taken);
      return;
    }
    this.#socket.cork();
    for (const frame of frames) {
      const header = Buffer.allocUnsafe(HEADER_BYTES);
      header.writeUInt32BE(frame instanceof Uint8Array ? frame.length : bytesOf(frame));
      this.#socket.write(header);
      for (const part of partsOf(frame)) this.#socket.write(part);
    }
    this.#socket.write(NOTHING, taken);
    this.#socket.uncork();
  };

  #taken(bytes: number): void {
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

/** Frames of so many bytes in all, each with its length in front. */
const joined = (frames: readonly (Uint8Array | Parts)[], bytes: number): Buffer => {
  const all = Buffer.allocUnsafe(bytes + HEADER_BYTES * frames.length);
  let at = 0;
  for (const frame of frames) {
    const start = at;
    at += HEADER_BYTES;
    if (frame instanceof Uint8Array) {
      all.set(frame, at);
      at += frame.length;
    } else {
      for (const part of frame) {
        all.set(part, at);
        at += part.length;
      }
    }
    all.writeUInt32BE(at - start - HEADER_BYTES, start);
  }
  return all;
};

const partsOf = (frame: Uint8Array | Parts): Parts =>
  frame instanceof Uint8Array ? [frame] : frame;

const bytesOf = (parts: Parts): number => {
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  return bytes;
};
