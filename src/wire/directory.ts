/** The frame about others: who the sender is linked with, and where that is. */
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { messageFields, textField, uint32Field } from "./field-writer.ts";
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
};

/** Records in a frame, and addresses in a record. */
export const DIRECTORY_RECORDS_MAX = 128;
export const DIRECTORY_ADDRESSES_MAX = 8;

export const writeDirectory = (writer: ByteWriter, frame: DirectoryFrame): void => {
  messageFields(writer, 0x0a, frame.nodes, writeRecord);
};

/** @throws WireError beyond its bounds */
export const readDirectory = (reader: ByteReader, session: number): DirectoryFrame => {
  const nodes: NodeRecord[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) nodes.push(reader.message(readRecord));
    else reader.skip(tag, 0x02);
    if (nodes.length > DIRECTORY_RECORDS_MAX) {
      throw new WireError(`more than ${DIRECTORY_RECORDS_MAX} records in a directory frame`);
    }
  }
  return { type: "directory", session, nodes };
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
