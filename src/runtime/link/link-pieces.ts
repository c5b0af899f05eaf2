/**
 * What a link sends in its session, and large frames both ways.
 *
 * Problem: a frame of 64 MB must delay nothing but what has to follow it. Approach: frames above a size are cut
 * (core/piece-sender.ts) where the peer understands pieces, and handed to the connection a few at a time: what it or the
 * network would buffer could not be overtaken. Control frames and small requests go at once. The receiving side says once
 * a turn what it has taken. To an older peer a frame goes whole.
 *
 * Bounds: SOCKET_BYTES of pieces untaken by the connection, the window beyond it; at most two frames half received. A
 * transfer that stands still for `silenceMs` while the peer is heard ends the link.
 */
import { PieceAssembler } from "../../core/piece-assembler.ts";
import { bytesOf, type Cut, type Lane, type Parts, PieceSender } from "../../core/piece-sender.ts";
import { MeshError } from "../../errors.ts";
import type { Connection } from "../../ports/transport.ts";
import type { BatchWriter } from "../../wire/batch-writer.ts";
import type { Tail } from "../../wire/credit.ts";
import { UnwrittenEnvelope } from "../../wire/envelope.ts";
import { encodeFrame, type Frame, type KnownFrame, type OutgoingFrame } from "../../wire/frames.ts";
import type { Identity } from "../../wire/handshake.ts";
import { headOfReply, headOfRequest } from "../../wire/large-frame.ts";
import { headOfPiece, type PieceFrame } from "../../wire/piece.ts";
import type { Environment } from "../environment.ts";
import type { LargeCopy } from "./large-copies.ts";
import { readFrame } from "./read-frame.ts";

/** Bit of `Identity.features`: the node takes pieces. */
export const PIECES_FEATURE = 2;
/** Untaken bytes above which a link takes no more bulk. */
const BUFFERED_BYTES_MAX = 512 * 1024;
/** Pieces wait while the connection has so much untaken. */
const SOCKET_BYTES = 128 * 1024;
/** A payload above this is copied once, behind the head of its frame, where the connection can do so. */
const COPIED_BYTES_MIN = 8 * 1024;
/** A message above this is sent from where it lies, where the connection takes parts. */
const ALONE_BYTES_MIN = 32 * 1024;
/** A frame around a message takes less than this beside it. */
const AROUND_BYTES = 1_024;

export type PiecesHost = {
  readonly session: number;
  /** Asks for `turn` at the end of this turn. */
  askTurn(): void;
  close(code: string, message: string): void;
};

export class LinkPieces {
  readonly #env: Environment;
  readonly #connection: Connection;
  readonly #host: PiecesHost;
  readonly #sender: PieceSender;
  readonly #assembler: PieceAssembler;
  /** By request: copies of payloads that are not all there. */
  readonly #filling = new Map<number, LargeCopy>();
  /** The peer takes pieces. */
  #cuts = false;
  #peerBytesMax = Number.POSITIVE_INFINITY;
  #told = 0;
  /** Heartbeats without progress although the peer was heard, and what there was at the last one. */
  #stillBeats = 0;
  #isHeard = false;
  #doneAtBeat = 0;

