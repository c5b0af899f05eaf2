/** The frames that open and close a session: Hello, Welcome, Reject, Bye. */
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import {
  boolField,
  bytesField,
  messageField,
  textField,
  timeField,
  uint32Field,
  uint64Field,
} from "./field-writer.ts";
import { type HybridTime, hybridTimeFrom } from "./hybrid-time.ts";
import { readShown, type ShownCertificate, writeShown } from "./proof.ts";
import { WireError } from "./wire-error.ts";

/** Who a node is and what it can do. */
export type Identity = {
  readonly mesh: string;
  readonly nodeId: string;
  readonly service: string;
  /** This start of the node, below 2^32. */
  readonly epoch: number;
  /** Random bytes of this start; 16 by agreement, not checked here. */
  readonly nonce: Uint8Array;
  readonly protocolMin: number;
  readonly protocolMax: number;
  /** Bit set, below 2^53. */
  readonly features: number;
  readonly shardCount: number;
  readonly hashId: string;
  /** Largest frame this side reads. */
  readonly frameBytesMax: number;
  readonly addresses: readonly string[];
  /** Hybrid time of the sender. */
  readonly time: HybridTime;
  /** Where its heartbeat is asked, "udp://host:port"; empty: it has none. */
  readonly heartbeat: string;
  /** The highest epoch of a later life of itself that the node jumped above, ever; 0 if none. */
  readonly jumped: number;
};

export type HelloFrame = {
  readonly type: "hello";
  readonly session: number;
  readonly identity: Identity;
  /** Whom the dialler means to reach; empty if it knows only the address. */
  readonly targetNodeId: string;
  /** The highest epoch of the receiver that the sender has seen, and its nonce; 0 and empty if none. */
  readonly knownEpoch: number;
  readonly knownNonce: Uint8Array;
  /** Would rather be rejected with BETTER_ADDRESS than welcomed over a worse transport than both have. */
  readonly redirect: boolean;
  /** Of a node with keys. */
  readonly shown?: ShownCertificate;
};

export type WelcomeFrame = {
  readonly type: "welcome";
  readonly session: number;
  readonly identity: Identity;
  readonly protocol: number;
  readonly knownEpoch: number;
  readonly knownNonce: Uint8Array;
};

export type RejectFrame = {
  readonly type: "reject";
  readonly session: number;
  readonly code: string;
  readonly message: string;
  /** With BETTER_ADDRESS: where to dial instead, and whom. */
  readonly addresses: readonly string[];
  readonly nodeId: string;
};

export type ByeFrame = {
  readonly type: "bye";
  readonly session: number;
  readonly code: string;
  readonly message: string;
};

const NO_BYTES: Uint8Array = Buffer.alloc(0);

export const writeHello = (writer: ByteWriter, hello: HelloFrame): void => {
  messageField(writer, 0x0a, hello.identity, writeIdentity);
  textField(writer, 0x12, hello.targetNodeId);
  uint32Field(writer, 0x18, hello.knownEpoch);
  bytesField(writer, 0x22, hello.knownNonce);
  boolField(writer, 0x28, hello.redirect);
  if (hello.shown !== undefined) messageField(writer, 0x32, hello.shown, writeShown);
};

export const readHello = (reader: ByteReader, session: number): HelloFrame => {
  let identity: Identity | undefined;
  let targetNodeId = "";
  let knownEpoch = 0;
  let knownNonce = NO_BYTES;
  let redirect = false;
  let shown: ShownCertificate | undefined;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) identity = readOnlyIdentity(reader, identity);
    else if (tag === 0x12) targetNodeId = reader.string();
    else if (tag === 0x18) knownEpoch = reader.uint32();
    else if (tag === 0x22) knownNonce = reader.view();
    else if (tag === 0x28) redirect = reader.bool();
    else if (tag === 0x32) shown = readOnlyShown(reader, shown);
    else reader.skip(tag, 0x7e);
  }
  if (identity === undefined) throw new WireError("hello without identity");
  const rest = { identity, targetNodeId, knownEpoch, knownNonce, redirect };
  return { type: "hello", session, ...rest, ...(shown === undefined ? {} : { shown }) };
};

export const writeWelcome = (writer: ByteWriter, welcome: WelcomeFrame): void => {
  messageField(writer, 0x0a, welcome.identity, writeIdentity);
  uint32Field(writer, 0x10, welcome.protocol);
  uint32Field(writer, 0x18, welcome.knownEpoch);
  bytesField(writer, 0x22, welcome.knownNonce);
};

