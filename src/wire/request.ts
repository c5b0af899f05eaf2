/** The frames of request and reply: Request, Reply, Cancel. */
import type { ByteReader } from "./byte-reader.ts";
import { type ByteWriter, varintBytes } from "./byte-writer.ts";
import { envelopeBytesBound, UnwrittenEnvelope, writeEnvelope } from "./envelope.ts";
import { CONTENT_TYPE_DEFAULT } from "./envelope-rare.ts";
import {
  boolField,
  bytesField,
  messageField,
  textField,
  uint32Field,
  uint64Field,
} from "./field-writer.ts";
import { WireError } from "./wire-error.ts";

export type RequestFrame = {
  readonly type: "request";
  readonly session: number;
  /** Unique per session and direction. */
  readonly id: number;
  readonly subscription: number;
  /** Milliseconds until the asker gives up, below 2^32. */
  readonly remainingMs: number;
  /** An encoded envelope; when read, a view of the frame, not checked. */
  readonly envelope: Uint8Array;
};

/** A request on its way out. */
export type OutgoingRequest = Omit<RequestFrame, "envelope"> & {
  readonly envelope: UnwrittenEnvelope;
};

export type RemoteError = {
  readonly name: string;
  readonly message: string;
  readonly code: string;
  /** JSON of the error's details, or empty. */
  readonly details: string;
  /** No handler was started. */
  readonly refused: boolean;
};

export type ReplyFrame = {
  readonly type: "reply";
  readonly session: number;
  readonly id: number;
  /** Present: the handler failed. */
  readonly error?: RemoteError | undefined;
  /** "application/json" when absent on the wire. */
  readonly contentType: string;
  /** When read, a view of the frame. */
  readonly payload: Uint8Array;
};

export type CancelFrame = {
  readonly type: "cancel";
  readonly session: number;
  readonly id: number;
};

const NO_BYTES: Uint8Array = Buffer.alloc(0);

/** How many bytes the envelope takes, or takes at most. */
export const envelopeBytesOf = (envelope: Uint8Array | UnwrittenEnvelope): number =>
  envelope instanceof UnwrittenEnvelope
    ? envelopeBytesBound(envelope.template, envelope.variables)
    : envelope.length;

export const writeRequest = (writer: ByteWriter, frame: RequestFrame | OutgoingRequest): void => {
  writeRequestHead(writer, frame);
  const { envelope } = frame;
  if (!(envelope instanceof UnwrittenEnvelope)) {
    bytesField(writer, 0x7a, envelope);
    return;
  }
  const lengthBytes = varintBytes(envelopeBytesOf(envelope));
  writer.byte(0x7a);
  const start = writer.open(lengthBytes);
  writeEnvelope(writer, envelope.template, envelope.variables);
  writer.close(start, lengthBytes);
};

/** Everything but the envelope, which is the last field. */
export const writeRequestHead = (
  writer: ByteWriter,
  { id, subscription, remainingMs }: Pick<RequestFrame, "id" | "subscription" | "remainingMs">,
): void => {
  uint64Field(writer, 0x08, id);
  uint32Field(writer, 0x10, subscription);
  uint32Field(writer, 0x18, remainingMs);
};

export const readRequest = (reader: ByteReader, session: number): RequestFrame => {
  let id = 0;
  let subscription = 0;
  let remainingMs = 0;
  let envelope = NO_BYTES;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) id = reader.uint64();
    else if (tag === 0x10) subscription = reader.uint32();
    else if (tag === 0x18) remainingMs = reader.uint32();
    else if (tag === 0x7a) envelope = reader.view();
    else reader.skip(tag, 0x800e);
  }
  return { type: "request", session, id, subscription, remainingMs, envelope };
};

export const writeReply = (writer: ByteWriter, frame: ReplyFrame): void => {
  writeReplyHead(writer, frame);
  bytesField(writer, 0x7a, frame.payload);
};

/** Everything but the payload, which is the last field. */
export const writeReplyHead = (
  writer: ByteWriter,
  { id, error, contentType }: Pick<ReplyFrame, "id" | "error" | "contentType">,
): void => {
  uint64Field(writer, 0x08, id);
  if (error !== undefined) messageField(writer, 0x12, error, writeRemoteError);
  if (contentType !== CONTENT_TYPE_DEFAULT) textField(writer, 0x1a, contentType);
};

export const readReply = (reader: ByteReader, session: number): ReplyFrame => {
  let id = 0;
  let error: RemoteError | undefined;
  let contentType = "";
  let payload = NO_BYTES;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) id = reader.uint64();
    else if (tag === 0x12) {
      if (error !== undefined) throw new WireError("two errors in one reply");
      error = reader.message(readRemoteError);
    } else if (tag === 0x1a) contentType = reader.string();
    else if (tag === 0x7a) payload = reader.view();
    else reader.skip(tag, 0x800e);
  }
  if (contentType === "") contentType = CONTENT_TYPE_DEFAULT;
  return { type: "reply", session, id, error, contentType, payload };
};

export const writeCancel = (writer: ByteWriter, frame: CancelFrame): void => {
  uint64Field(writer, 0x08, frame.id);
};

export const readCancel = (reader: ByteReader, session: number): CancelFrame => {
  let id = 0;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) id = reader.uint64();
    else reader.skip(tag, 0x02);
  }
  return { type: "cancel", session, id };
};

const writeRemoteError = (writer: ByteWriter, error: RemoteError): void => {
  textField(writer, 0x0a, error.name);
  textField(writer, 0x12, error.message);
  textField(writer, 0x1a, error.code);
  textField(writer, 0x22, error.details);
  boolField(writer, 0x28, error.refused);
};

const readRemoteError = (reader: ByteReader): RemoteError => {
  let name = "";
  let message = "";
  let code = "";
  let details = "";
  let refused = false;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) name = reader.string();
    else if (tag === 0x12) message = reader.string();
    else if (tag === 0x1a) code = reader.string();
    else if (tag === 0x22) details = reader.string();
    else if (tag === 0x28) refused = reader.bool();
    else reader.skip(tag, 0x3e);
  }
  return { name, message, code, details, refused };
};
