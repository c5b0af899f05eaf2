/**
 * What a directory and its clients say to each other: bytes to values and back.
 *
 * Both sides read what strangers wrote, so a message is read whole or not at all, within its bounds; what its
 * values mean is checked by whoever hears it. An empty message is the transport's goodbye, so each of these has
 * a field at least.
 *
 * Source: proto/meshbus/directory/v1/directory.proto.
 */
import { ByteReader } from "../wire/byte-reader.ts";
import { ByteWriter } from "../wire/byte-writer.ts";
import {
  boolField,
  messageField,
  messageFields,
  textField,
  uint64Field,
} from "../wire/field-writer.ts";
import { WireError } from "../wire/wire-error.ts";

/** The call, as gRPC names it. */
export const ANNOUNCE_PATH = "/meshbus.directory.v1.Directory/Announce";
/** Largest message of either side. */
export const MESSAGE_BYTES_MAX = 65_536;
/** Largest message of a client. */
export const REQUEST_BYTES_MAX = 4_096;
/** Addresses of a node. */
export const ADDRESSES_MAX = 8;
/** How often each side says something at least, and when one that says nothing is given up. */
export const ALIVE_MS = 5_000;
export const SILENCE_MS = 15_000;

export type NodeEntry = {
  readonly nodeId: string;
  readonly service: string;
  /** 0: not said. */
  readonly epoch: number;
  readonly addresses: readonly string[];
};

export type AnnounceRequest = {
  readonly mesh: string;
  readonly node: NodeEntry | undefined;
  readonly alive: boolean;
};

export type Refusal = { readonly code: string; readonly message: string };

export type AnnounceResponse = {
  readonly there: readonly NodeEntry[];
  readonly gone: readonly string[];
  readonly listed: boolean;
  readonly refusal: Refusal | undefined;
  readonly alive: boolean;
};

export const encodeRequest = ({ mesh, node, alive }: AnnounceRequest): Uint8Array => {
  const writer = new ByteWriter();
  textField(writer, 0x0a, mesh);
  if (node !== undefined) messageField(writer, 0x12, node, writeNode);
  boolField(writer, 0x18, alive);
  return writer.take();
};

export const encodeResponse = (response: AnnounceResponse): Uint8Array => {
  const { there, gone, listed, refusal, alive } = response;
  const writer = new ByteWriter();
  messageFields(writer, 0x0a, there, writeNode);
  for (const nodeId of gone) {
    writer.tag(0x12);
    writer.string(nodeId);
  }
  boolField(writer, 0x18, listed);
  if (refusal !== undefined) messageField(writer, 0x22, refusal, writeRefusal);
  boolField(writer, 0x28, alive);
  return writer.take();
};

/** @throws WireError */
export const decodeRequest = (bytes: Uint8Array): AnnounceRequest => {
  const reader = new ByteReader(bytes);
  let mesh = "";
  let node: NodeEntry | undefined;
  let alive = false;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) mesh = reader.string();
    else if (tag === 0x12) node = reader.message(readNode);
    else if (tag === 0x18) alive = reader.bool();
    else reader.skip(tag, 0x0e);
  }
  return { mesh, node, alive };
};

/** @throws WireError */
export const decodeResponse = (bytes: Uint8Array): AnnounceResponse => {
  const reader = new ByteReader(bytes);
  const there: NodeEntry[] = [];
  const gone: string[] = [];
  let listed = false;
  let refusal: Refusal | undefined;
  let alive = false;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) there.push(reader.message(readNode));
    else if (tag === 0x12) gone.push(reader.string());
    else if (tag === 0x18) listed = reader.bool();
    else if (tag === 0x22) refusal = reader.message(readRefusal);
    else if (tag === 0x28) alive = reader.bool();
    else reader.skip(tag, 0x3e);
  }
  return { there, gone, listed, refusal, alive };
};

/** At most so many bytes does an entry take in a response. */
export const entryBytesMax = ({ nodeId, service, addresses }: NodeEntry): number => {
  let characters = nodeId.length + service.length;
  for (const address of addresses) characters += address.length;
  return 3 * characters + 4 * addresses.length + 32;
};

const writeNode = (writer: ByteWriter, node: NodeEntry): void => {
  textField(writer, 0x0a, node.nodeId);
  textField(writer, 0x12, node.service);
  uint64Field(writer, 0x18, node.epoch);
  for (const address of node.addresses) {
    writer.tag(0x22);
    writer.string(address);
  }
};

const readNode = (reader: ByteReader): NodeEntry => {
  let nodeId = "";
  let service = "";
  let epoch = 0;
  const addresses: string[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) nodeId = reader.string();
    else if (tag === 0x12) service = reader.string();
    else if (tag === 0x18) epoch = reader.uint64();
    else if (tag === 0x22) addresses.push(reader.string());
    else reader.skip(tag, 0x1e);
    if (addresses.length > ADDRESSES_MAX) {
      throw new WireError(`more than ${ADDRESSES_MAX} addresses of one node`);
    }
  }
  return { nodeId, service, epoch, addresses };
};

const writeRefusal = (writer: ByteWriter, { code, message }: Refusal): void => {
  textField(writer, 0x0a, code);
  textField(writer, 0x12, message);
};

const readRefusal = (reader: ByteReader): Refusal => {
  let code = "";
  let message = "";
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) code = reader.string();
    else if (tag === 0x12) message = reader.string();
    else reader.skip(tag, 0x06);
  }
  return { code, message };
};
