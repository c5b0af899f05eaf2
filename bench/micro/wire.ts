/**
 * Micro bench of the wire's hot path, with 128-byte payloads and 16-byte keys. Each iteration is one frame of 384
 * messages, or 384 small frames. Only ratios between runs on one machine count.
 *
 * Run: node .build/bench/micro/wire.js [--json]
 */
import { bench } from "mitata";
import type { Delivery, SectionHead } from "../../src/wire/batch.ts";
import { BatchWriter } from "../../src/wire/batch-writer.ts";
import { ByteWriter } from "../../src/wire/byte-writer.ts";
import { EnvelopeTemplate, EnvelopeView, writeEnvelope } from "../../src/wire/envelope.ts";
import { decodeFrame, encodeFrame } from "../../src/wire/frames.ts";
import { runMicro } from "../run-micro.ts";

const PAYLOAD_BYTES = 128;
const FRAME_MESSAGES = 384;

const template = new EnvelopeTemplate({ subject: "orders.placed", kind: 0, schemaVersion: 1 });
const payload = Buffer.alloc(PAYLOAD_BYTES, 0x61);
const messages = Array.from({ length: 1_024 }, (_, index) => ({
  key: `customer-${String(index).padStart(7, "0")}`,
  time: { ms: 1_750_000_000_000 + index, counter: index },
  payload,
}));
const message = (index: number) => messages[index & 1_023] as (typeof messages)[number];
const head: SectionHead = {
  subscription: 3,
  first: 100_000,
  epoch: 1_750_000_000,
  volatile: false,
  floorEpoch: 1_750_000_000,
  floorSeq: 99_000,
  term: 0,
};

/** Kept and printed, so that no work can be optimised away. */
let checksum = 0;
let first = 0;
const nextFrame = (): number => {
  first += FRAME_MESSAGES;
  return first;
};

const writer = new ByteWriter(80 * 1_024);
bench("envelope encode", () => {
  const from = nextFrame();
  for (let index = 0; index < FRAME_MESSAGES; index++) {
    checksum += writeEnvelope(writer, template, message(from + index));
  }
  checksum += writer.take().length;
});

const batch = new BatchWriter(96 * 1_024);
const emitFrame = (first: number): Uint8Array => {
  batch.begin(7);
  batch.beginSection(head);
  for (let index = 0; index < FRAME_MESSAGES; index++) {
    const hash = Math.imul(first + index, 2_654_435_761) >>> 0;
    batch.emitDelivery(first + index, hash, 0, 0, -1, false, template, message(index));
  }
  return batch.finish();
};
bench("batch encode, straight from a publish", () => {
  checksum += emitFrame(nextFrame()).length;
});

const frame = decodeFrame(emitFrame(100_000));
const section = frame.type === "batch" ? frame.sections[0] : undefined;
const deliveries: readonly Delivery[] = section?.deliveries ?? [];
const copyFrame = (): Uint8Array => {
  batch.begin(7);
  batch.beginSection(head);
  for (const delivery of deliveries) {
    const { seq, keyHash, bytes, envelopeStart, envelopeEnd } = delivery;
    batch.delivery(seq, keyHash, 0, 0, -1, false, bytes, envelopeStart, envelopeEnd);
  }
  return batch.finish();
};
bench("batch encode, envelopes copied", () => {
  checksum += copyFrame().length;
});

const bytes = copyFrame();
const eachDelivery = (visit: (delivery: Delivery) => number): void => {
  const decoded = decodeFrame(bytes);
  if (decoded.type !== "batch") throw new Error("not a batch");
  for (const { deliveries } of decoded.sections) {
    for (const delivery of deliveries) checksum += visit(delivery);
  }
};
const view = (delivery: Delivery): EnvelopeView =>
  new EnvelopeView(delivery.bytes, delivery.envelopeStart, delivery.envelopeEnd);

bench("batch decode", () => eachDelivery((delivery) => delivery.seq));
bench("batch decode, payload read", () =>
  eachDelivery((delivery) => view(delivery).payload.length),
);
bench("batch decode, payload and key read", () =>
  eachDelivery((delivery) => {
    const envelope = view(delivery);
    return envelope.payload.length + (envelope.key?.length ?? 0);
  }),
);

const settle = {
  type: "settle",
  session: 7,
  sections: [{ subscription: 3, acked: [100_000, 384], held: [], nacks: [], released: [] }],
} as const;
bench("settle encode and decode", () => {
  for (let count = 0; count < FRAME_MESSAGES; count++) {
    checksum += decodeFrame(encodeFrame(settle)).session;
  }
});
const request = {
  type: "request",
  session: 7,
  id: 1,
  subscription: 3,
  remainingMs: 5_000,
  envelope: payload,
} as const;
bench("request encode and decode", () => {
  for (let count = 0; count < FRAME_MESSAGES; count++) {
    checksum += decodeFrame(encodeFrame(request)).session;
  }
});
await runMicro();
console.error(`checksum ${checksum}, ${bytes.length} bytes for ${deliveries.length} deliveries`);
