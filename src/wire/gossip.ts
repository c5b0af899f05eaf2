/**
 * Gossip: what members say to each other about who lives, as bytes, and as the body of a frame.
 *
 * Invariants: `decodeGossip(encodeGossip(m))` equals `m`; what is decoded has at most `GOSSIP_ITEMS_MAX` claims,
 * hashes and wanted buckets, and anything else is a WireError.
 * Bound: `GOSSIP_BYTES_MAX` bytes.
 */
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import { enumName, enumNumber } from "./enum-codec.ts";
import { messageFields, packedField, textField, uint32Field } from "./field-writer.ts";
import { WireError } from "./wire-error.ts";

const KINDS = ["news", "ping", "ack", "nack", "relay", "digest", "rows"] as const;
const STATES = ["alive", "stalled", "suspect", "dead", "left"] as const;

export type GossipClaim = {
  readonly id: string;
  readonly epoch: number;
  readonly incarnation: number;
  readonly vouch: number;
  readonly state: (typeof STATES)[number];
  readonly accuser: string;
};

export type GossipMessage = {
  readonly kind: (typeof KINDS)[number];
  readonly number: number;
  readonly target: string;
  readonly buckets: number;
  readonly first: number;
  readonly hashes: readonly number[];
  readonly wanted: readonly number[];
  readonly claims: readonly GossipClaim[];
};

export type GossipFrame = GossipMessage & {
  readonly type: "gossip";
  readonly session: number;
};

export const GOSSIP_BYTES_MAX = 65_536;
export const GOSSIP_ITEMS_MAX = 512;

/** @throws WireError when a number or a name does not fit the wire */
export const encodeGossip = (
  message: GossipMessage,
  writer: ByteWriter = new ByteWriter(),
): Uint8Array => {
  writeMessage(writer, message);
  return writer.take();
};

/** @throws WireError */
export const decodeGossip = (bytes: Uint8Array): GossipMessage =>
  readMessage(new ByteReader(bytes));

export const writeGossip = (writer: ByteWriter, frame: GossipFrame): void =>
  writeMessage(writer, frame);

/** @throws WireError beyond its bounds */
export const readGossip = (reader: ByteReader, session: number): GossipFrame => ({
  type: "gossip",
  session,
  ...readMessage(reader),
});

const writeMessage = (writer: ByteWriter, message: GossipMessage): void => {
  uint32Field(writer, 0x08, enumNumber(KINDS, message.kind, "gossip kind"));
  uint32Field(writer, 0x10, message.number);
  textField(writer, 0x1a, message.target);
  uint32Field(writer, 0x20, message.buckets);
  uint32Field(writer, 0x28, message.first);
  writeHashes(writer, message.hashes);
  packedField(writer, 0x3a, message.wanted);
  messageFields(writer, 0x42, message.claims, writeClaim);
};

const readMessage = (reader: ByteReader): GossipMessage => {
  const length = reader.limit - reader.position;
  if (length > GOSSIP_BYTES_MAX) {
    throw new WireError(`gossip of ${length} B exceeds ${GOSSIP_BYTES_MAX}`);
  }
  let kind = 0;
  let number = 0;
  let target = "";
  let buckets = 0;
  let first = 0;
  const hashes: number[] = [];
  const wanted: number[] = [];
  const claims: GossipClaim[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) kind = reader.uint64();
    else if (tag === 0x10) number = reader.uint32();
    else if (tag === 0x1a) target = reader.string();
    else if (tag === 0x20) buckets = reader.uint32();
    else if (tag === 0x28) first = reader.uint32();
    else if (tag === 0x32) readHashes(reader, hashes);
    else if (tag === 0x35) hashes.push(reader.fixed32());
    else if (tag === 0x3a) reader.packed32(wanted);
    else if (tag === 0x38) wanted.push(reader.uint32());
    else if (tag === 0x42) claims.push(reader.message(readClaim));
    else reader.skip(tag, 0x1fe);
  }
  if (Math.max(hashes.length, wanted.length, claims.length) > GOSSIP_ITEMS_MAX) {
    throw new WireError(`gossip has more than ${GOSSIP_ITEMS_MAX} hashes, buckets or claims`);
  }
  const named = enumName(KINDS, kind, "gossip kind");
  return { kind: named, number, target, buckets, first, hashes, wanted, claims };
};

const writeHashes = (writer: ByteWriter, hashes: readonly number[]): void => {
  if (hashes.length === 0) return;
  writer.tag(0x32);
  writer.uint32(hashes.length * 4);
  for (const hash of hashes) writer.fixed32(hash);
};

const readHashes = (reader: ByteReader, into: number[]): void => {
  const outer = reader.enter();
  while (reader.position < reader.limit) into.push(reader.fixed32());
  reader.leave(outer);
};

const writeClaim = (writer: ByteWriter, claim: GossipClaim): void => {
  textField(writer, 0x0a, claim.id);
  uint32Field(writer, 0x10, claim.epoch);
  uint32Field(writer, 0x18, claim.incarnation);
  uint32Field(writer, 0x20, claim.vouch);
  uint32Field(writer, 0x28, enumNumber(STATES, claim.state, "gossip state"));
  textField(writer, 0x32, claim.accuser);
};

const readClaim = (reader: ByteReader): GossipClaim => {
  let id = "";
  let epoch = 0;
  let incarnation = 0;
  let vouch = 0;
  let state = 0;
  let accuser = "";
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) id = reader.string();
    else if (tag === 0x10) epoch = reader.uint32();
    else if (tag === 0x18) incarnation = reader.uint32();
    else if (tag === 0x20) vouch = reader.uint32();
    else if (tag === 0x28) state = reader.uint64();
    else if (tag === 0x32) accuser = reader.string();
    else reader.skip(tag, 0x7e);
  }
  const named = enumName(STATES, state, "gossip state");
  return { id, epoch, incarnation, vouch, state: named, accuser };
};
