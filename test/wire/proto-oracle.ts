/**
 * The second opinion: protobufjs, reading the very .proto files that are the wire's specification, and
 * the mapping between its plain objects and ours. It shares no code with src/wire.
 */
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import type { Delivery } from "../../src/wire/batch.ts";
import type { Bundle } from "../../src/wire/bundle.ts";
import { decodeFrame, type Frame, type KnownFrame } from "../../src/wire/frames.ts";
import type { GossipMessage } from "../../src/wire/gossip.ts";

const PROTO_FILES = ["link.proto", "envelope.proto", "gossip.proto"].map((name) =>
  fileURLToPath(new URL(`../../proto/meshbus/v1/${name}`, import.meta.url)),
);
const root = new protobuf.Root().loadSync(PROTO_FILES);
const frameType = root.lookupType("meshbus.v1.Frame");
const envelopeType = root.lookupType("meshbus.v1.Envelope");
const gossipType = root.lookupType("meshbus.v1.Gossip");

type Plain = Record<string, unknown>;

const encodeWith = (type: protobuf.Type, value: Plain): Buffer =>
  Buffer.from(type.encode(type.fromObject(value)).finish());

const decodeWith = (type: protobuf.Type, bytes: Uint8Array): Plain =>
  type.toObject(type.decode(bytes), { longs: String, enums: String, bytes: Buffer });

/** Encodes one of our frames with protobufjs. */
export const oracleEncodeFrame = (frame: KnownFrame): Buffer =>
  encodeWith(frameType, frameToProto(frame));

export const oracleDecodeFrame = (bytes: Uint8Array): Plain => decodeWith(frameType, bytes);

/** What `oracleDecodeFrame` should find in the encoding of `frame`. */
export const oracleFrame = (frame: KnownFrame): Plain =>
  oracleDecodeFrame(oracleEncodeFrame(frame));

export const oracleEncodeEnvelope = (value: Plain): Buffer => encodeWith(envelopeType, value);

export const oracleDecodeEnvelope = (bytes: Uint8Array): Plain => decodeWith(envelopeType, bytes);

/** A hybrid time as the decimal text of its fixed64. */
export const fixed64Text = (time: { ms: number; counter: number }): string =>
  ((BigInt(time.ms) << 16n) | BigInt(time.counter)).toString();

/** A frame with each delivery's envelope as bytes of its own, so that frames can be compared. */
export const comparable = (frame: Frame): unknown => {
  if (frame.type !== "batch") return frame;
  const sections = frame.sections.map((section) => ({
    ...section,
    deliveries: section.deliveries.map((delivery) => {
      const { bytes: _bytes, envelopeStart: _start, envelopeEnd: _end, ...rest } = delivery;
      return { ...rest, envelope: envelopeBytes(delivery) };
    }),
    bundles: section.bundles.map(bundleBytes),
  }));
  return { ...frame, sections };
};

export const decodeComparable = (bytes: Uint8Array): unknown => comparable(decodeFrame(bytes));

const envelopeBytes = (delivery: Delivery): Buffer =>
  Buffer.from(delivery.bytes.slice(delivery.envelopeStart, delivery.envelopeEnd));

/** A bundle's parts as bytes of their own. */
const bundleBytes = ({ bytes, head, rests, keyHashes }: Bundle) => ({
  head: Buffer.from(head.rawBytes()),
  envelopes: Array.from({ length: rests.length / 2 }, (_, at) =>
    Buffer.from(bytes.slice(rests[2 * at], rests[2 * at + 1])),
  ),
  keyHashes: [...keyHashes],
});

const frameToProto = ({ type, session, ...body }: KnownFrame): Plain => ({
  session,
  [type]: type === "gossip" ? gossipToProto(body as GossipMessage) : toProto(body),
});

/** Bytes in a Frame, so that link.proto needs no other file. */
const gossipToProto = ({ kind, claims, ...rest }: GossipMessage): Buffer =>
  encodeWith(gossipType, {
    ...rest,
    kind: `GOSSIP_KIND_${kind}`.toUpperCase(),
    claims: claims.map((one) => ({ ...one, state: `GOSSIP_STATE_${one.state}`.toUpperCase() })),
  });

const ENUMS = ["role", "distribution", "start", "outcome", "verdict", "phase", "lane"];

const toProto = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(toProto);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if ("ms" in value && "counter" in value) {
    return fixed64Text(value as { ms: number; counter: number });
  }
  if ("rests" in value) return bundleBytes(value as Bundle);
  if ("envelopeStart" in value) return deliveryToProto(value as Delivery);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name, field]) => field !== undefined && !isDefaultContentType(name, field))
      .map(([name, field]) => [
        name,
        ENUMS.includes(name) ? enumToProto(name, field) : toProto(field),
      ]),
  );
};

const isDefaultContentType = (name: string, field: unknown): boolean =>
  name === "contentType" && field === "application/json";

const enumToProto = (name: string, value: unknown): string => `${name}_${value}`.toUpperCase();

const deliveryToProto = (delivery: Delivery): Plain => ({
  seq: delivery.seq,
  ...(delivery.keyHash < 0 ? {} : { keyHash: delivery.keyHash }),
  attempts: delivery.attempts,
  skip: delivery.skip,
  remainingMs: delivery.remainingMs + 1,
  resume: delivery.resume,
  envelope: envelopeBytes(delivery),
});
