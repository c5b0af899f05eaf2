/**
 * An entry of the directory with the word of a member: a durable subscription, or the end of one.
 *
 * What is signed is bytes, kept and passed on as they came, so that a field which a reader does not know stays under the
 * signature. Bound: `SIGNED_BYTES_MAX` for all of it.
 */
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import {
  type EndedSubscription,
  readEnded,
  readSubscription,
  type SubscriptionRecord,
  writeEnded,
  writeSubscription,
} from "./declare.ts";
import { bytesField, messageField, uint64Field } from "./field-writer.ts";
import { WireError } from "./wire-error.ts";

export type SignedEntry = {
  /** The bytes of an EntryBody. */
  readonly entry: Uint8Array;
  /** Of who signed: leaf first, DER. */
  readonly chain: readonly Uint8Array[];
  readonly signature: Uint8Array;
};

/** One of both. */
export type EntryBody = {
  readonly durable?: SubscriptionRecord;
  readonly ended?: EndedSubscription;
  /** Milliseconds since 1970, within the life of the signer's certificate. */
  readonly signedMs: number;
};

export const SIGNED_BYTES_MAX = 24_576;
const CHAIN_MAX = 2;

export const encodeBody = ({ durable, ended, signedMs }: EntryBody): Uint8Array => {
  const writer = new ByteWriter();
  if (durable !== undefined) messageField(writer, 0x0a, durable, writeSubscription);
  if (ended !== undefined) messageField(writer, 0x12, ended, writeEnded);
  uint64Field(writer, 0x18, Math.floor(signedMs));
  return writer.take();
};

/** @throws WireError */
export const decodeBody = (bytes: Uint8Array): EntryBody => {
  const reader = new ByteReader(bytes);
  let durable: SubscriptionRecord | undefined;
  let ended: EndedSubscription | undefined;
  let signedMs = 0;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a && durable === undefined) durable = reader.message(readSubscription);
    else if (tag === 0x12 && ended === undefined) ended = reader.message(readEnded);
    else if (tag === 0x18) signedMs = reader.uint64();
    else reader.skip(tag, 0x08);
  }
  if ((durable === undefined) === (ended === undefined)) {
    throw new WireError("a signed entry says not one thing");
  }
  return {
    signedMs,
    ...(durable === undefined ? {} : { durable }),
    ...(ended === undefined ? {} : { ended }),
  };
};

export const encodeSigned = (signed: SignedEntry): Uint8Array => {
  const writer = new ByteWriter();
  writeSigned(writer, signed);
  return writer.take();
};

/** @throws WireError */
export const decodeSigned = (bytes: Uint8Array): SignedEntry => readSigned(new ByteReader(bytes));

export const writeSigned = (writer: ByteWriter, { entry, chain, signature }: SignedEntry): void => {
  bytesField(writer, 0x0a, entry);
  for (const certificate of chain) {
    writer.tag(0x12);
    writer.bytes(certificate);
  }
  bytesField(writer, 0x1a, signature);
};

/** @throws WireError beyond its bounds */
export const readSigned = (reader: ByteReader): SignedEntry => {
  const length = reader.limit - reader.position;
  if (length > SIGNED_BYTES_MAX) {
    throw new WireError(`a signed entry of ${length} B exceeds ${SIGNED_BYTES_MAX}`);
  }
  let entry: Uint8Array = NO_BYTES;
  let signature: Uint8Array = NO_BYTES;
  const chain: Uint8Array[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) entry = reader.view();
    else if (tag === 0x12) chain.push(reader.view());
    else if (tag === 0x1a) signature = reader.view();
    else reader.skip(tag, 0x0e);
    if (chain.length > CHAIN_MAX) throw new WireError(`more than ${CHAIN_MAX} in a chain`);
  }
  return { entry, chain, signature };
};

const NO_BYTES: Uint8Array = Buffer.alloc(0);
