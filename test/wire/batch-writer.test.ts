import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SectionHead } from "../../src/wire/batch.ts";
import { BatchWriter } from "../../src/wire/batch-writer.ts";
import { EnvelopeTemplate, EnvelopeView, encodeEnvelope } from "../../src/wire/envelope.ts";
import { decodeFrame } from "../../src/wire/frames.ts";
import { WireError } from "../../src/wire/wire-error.ts";
import { envelope } from "./frame-arbitraries.ts";
import { oracleDecodeFrame } from "./proto-oracle.ts";

const head: SectionHead = {
  subscription: 1,
  first: 1,
  epoch: 9,
  volatile: false,
  floorEpoch: 0,
  floorSeq: 0,
  term: 0,
};
const template = new EnvelopeTemplate({ subject: "a.b", kind: 0 });
const message = { time: { ms: 5, counter: 0 }, payload: Buffer.from("hello") };

describe("BatchWriter", () => {
  it("counts bytes and deliveries, and is empty until a section begins", () => {
    const writer = new BatchWriter();
    writer.begin(1);
    expect([writer.empty, writer.deliveries]).toEqual([true, 0]);
    writer.beginSection(head);
    expect([writer.empty, writer.deliveries]).toEqual([false, 0]);
    writer.emitDelivery(1, -1, 0, 0, -1, false, template, message);
    const before = writer.bytes;
    writer.delivery(2, -1, 0, 0, -1, false, Buffer.alloc(10), 2, 9);
    expect(writer.deliveries).toBe(2);
    expect(writer.bytes - before).toBe(2 + 2 + 2 + 7);
    expect(writer.finish().length).toBeGreaterThan(before);
    writer.begin(1);
    expect([writer.empty, writer.deliveries]).toEqual([true, 0]);
  });

  it("ends a frame in place: the same bytes, in memory that the next frame is written to", () => {
    const write = (writer: BatchWriter, count: number): void => {
      writer.begin(7);
      writer.beginSection(head);
      for (let seq = 1; seq <= count; seq++) {
        writer.emitDelivery(seq, -1, 0, 0, -1, false, template, message);
      }
    };
    const lending = new BatchWriter(4_096);
    const giving = new BatchWriter(4_096);
    const memory = new Set<ArrayBufferLike>();
    for (const count of [1, 60, 3, 50]) {
      write(lending, count);
      write(giving, count);
      const lent = lending.finishInPlace();
      expect(Buffer.compare(lent, giving.finish())).toBe(0);
      expect([lending.empty, lending.deliveries]).toEqual([true, 0]);
      memory.add(lent.buffer);
    }
    expect(memory.size).toBe(1);
  });

  it("writes a section without deliveries, which still states the floor", () => {
    const writer = new BatchWriter();
    writer.begin(3);
    writer.beginSection({ ...head, floorEpoch: 8, floorSeq: 7 });
    const frame = decodeFrame(writer.finish());
    expect(frame).toMatchObject({ session: 3, sections: [{ floorSeq: 7, deliveries: [] }] });
  });

  it("writes the same envelope whether it is copied or encoded in place", () => {
    fc.assert(
      fc.property(envelope, fc.integer({ min: 16, max: 4_096 }), (fields, arenaBytes) => {
        const writer = new BatchWriter(arenaBytes);
        const bytes = encodeEnvelope(fields);
        writer.begin(7);
        writer.beginSection(head);
        writer.delivery(5, 0xffff_ffff, 1, 2, 3, true, bytes, 0, bytes.length);
        const size = writer.emitDelivery(
          5,
          0xffff_ffff,
          1,
          2,
          3,
          true,
          new EnvelopeTemplate(fields),
          fields,
        );
        const batch = writer.finish();
        expect(size).toBe(bytes.length);
        const [copied, emitted] = envelopesOf(batch);
        expect(copied).toEqual(Buffer.from(bytes));
        expect(emitted).toEqual(Buffer.from(bytes));
        const seen = oracleDecodeFrame(batch) as {
          batch: { sections: { deliveries: unknown[] }[] };
        };
        const deliveries = seen.batch.sections[0]?.deliveries;
        expect(deliveries?.[1]).toEqual(deliveries?.[0]);
      }),
      { numRuns: 200 },
    );
  });

  it("never touches a frame that it has handed over", () => {
    const writer = new BatchWriter(64);
    const write = (payload: Buffer): Uint8Array => {
      writer.begin(1);
      writer.beginSection(head);
      writer.emitDelivery(1, -1, 0, 0, -1, false, template, { ...message, payload });
      return writer.finish();
    };
    const payloads = [1, 200, 3, 5_000, 10, 20].map((size) => Buffer.alloc(size, size));
    const frames = payloads.map(write);
    const read = frames.map((frame) => {
      const [bytes] = envelopesOf(frame);
      return new EnvelopeView(bytes as Buffer).payload;
    });
    expect(read).toEqual(payloads);
  });

  it("keeps what is already in the frame when one message cannot be written", () => {
    const writer = new BatchWriter();
    const broken = { ...message, headers: { a: 5 as unknown as string } };
    writer.begin(1);
    writer.beginSection(head);
    writer.emitDelivery(1, -1, 0, 0, -1, false, template, message);
    expect(() => writer.emitDelivery(2, -1, 0, 0, -1, false, template, broken)).toThrow(TypeError);
    expect(() => writer.delivery(-2, -1, 0, 0, -1, false, message.payload, 0, 5)).toThrow(
      WireError,
    );
    writer.emitDelivery(2, -1, 0, 0, -1, false, template, message);
    const batch = writer.finish();
    expect(envelopesOf(batch)).toHaveLength(2);
  });

  it("forgets a frame that was begun and not finished", () => {
    const writer = new BatchWriter();
    writer.begin(1);
    writer.beginSection(head);
    writer.emitDelivery(1, -1, 0, 0, -1, false, template, message);
    writer.begin(2);
    expect(decodeFrame(writer.finish())).toEqual({ type: "batch", session: 2, sections: [] });
  });
});

const envelopesOf = (bytes: Uint8Array): Buffer[] => {
  const frame = decodeFrame(bytes);
  if (frame.type !== "batch") throw new Error(`expected a batch, found ${frame.type}`);
  return frame.sections.flatMap((section) =>
    section.deliveries.map((delivery) =>
      Buffer.from(delivery.bytes.subarray(delivery.envelopeStart, delivery.envelopeEnd)),
    ),
  );
};
