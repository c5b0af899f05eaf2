/**
 * Frames around something large that stays where it is: a batch of one message, a request, a reply.
 *
 * Protobuf allows any order of fields: what is large is the last field of each message around it, so that a frame is
 * its head, then those bytes.
 *
 * Invariant: a head and the bytes, one after the other, are the frame that a BatchWriter or `encodeFrame` would have
 * written, but for lengths that may be padded there.
 */
import type { SectionHead } from "./batch.ts";
import { ByteWriter, varintBytes } from "./byte-writer.ts";
import { type EnvelopeTemplate, writeEnvelope } from "./envelope.ts";
import type { EnvelopeVariables } from "./envelope-rest.ts";
import { boolField, uint32Field, uint64Field } from "./field-writer.ts";
import {
  type OutgoingRequest,
  type ReplyFrame,
  writeReplyHead,
  writeRequestHead,
} from "./request.ts";

/** Tag of the last field everywhere: number 15, bytes. */
const LAST = 0x7a;
const BATCH = (7 << 3) | 2;
const REQUEST = (12 << 3) | 2;
const REPLY = (13 << 3) | 2;
const SECTION = 0x0a;
const NO_BYTES: Uint8Array = Buffer.alloc(0);

/** What stands before one delivery's envelope, beside its section. See `Delivery`; -1: no key. */
export type DeliveryHead = {
  readonly seq: number;
  readonly keyHash: number;
  readonly attempts: number;
  readonly skip: number;
  /** -1: never. */
  readonly remainingMs: number;
  readonly resume: boolean;
};

/** Everything before the envelope of a batch that consists of one delivery. */
export const headOfBatch = (
  session: number,
  section: SectionHead,
  { seq, keyHash, attempts, skip, remainingMs, resume }: DeliveryHead,
  size: number,
): Uint8Array => {
  const delivery = new ByteWriter();
  uint64Field(delivery, 0x08, seq);
  if (keyHash >= 0) {
    delivery.byte(0x15);
    delivery.fixed32(keyHash);
  }
  uint32Field(delivery, 0x18, attempts);
  uint32Field(delivery, 0x20, skip);
  if (remainingMs >= 0) uint64Field(delivery, 0x28, remainingMs + 1);
  boolField(delivery, 0x30, resume);
  const inner = lastField(delivery, size);
  const outer = new ByteWriter();
  uint32Field(outer, 0x08, section.subscription);
  uint64Field(outer, 0x10, section.first);
  uint32Field(outer, 0x18, section.epoch);
  boolField(outer, 0x20, section.volatile);
  uint32Field(outer, 0x28, section.floorEpoch);
  uint64Field(outer, 0x30, section.floorSeq);
  uint64Field(outer, 0x38, section.term);
  const sectionHead = lastField(outer, inner.length + size);
  outer.raw(sectionHead);
  outer.raw(inner);
  const sectionBytes = outer.take();
  const batch = new ByteWriter();
  batch.byte(SECTION);
  batch.uint64(sectionBytes.length + size);
  batch.raw(sectionBytes);
  return framed(session, BATCH, batch.take(), size);
};

/** Everything before the payload of an envelope. @throws WireError */
export const headOfEnvelope = (
  template: EnvelopeTemplate,
  variables: EnvelopeVariables,
): Uint8Array => {
  const writer = new ByteWriter();
  writeEnvelope(writer, template, { ...variables, payload: NO_BYTES });
  return lastField(writer, variables.payload.length);
};

/** Everything before the payload of a request. @throws WireError */
export const headOfRequest = (frame: OutgoingRequest): Uint8Array => {
  const { template, variables } = frame.envelope;
  const size = variables.payload.length;
  const inner = headOfEnvelope(template, variables);
  const request = new ByteWriter();
  writeRequestHead(request, frame);
  request.raw(lastField(request, inner.length + size));
  request.raw(inner);
  return framed(frame.session, REQUEST, request.take(), size);
};

/** Everything before the payload of a reply. */
export const headOfReply = (frame: ReplyFrame): Uint8Array => {
  const reply = new ByteWriter();
  writeReplyHead(reply, frame);
  const size = frame.payload.length;
  return framed(frame.session, REPLY, lastField(reply, size), size);
};

/** What was written, then the last field's tag and length. */
const lastField = (writer: ByteWriter, size: number): Uint8Array => {
  writer.byte(LAST);
  writer.uint64(size);
  return writer.take();
};

/** A frame whose body is `head` and then `size` bytes that are not given. */
const framed = (session: number, tag: number, head: Uint8Array, size: number): Uint8Array => {
  const bodyBytes = head.length + size;
  const writer = new ByteWriter(6 + varintBytes(bodyBytes) + head.length);
  if (session !== 0) {
    writer.byte(0x0d);
    writer.fixed32(session);
  }
  writer.byte(tag);
  writer.uint64(bodyBytes);
  writer.raw(head);
  return writer.take();
};