  constructor(env: Environment, connection: Connection, host: PiecesHost) {
    this.#env = env;
    this.#connection = connection;
    this.#host = host;
    this.#sender = new PieceSender(env.pieces, (parts) => {
      // A peer may say so before it is true: what the connection still holds must not change.
      if (connection.bufferedBytes === 0) for (const part of parts) env.copies.over(part);
    });
    this.#assembler = new PieceAssembler(env.limits.frameBytesMax, (size) => new Uint8Array(size));
  }

  /** The session is up. */
  start({ features, frameBytesMax }: Identity): void {
    this.#cuts = (features & PIECES_FEATURE) !== 0;
    this.#peerBytesMax = frameBytesMax;
  }

  /** Bytes of replies and the like that the connection has not taken yet. */
  get untakenBytes(): number {
    return this.#connection.bufferedBytes + this.#sender.waiting("express");
  }

  /** Bulk waits here, or much of it in the connection: more had better wait where it is. */
  get isFull(): boolean {
    return this.#holdsBulk || this.#connection.bufferedBytes > BUFFERED_BYTES_MAX;
  }

  /** What a heartbeat may say of what was sent last: a batch that waits here has not been, and is not lost. */
  beaten<Said extends { readonly tails: readonly Tail[] }>(said: Said): Said {
    return this.#holdsBulk ? { ...said, tails: [] } : said;
  }

  /** A frame of so many bytes goes in pieces. */
  isLarge(bytes: number): boolean {
    return this.#cuts && bytes > this.#env.pieces.wholeBytesMax;
  }

  /** A message of so many bytes had better be sent from where it lies. */
  isAlone(bytes: number): boolean {
    const isLong = bytes > ALONE_BYTES_MIN && this.#connection.sendParts !== undefined;
    return isLong || this.isLarge(bytes);
  }

  /** A payload of so many bytes is cheaper as a part of its frame, with `bulkCopy`, than written into one. */
  isCopied(bytes: number): boolean {
    return bytes > COPIED_BYTES_MIN && this.#connection.sendCopy !== undefined;
  }

  /** The peer reads a frame with a message of so many bytes. */
  takes(bytes: number): boolean {
    return bytes + AROUND_BYTES <= this.#peerBytesMax;
  }

  /** Why a request or reply of so many bytes cannot be sent; undefined: it can. */
  refusal(bytes: number): MeshError | undefined {
    if (!this.takes(bytes)) {
      const message = `${bytes} B exceed what the peer reads: its frameBytesMax is ${this.#peerBytesMax}`;
      return new MeshError("PAYLOAD_TOO_LARGE", message);
    }
    const waiting = this.#sender.waiting("express");
    const most = 2 * this.#env.limits.frameBytesMax;
    if (!this.isLarge(bytes) || waiting === 0 || waiting + bytes <= most) return undefined;
    const message = `${waiting} B of large requests and replies wait for the peer, ${most} B may`;
    return new MeshError("RATE_LIMITED", message);
  }

  /** A frame that overtakes bulk; a large request or reply in pieces, beside it. */
  send(frame: OutgoingFrame): void {
    if (this.#sendCopy(frame) || this.#sendLarge(frame)) return;
    const bytes = encodeFrame(frame);
    const { type } = frame;
    const isLarge = (type === "request" || type === "reply") && this.isLarge(bytes.length);
    const cancels = type === "cancel" && this.#sender.waiting("express") > 0; // what may wait there
    if (isLarge || cancels) this.#push("express", [bytes]);
    else this.#connection.send(bytes);
  }

  /** The request is over for its asker, who may change its payload now. */
  settled(request: number): void {
    const copy = this.#filling.get(request);
    if (copy === undefined) return;
    this.#filling.delete(request);
    copy.fill(copy.bytes.length);
  }

  /** A request or reply whose payload is neither small nor large. */
  #sendCopy(frame: OutgoingFrame): boolean {
    if (frame.type === "reply") {
      const { payload } = frame;
      if (!this.isCopied(payload.length) || this.isLarge(payload.length)) return false;
      this.#env.garbage?.made(payload.length);
      this.#connection.sendCopy?.([headOfReply(frame), payload]);
      return true;
    }
    if (frame.type !== "request" || !(frame.envelope instanceof UnwrittenEnvelope)) return false;
    const { envelope } = frame;
    const { payload } = envelope.variables;
    if (!this.isCopied(payload.length) || this.isLarge(payload.length)) return false;
    this.#env.garbage?.made(payload.length);
    this.#connection.sendCopy?.([headOfRequest({ ...frame, envelope }), payload]);
    return true;
  }

  /** A request or reply whose payload is large. A request's is copied as it leaves, ahead of each piece. */
  #sendLarge(frame: OutgoingFrame): boolean {
    if (frame.type === "reply" && this.isLarge(frame.payload.length)) {
      this.#push("express", [headOfReply(frame), this.#env.copies.of(frame.payload)]);
      return true;
    }
    if (frame.type !== "request" || !(frame.envelope instanceof UnwrittenEnvelope)) return false;
    const { id, envelope } = frame;
    const { payload } = envelope.variables;
    if (!this.isLarge(payload.length)) return false;
    const head = headOfRequest({ ...frame, envelope });
    const copy = this.#env.copies.begin(payload);
    this.#filling.set(id, copy);
    this.#push("express", [head, copy.bytes], (upTo) => {
      copy.fill(upTo - head.length);
      if (upTo === head.length + payload.length) this.#filling.delete(id);
    });
    return true;
  }

  /** What a batch holds, without a copy of its tail where the transport can. */
  batch(batch: BatchWriter): void {
    const { tail } = batch;
    if (tail !== undefined) this.bulk(batch.finish(), tail);
    else if (this.#connection.sendCopy === undefined) this.bulk(batch.finish());
    else this.bulkCopy(batch.finishInPlace());
  }

  /** The parts of a batch: in order with those before it. */
  bulk(...parts: Uint8Array[]): void {
    const isSmall = !this.#cuts || this.#sender.passes("bulk", bytesOf(parts));
    if (isSmall) this.#send(parts);
    else this.#push("bulk", parts);
  }

  /** As `bulk`; the parts may be changed afterwards. */
  bulkCopy(...parts: Uint8Array[]): void {
    const passes = !this.#cuts || this.#sender.passes("bulk", bytesOf(parts));
    if (passes && this.#connection.sendCopy !== undefined) this.#connection.sendCopy(parts);
    else this.bulk(Buffer.concat(parts));
  }

  /** Hands to the connection what may go now. */
  pump(): void {
    while (this.#connection.bufferedBytes < SOCKET_BYTES) {
      const cut = this.#sender.next(this.#env.clock.monotonicMs());
      if (cut === undefined) return;
      this.#give(cut);
    }
  }

  /** The session ends in order: everything that waits goes before the last frame. */
  end(bye: KnownFrame): void {
    for (;;) {
      const cut = this.#sender.rest(this.#env.clock.monotonicMs());
      if (cut === undefined) break;
      this.#give(cut);
    }
    this.#connection.send(encodeFrame(bye));
  }

  /** A piece came. Returns the frame that it completes; a bad piece closes the link. */
  received(piece: PieceFrame): Frame | undefined {
    const whole = this.#assembler.take(piece);
    this.#host.askTurn();
    if (whole === undefined) return undefined;
    if ("code" in whole) {
      this.#fault(whole.code, whole.message);
      return undefined;
    }
    const frame = readFrame(whole);
    if ("fault" in frame) this.#fault("MALFORMED", frame.fault);
    else if (isFrameOf(piece.lane, frame)) return frame;
    else this.#fault("MALFORMED", `a ${frame.type} came in pieces`);
    return undefined;
  }

  /** The peer says what it has taken. */
  taken(bytes: number): void {
    if (this.#sender.taken(bytes, this.#env.clock.monotonicMs())) this.pump();
    else this.#fault("MALFORMED", `${bytes} B of pieces cannot have been taken`);
  }

  /** The end of a turn in which pieces came. */
  turn(): void {
    const { taken } = this.#assembler;
    if (taken === this.#told) return;
    this.#told = taken;
    this.#connection.send(
      encodeFrame({ type: "piecesTaken", session: this.#host.session, bytes: taken }),
    );
  }

  /** The peer's heartbeat came: it could have gone on. */
  heard(): void {
    this.#isHeard = true;
  }

  /** A heartbeat has passed. False: a transfer stood still for too long, and the link was closed. */
  beat(): boolean {
    const { heartbeatMs, silenceMs } = this.#env.times;
    // Both only grow.
    const done = this.#assembler.taken + this.#sender.takenBytes;
    const isAtWork = this.#sender.underWay > 0 || this.#assembler.isHalf;
    if (done !== this.#doneAtBeat || !isAtWork) this.#stillBeats = 0;
    else if (this.#isHeard) this.#stillBeats++;
    this.#isHeard = false;
    this.#doneAtBeat = done;
    if (this.#stillBeats * heartbeatMs <= silenceMs) return true;
    this.#fault("TIMEOUT", `a frame in pieces stood still for ${silenceMs} ms`);
    return false;
  }

  get #holdsBulk(): boolean {
    return this.#sender.waiting("bulk") > 0;
  }

  #push(lane: Lane, parts: Parts, ready?: (upTo: number) => void): void {
    this.#sender.push(lane, parts, ready);
    this.pump();
  }

  #give({ lane, piece, parts }: Cut): void {
    if (piece === undefined) {
      this.#send(parts);
      return;
    }
    const head = headOfPiece(this.#host.session, lane, piece, bytesOf(parts));
    this.#send([head, ...parts]);
  }

  #send(parts: Parts): void {
    const connection = this.#connection;
    const [frame] = parts;
    if (parts.length === 1 && frame !== undefined) connection.send(frame);
    else if (connection.sendParts !== undefined) connection.sendParts(parts);
    else connection.send(Buffer.concat(parts));
  }

  #fault(code: string, message: string): void {
    this.#env.counters.count("link.badPiece");
    this.#host.close(code, message);
  }
}

/** What may come in pieces of this lane. */
const isFrameOf = (lane: Lane, { type }: Frame): boolean =>
  lane === "bulk" ? type === "batch" : type === "request" || type === "reply";
