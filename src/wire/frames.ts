/**
 * Frames: what two nodes say to each other, one per transport message.
 *
 * Problem: a frame comes from a peer that may be newer, older, broken or hostile. Approach: a tagged
 * union with everything decoded; a body that this version does not know is "unknown" when its field number
 * says that it may be ignored; anything else is a WireError, after which the link has no use.
 *
 * Invariants: `decodeFrame` returns or throws WireError, in time and memory proportional to the bytes;
 * `decodeFrame(encodeFrame(frame))` equals `frame`. Byte fields are views of the frame. A whole Batch
 * is encoded for tests and tools; links use BatchWriter.
 */
import { type BatchFrame, readBatch } from "./batch.ts";
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter, varintBytes } from "./byte-writer.ts";
import {
  type CreditFrame,
  type PingFrame,
  readCredit,
  readPing,
  writeCredit,
  writePing,
} from "./credit.ts";
import {
  type DeclaredFrame,
  type DeclareFrame,
  readDeclare,
  readDeclared,
  writeDeclare,
  writeDeclared,
} from "./declare.ts";
import { type DirectoryFrame, readDirectory, writeDirectory } from "./directory.ts";
import { encodeBatch } from "./encode-batch.ts";
import { type GossipFrame, readGossip, writeGossip } from "./gossip.ts";
import {
  type ByeFrame,
  type HelloFrame,
  type RejectFrame,
  readBye,
  readHello,
  readReject,
  readWelcome,
  type WelcomeFrame,
  writeBye,
  writeHello,
  writeReject,
  writeWelcome,
} from "./handshake.ts";
import { type HoldFrame, readHold, writeHold } from "./hold.ts";
import { type LimitedFrame, readLimited, writeLimited } from "./limited.ts";
import { type PieceFrames, readPiece, readTaken, writePiece, writeTaken } from "./piece.ts";
import {
  type ProofFrames,
  readChallenge,
  readCredentials,
  readProof,
  writeChallenge,
  writeCredentials,
  writeProof,
} from "./proof.ts";
import {
  type CancelFrame,
  envelopeBytesOf,
  type OutgoingRequest,
  type ReplyFrame,
  type RequestFrame,
  readCancel,
  readReply,
  readRequest,
  writeCancel,
  writeReply,
  writeRequest,
} from "./request.ts";
import {
  type AcceptedFrame,
  type AskFrame,
  type ResyncFrame,
  readAccepted,
  readAsk,
  readResync,
  readSettle,
  type SettleFrame,
  writeAccepted,
  writeAsk,
  writeResync,
  writeSettle,
} from "./settle.ts";
import { WireError } from "./wire-error.ts";

/** A frame of a later version, to be counted and ignored. */
export type UnknownFrame = {
  readonly type: "unknown";
  readonly session: number;
  /** The body's field number. */
  readonly field: number;
};

export type KnownFrame =
  | HelloFrame
  | WelcomeFrame
  | RejectFrame
  | DeclareFrame
  | DeclaredFrame
  | BatchFrame
  | SettleFrame
  | AcceptedFrame
  | CreditFrame
  | ResyncFrame
  | RequestFrame
  | ReplyFrame
  | PingFrame
  | ByeFrame
  | CancelFrame
  | AskFrame
  | HoldFrame
  | DirectoryFrame
  | GossipFrame
  | LimitedFrame
  | PieceFrames
  | ProofFrames;

export type Frame = KnownFrame | UnknownFrame;

/** What can be sent. */
export type OutgoingFrame = KnownFrame | OutgoingRequest;

/** Field number of each body in `Frame`. */
const FIELDS = Object.freeze({
  hello: 2,
  welcome: 3,
  reject: 4,
  declare: 5,
  declared: 6,
  batch: 7,
  settle: 8,
  accepted: 9,
  credit: 10,
  resync: 11,
  request: 12,
  reply: 13,
  ping: 14,
  bye: 15,
  cancel: 16,
  ask: 17,
  hold: 18,
  challenge: 19,
  proof: 20,
  piece: 21,
  piecesTaken: 22,
  directory: 64,
  gossip: 65,
  credentials: 66,
  limited: 67,
}) satisfies Record<KnownFrame["type"], number>;

/**
 * Bodies from this field number on may be ignored by who does not know them. Lower ones carry what delivery
 * rests on: they are sent only to peers known to understand them, so an unknown one is a fault.
 */
const IGNORABLE_FROM = 64;

type Read = (reader: ByteReader, session: number) => KnownFrame;