export const readWelcome = (reader: ByteReader, session: number): WelcomeFrame => {
  let identity: Identity | undefined;
  let protocol = 0;
  let knownEpoch = 0;
  let knownNonce = NO_BYTES;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) identity = readOnlyIdentity(reader, identity);
    else if (tag === 0x10) protocol = reader.uint32();
    else if (tag === 0x18) knownEpoch = reader.uint32();
    else if (tag === 0x22) knownNonce = reader.view();
    else reader.skip(tag, 0x1e);
  }
  if (identity === undefined) throw new WireError("welcome without identity");
  return { type: "welcome", session, identity, protocol, knownEpoch, knownNonce };
};

export const writeReject = (writer: ByteWriter, reject: RejectFrame): void => {
  textField(writer, 0x0a, reject.code);
  textField(writer, 0x12, reject.message);
  for (const address of reject.addresses) {
    writer.tag(0x1a);
    writer.string(address);
  }
  textField(writer, 0x22, reject.nodeId);
};

export const readReject = (reader: ByteReader, session: number): RejectFrame => {
  let code = "";
  let message = "";
  let nodeId = "";
  const addresses: string[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) code = reader.string();
    else if (tag === 0x12) message = reader.string();
    else if (tag === 0x1a) addresses.push(reader.string());
    else if (tag === 0x22) nodeId = reader.string();
    else reader.skip(tag, 0x1e);
  }
  return { type: "reject", session, code, message, addresses, nodeId };
};

export const writeBye = (writer: ByteWriter, bye: ByeFrame): void => {
  textField(writer, 0x0a, bye.code);
  textField(writer, 0x12, bye.message);
};

export const readBye = (reader: ByteReader, session: number): ByeFrame => {
  let code = "";
  let message = "";
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) code = reader.string();
    else if (tag === 0x12) message = reader.string();
    else reader.skip(tag, 0x06);
  }
  return { type: "bye", session, code, message };
};

const writeIdentity = (writer: ByteWriter, identity: Identity): void => {
  textField(writer, 0x0a, identity.mesh);
  textField(writer, 0x12, identity.nodeId);
  textField(writer, 0x1a, identity.service);
  uint32Field(writer, 0x20, identity.epoch);
  bytesField(writer, 0x2a, identity.nonce);
  uint32Field(writer, 0x30, identity.protocolMin);
  uint32Field(writer, 0x38, identity.protocolMax);
  uint64Field(writer, 0x40, identity.features);
  uint32Field(writer, 0x48, identity.shardCount);
  textField(writer, 0x52, identity.hashId);
  uint32Field(writer, 0x58, identity.frameBytesMax);
  for (const address of identity.addresses) {
    writer.tag(0x62);
    writer.string(address);
  }
  timeField(writer, 0x69, identity.time);
  textField(writer, 0x72, identity.heartbeat);
  uint32Field(writer, 0x78, identity.jumped);
};

/** Protobuf would merge two identities into one that nobody sent; two are refused. */
const readOnlyIdentity = (reader: ByteReader, earlier: Identity | undefined): Identity => {
  if (earlier !== undefined) throw new WireError("two identities in one frame");
  return reader.message(readIdentity);
};

const readOnlyShown = (
  reader: ByteReader,
  earlier: ShownCertificate | undefined,
): ShownCertificate => {
  if (earlier !== undefined) throw new WireError("two certificates in one frame");
  return reader.message(readShown);
};

const readIdentity = (reader: ByteReader): Identity => {
  const addresses: string[] = [];
  const identity = {
    mesh: "",
    nodeId: "",
    service: "",
    epoch: 0,
    nonce: NO_BYTES,
    protocolMin: 0,
    protocolMax: 0,
    features: 0,
    shardCount: 0,
    hashId: "",
    frameBytesMax: 0,
    addresses,
    time: hybridTimeFrom(0, 0),
    heartbeat: "",
    jumped: 0,
  };
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) identity.mesh = reader.string();
    else if (tag === 0x12) identity.nodeId = reader.string();
    else if (tag === 0x1a) identity.service = reader.string();
    else if (tag === 0x20) identity.epoch = reader.uint32();
    else if (tag === 0x2a) identity.nonce = reader.view();
    else if (tag === 0x30) identity.protocolMin = reader.uint32();
    else if (tag === 0x38) identity.protocolMax = reader.uint32();
    else if (tag === 0x40) identity.features = reader.uint64();
    else if (tag === 0x48) identity.shardCount = reader.uint32();
    else if (tag === 0x52) identity.hashId = reader.string();
    else if (tag === 0x58) identity.frameBytesMax = reader.uint32();
    else if (tag === 0x62) addresses.push(reader.string());
    else if (tag === 0x69) identity.time = reader.time();
    else if (tag === 0x72) identity.heartbeat = reader.string();
    else if (tag === 0x78) identity.jumped = reader.uint32();
    else reader.skip(tag, 0xfffe);
  }
  return identity;
};
