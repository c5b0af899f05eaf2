/** The frame about others: who the sender is linked with, where that is, and which durable subscriptions it knows. */
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import {
  type EndedSubscription,
  readEnded,
  readSubscription,
  type SubscriptionRecord,
  writeEnded,
  writeSubscription,
} from "./declare.ts";
import { boolField, messageFields, textField, uint32Field } from "./field-writer.ts";
import { readSigned, type SignedEntry, writeSigned } from "./signed-entry.ts";
import { WireError } from "./wire-error.ts";

export type NodeRecord = {
  readonly nodeId: string;
  readonly service: string;
  /** The start of it that the sender is linked with. */
  readonly epoch: number;
  /** As the receiver may dial them, best first. */
  readonly addresses: readonly string[];
};

export type DirectoryFrame = {
  readonly type: "directory";
  readonly session: number;
  readonly nodes: readonly NodeRecord[];
  readonly durable: readonly SubscriptionRecord[];
  readonly ended: readonly EndedSubscription[];
  /** Of nodes with keys, in the place of `durable` and `ended`. */
  readonly signed: readonly SignedEntry[];
  /** Of all entries that the sender knows. */
  readonly entriesHash: number;
  /** The receiver is to send its entries, if its hash is another. */
  readonly asks: boolean;
};

/** Records of a kind in a frame, and addresses in a record. */
export const DIRECTORY_RECORDS_MAX = 128;
export const DIRECTORY_ADDRESSES_MAX = 8;

export const writeDirectory = (writer: ByteWriter, frame: DirectoryFrame): void => {
  messageFields(writer, 0x0a, frame.nodes, writeRecord);
  messageFields(writer, 0x12, frame.durable, writeSubscription);
  messageFields(writer, 0x1a, frame.ended, writeEnded);
  uint32Field(writer, 0x20, frame.entriesHash);
  boolField(writer, 0x28, frame.asks);
  messageFields(writer, 0x32, frame.signed, writeSigned);
};

/** @throws WireError beyond its bounds */
export const readDirectory = (reader: ByteReader, session: number): DirectoryFrame => {
  const nodes: NodeRecord[] = [];
  const durable: SubscriptionRecord[] = [];
  const ended: EndedSubscription[] = [];
  const signed: SignedEntry[] = [];
  let entriesHash = 0;
  let asks = false;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) nodes.push(reader.message(readRecord));
    else if (tag === 0x12) durable.push(reader.message(readSubscription));
    else if (tag === 0x1a) ended.push(reader.message(readEnded));
    else if (tag === 0x20) entriesHash = reader.uint32();
    else if (tag === 0x28) asks = reader.bool();
    else if (tag === 0x32) signed.push(reader.message(readSigned));
    else reader.skip(tag, 0x7e);
    if (
      Math.max(nodes.length, durable.length, ended.length, signed.length) > DIRECTORY_RECORDS_MAX
    ) {
      throw new WireError(`more than ${DIRECTORY_RECORDS_MAX} records in a directory frame`);
    }
  }
  return { type: "directory", session, nodes, durable, ended, signed, entriesHash, asks };
};

const writeRecord = (writer: ByteWriter, record: NodeRecord): void => {
  textField(writer, 0x0a, record.nodeId);
  textField(writer, 0x12, record.service);
  uint32Field(writer, 0x18, record.epoch);
  for (const address of record.addresses) {
    writer.tag(0x22);
    writer.string(address);
  }
};

const readRecord = (reader: ByteReader): NodeRecord => {
  let nodeId = "";
  let service = "";
  let epoch = 0;
  const addresses: string[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) nodeId = reader.string();
    else if (tag === 0x12) service = reader.string();
    else if (tag === 0x18) epoch = reader.uint32();
    else if (tag === 0x22) addresses.push(reader.string());
    else reader.skip(tag, 0x1e);
    if (addresses.length > DIRECTORY_ADDRESSES_MAX) {
      throw new WireError(`more than ${DIRECTORY_ADDRESSES_MAX} addresses of one node`);
    }
  }
  return { nodeId, service, epoch, addresses };
};
