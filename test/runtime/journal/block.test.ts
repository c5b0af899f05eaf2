import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Block, BlockDamage } from "../../../src/runtime/journal/block.ts";
import { BlockBuilder, type BlockRecord } from "../../../src/runtime/journal/block-builder.ts";
import { EnvelopeTemplate, EnvelopeView } from "../../../src/wire/envelope.ts";
import { crc, record } from "./journal-fixture.ts";

const builderOf = (bytesMax = 65_536): BlockBuilder => new BlockBuilder({ bytesMax, crc32: crc });

const smallBlock = (): Block => {
  const builder = builderOf();
  builder.appendBytes(
    record("", { keyHash: 0xdeadbeef, timeMs: 0x0123456789ab, timeCounter: 7 }),
    Buffer.from("one"),
  );
  builder.appendBytes(
    record("", { kind: 1, subject: "stock.reserve", expireAtMs: 1234.5, timeMs: 0x0123456789ac }),
    Buffer.from("second"),
  );
  builder.appendBytes(
    record("", { target: "billing|orders.>", timeMs: 0x0123456789ab, timeCounter: 9 }),
    Buffer.alloc(0),
  );
  return builder.finish(0x01020304, 2 ** 40 + 5);
};

describe("Block", () => {
  it("has the bytes of format version 1", () => {
    expect(Buffer.from(smallBlock().bytes).toString("hex")).toBe(GOLDEN);
  });

  it("reads every field of the golden block", () => {
    const block = Block.open(Buffer.from(GOLDEN, "hex"), crc);
    expect(block.epoch).toBe(0x01020304);
    expect(block.firstSeq).toBe(2 ** 40 + 5);
    expect(block.lastSeq).toBe(2 ** 40 + 7);
    expect([block.firstTimeMs, block.firstTimeCounter]).toEqual([0x0123456789ab, 7]);
    expect([block.lastTimeMs, block.lastTimeCounter]).toEqual([0x0123456789ac, 0]);
    expect(block.subjects).toEqual([
      { kind: 0, subject: "orders.placed" },
      { kind: 1, subject: "stock.reserve" },
    ]);
    expect([0, 1, 2].map((i) => block.subjectIndex(i))).toEqual([0, 1, 0]);
    expect([0, 1, 2].map((i) => block.keyHash(i))).toEqual([0xdeadbeef, -1, -1]);
    expect([0, 1, 2].map((i) => block.expireAtMs(i))).toEqual([-1, 1234.5, -1]);
    expect([0, 1, 2].map((i) => block.target(i))).toEqual([
      undefined,
      undefined,
      "billing|orders.>",
    ]);
    expect(block.indexOf({ epoch: 0x01020304, seq: 2 ** 40 + 6 })).toBe(1);
    expect(block.indexOf({ epoch: 0x01020304, seq: 2 ** 40 + 8 })).toBe(-1);
    expect(block.indexOf({ epoch: 0x01020305, seq: 2 ** 40 + 6 })).toBe(-1);
  });

  it("detects any flipped bit in any byte", () => {
    const { bytes } = smallBlock();
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = Uint8Array.from(bytes);
        damaged[at] = (damaged[at] as number) ^ (1 << bit);
        expect(() => Block.open(damaged, crc), `byte ${at} bit ${bit}`).toThrow(BlockDamage);
      }
    }
  });

  it("detects every cut and every added byte", () => {
    const { bytes } = smallBlock();
    for (let length = 0; length < bytes.length; length++) {
      expect(() => Block.open(bytes.subarray(0, length), crc)).toThrow(BlockDamage);
    }
    expect(() => Block.open(Buffer.concat([bytes, Buffer.alloc(1)]), crc)).toThrow(BlockDamage);
  });

  it("tells the positions of a block whose body is damaged, and not of one whose header is", () => {
    const { bytes } = smallBlock();
    const body = Uint8Array.from(bytes);
    body[70] = (body[70] as number) ^ 1;
    const expected = { epoch: 0x01020304, firstSeq: 2 ** 40 + 5, lastSeq: 2 ** 40 + 7 };
    expect(Block.header(body, crc)).toEqual(expected);
    for (let at = 8; at < 64; at++) {
      const header = Uint8Array.from(bytes);
      header[at] = (header[at] as number) ^ 0x10;
      expect(Block.header(header, crc), `byte ${at}`).toBeUndefined();
    }
  });

  it("refuses bytes with a right checksum and a wrong shape without another kind of error", () => {
    const { bytes } = smallBlock();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 12, max: bytes.length - 1 }), fc.nat(255)), {
          minLength: 1,
          maxLength: 4,
        }),
        (changes) => {
          const forged = Buffer.from(bytes);
          for (const [at, value] of changes) forged[at] = value;
          forged.writeUInt32LE(crc(forged.subarray(8)), 4);
          try {
            const block = Block.open(forged, crc);
            for (let i = 0; i < block.count; i++) {
              expect(block.envelopeEnd(i)).toBeLessThanOrEqual(forged.length);
              expect(block.subjects[block.subjectIndex(i)]).toBeDefined();
            }
          } catch (error) {
            expect(error).toBeInstanceOf(BlockDamage);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("gives back whatever was appended, whatever the order and the mix", () => {
    const arbitrary = fc.record({
      kind: fc.constantFrom<0 | 1>(0, 1),
      subject: fc.constantFrom("a", "b.c", "ü.x", "long.".repeat(50)),
      keyHash: fc.oneof(fc.constant(-1), fc.nat(0xffff_ffff)),
      expireAtMs: fc.oneof(fc.constant(-1), fc.nat()),
      target: fc.option(fc.string({ maxLength: 20, unit: "grapheme" }), { nil: undefined }),
      timeMs: fc.nat(2 ** 48 - 1),
      timeCounter: fc.nat(0xffff),
      envelope: fc.uint8Array({ maxLength: 300 }),
    });
    fc.assert(
      fc.property(fc.array(arbitrary, { minLength: 1, maxLength: 60 }), (records) => {
        const builder = builderOf(1024);
        for (const one of records) builder.appendBytes(one, one.envelope);
        const size = builder.bytes;
        const { bytes } = builder.finish(3, 17);
        expect(bytes.length).toBe(size);
        const block = Block.open(bytes, crc);
        expect(block.count).toBe(records.length);
        records.forEach((one, i) => {
          expect(block.subjects[block.subjectIndex(i)]).toEqual({
            kind: one.kind,
            subject: one.subject,
          });
          expect(block.keyHash(i)).toBe(one.keyHash);
          expect(block.expireAtMs(i)).toBe(one.expireAtMs);
          expect(block.target(i)).toBe(one.target);
          const envelope = bytes.subarray(block.envelopeStart(i), block.envelopeEnd(i));
          expect(Buffer.compare(envelope, one.envelope)).toBe(0);
        });
        expect(block.firstTimeMs).toBe(Math.min(...records.map((one) => one.timeMs)));
        expect(block.lastTimeMs).toBe(Math.max(...records.map((one) => one.timeMs)));
      }),
      { numRuns: 200 },
    );
  });
});