/** How each body is read. */
const READERS: Readonly<Record<KnownFrame["type"], Read>> = {
  hello: readHello,
  welcome: readWelcome,
  reject: readReject,
  declare: readDeclare,
  declared: readDeclared,
  batch: readBatch,
  settle: readSettle,
  accepted: readAccepted,
  credit: readCredit,
  resync: readResync,
  request: readRequest,
  reply: readReply,
  ping: readPing,
  bye: readBye,
  cancel: readCancel,
  ask: readAsk,
  hold: readHold,
  gossip: readGossip,
  challenge: readChallenge,
  proof: readProof,
  credentials: readCredentials,
  limited: readLimited,
  directory: readDirectory,
  piece: readPiece,
  piecesTaken: readTaken,
};

const BODIES: ReadonlyMap<number, Read> = new Map(
  Object.entries(FIELDS).map(([type, field]) => [field, READERS[type as KnownFrame["type"]]]),
);

/** Where frames are written; what is sent is a copy of its size, or, of a large frame, the arena itself. */
const WRITER = new ByteWriter(4_096);
/** What frames that carry bytes take beside them; others are mostly below 128 B in all. */
const HEAD_BYTES = 20;

/**
 * Reads one frame. Batches and byte fields keep `bytes` alive.
 * @throws WireError
 */
export const decodeFrame = (bytes: Uint8Array): Frame => {
  // One shape of byte array throughout keeps the readers fast.
  const source = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const reader = new ByteReader(source);
  let session = 0;
  let body = 0;
  let bodyStart = 0;
  let bodyEnd = 0;
  let unknown = 0;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    const field = tag >>> 3;
    if (tag === 0x0d) session = reader.fixed32();
    else if (BODIES.has(field) && (tag & 7) === 2) {
      if (body !== 0) throw new WireError(`two bodies in one frame: fields ${body} and ${field}`);
      body = field;
      bodyEnd = reader.end();
      bodyStart = reader.position;
      reader.position = bodyEnd;
    } else {
      reader.skip(tag, 0x1f_fffe);
      if (unknown === 0 || field < unknown) unknown = field;
    }
  }
  if (body === 0) {
    if (unknown < IGNORABLE_FROM) throw new WireError(`no known body: field ${unknown}`);
    return { type: "unknown", session, field: unknown };
  }
  reader.position = bodyStart;
  reader.limit = bodyEnd;
  return (BODIES.get(body) as Read)(reader, session);
};

/** Writes one frame. @throws WireError when a number or name does not fit the wire */
export const encodeFrame = (frame: OutgoingFrame): Uint8Array => {
  if (frame.type === "batch") return encodeBatch(frame);
  const writer = WRITER;
  writer.reset(); // one that threw has left its beginning
  const lengthBytes = varintBytes(HEAD_BYTES + carriedBytes(frame));
  if (frame.session !== 0) {
    writer.byte(0x0d);
    writer.fixed32(frame.session);
  }
  writer.tag((FIELDS[frame.type] << 3) | 2);
  const start = writer.open(lengthBytes);
  writeBody(writer, frame);
  writer.close(start, lengthBytes);
  return writer.take();
};

const writeBody = (writer: ByteWriter, frame: Exclude<OutgoingFrame, BatchFrame>): void => {
  switch (frame.type) {
    case "hello":
      writeHello(writer, frame);
      break;
    case "welcome":
      writeWelcome(writer, frame);
      break;
    case "reject":
      writeReject(writer, frame);
      break;
    case "bye":
      writeBye(writer, frame);
      break;
    case "declare":
      writeDeclare(writer, frame);
      break;
    case "declared":
      writeDeclared(writer, frame);
      break;
    case "settle":
      writeSettle(writer, frame);
      break;
    case "accepted":
      writeAccepted(writer, frame);
      break;
    case "credit":
      writeCredit(writer, frame);
      break;
    case "resync":
      writeResync(writer, frame);
      break;
    case "request":
      writeRequest(writer, frame);
      break;
    case "reply":
      writeReply(writer, frame);
      break;
    case "ping":
      writePing(writer, frame);
      break;
    case "cancel":
      writeCancel(writer, frame);
      break;
    case "ask":
      writeAsk(writer, frame);
      break;
    case "hold":
      writeHold(writer, frame);
      break;
    case "directory":
      writeDirectory(writer, frame);
      break;
    case "gossip":
      writeGossip(writer, frame);
      break;
    case "challenge":
      writeChallenge(writer, frame);
      break;
    case "proof":
      writeProof(writer, frame);
      break;
    case "credentials":
      writeCredentials(writer, frame);
      break;
    case "limited":
      writeLimited(writer, frame);
      break;
    case "piece":
      writePiece(writer, frame);
      break;
    case "piecesTaken":
      writeTaken(writer, frame);
      break;
  }
};

const carriedBytes = (frame: OutgoingFrame): number => {
  if (frame.type === "request") return envelopeBytesOf(frame.envelope);
  if (frame.type === "reply") return frame.payload.length;
  return 0;
};