describe("BlockBuilder", () => {
  const template = new EnvelopeTemplate({ subject: "orders.placed", kind: 0 });
  const plain: BlockRecord = record("");

  it("encodes an envelope straight into the block", () => {
    const builder = builderOf();
    const time = { ms: 1_700_000_000_000, counter: 3 };
    const payload = Buffer.from("{}");
    for (const key of ["k1", "k2"]) {
      builder.appendEnvelope(plain, template, { key, time, payload });
    }
    const block = builder.finish(1, 1);
    const view = new EnvelopeView(block.bytes, block.envelopeStart(1), block.envelopeEnd(1));
    expect([view.subject, view.key, Buffer.from(view.payload).toString()]).toEqual([
      "orders.placed",
      "k2",
      "{}",
    ]);
  });

  it("is as it was after an append that threw half-way", () => {
    const builder = builderOf();
    builder.appendBytes(plain, Buffer.from("kept"));
    const size = builder.bytes;
    const half = (writer: { byte(value: number): void }): void => {
      writer.byte(1);
      throw new Error("half-way");
    };
    expect(() => builder.append({ ...plain, subject: "new" }, half)).toThrow("half-way");
    const long = { ...plain, subject: "new", target: "x".repeat(70_000) };
    expect(() => builder.appendBytes(long, Buffer.from("no"))).toThrow(RangeError);
    expect([builder.count, builder.bytes]).toEqual([1, size]);
    builder.appendBytes(plain, Buffer.from("too"));
    const block = Block.open(builder.finish(1, 1).bytes, crc);
    expect(block.subjects).toEqual([{ kind: 0, subject: "orders.placed" }]);
    expect(block.envelopeEnd(1) - block.envelopeStart(1)).toBe(3);
  });

  it("goes back to a mark", () => {
    const builder = builderOf();
    builder.appendBytes(plain, Buffer.from("kept"));
    const expected = Buffer.from(builder.finish(1, 1).bytes).toString("hex");
    builder.appendBytes(plain, Buffer.from("kept"));
    const mark = builder.mark();
    const other = { ...plain, subject: "b", target: "t", expireAtMs: 5, timeMs: 1, keyHash: 4 };
    builder.appendBytes(other, Buffer.from("gone"));
    builder.rollback(mark);
    expect(Buffer.from(builder.finish(1, 1).bytes).toString("hex")).toBe(expected);
  });

  it("is full at bytesMax, and at 65,535 records", () => {
    const builder = builderOf(400);
    builder.appendBytes(plain, Buffer.alloc(200));
    expect(builder.isFull).toBe(false);
    builder.appendBytes(plain, Buffer.alloc(200));
    expect(builder.isFull).toBe(true);
    const large = builderOf(2 ** 30);
    for (let i = 0; i < 65_534; i++) large.append(plain, () => {});
    expect(large.isFull).toBe(false);
    large.append(plain, () => {});
    expect(large.isFull).toBe(true);
    expect(Block.open(large.finish(1, 1).bytes, crc).count).toBe(65_535);
  });
});

const GOLDEN = [
  "4d424a424f393eaf9d58594401000300ba0000000403020105000000000100000700ab8967452301",
  "0000ac8967452301030000004900000002000100000000006f6e657365636f6e6443000000490000",
  "0049000000efbeadde0000000000000000000001000000010000000000000000f0bf00000000004a",
  "9340000000000000f0bfffffffff0000000d006f72646572732e706c61636564010d0073746f636b",
  "2e72657365727665100062696c6c696e677c6f72646572732e3e",
].join("");
