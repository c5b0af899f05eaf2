import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ByteReader } from "../../src/wire/byte-reader.ts";
import { ByteWriter, putPaddedVarint, varintBytes } from "../../src/wire/byte-writer.ts";
import { hybridTimeFrom, hybridTimeHigh, hybridTimeLow } from "../../src/wire/hybrid-time.ts";
import { WireError } from "../../src/wire/wire-error.ts";
import { bytes, text, time, uint32, uint53 } from "./frame-arbitraries.ts";

describe("ByteWriter and ByteReader", () => {
  it("agree on every primitive, from any size of arena", () => {
    const values = fc.record({ uint32, uint53, text, bytes, time, flag: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(values, { maxLength: 8 }),
        fc.nat({ max: 300 }),
        (rows, initialBytes) => {
          const writer = new ByteWriter(initialBytes);
          for (const row of rows) {
            writer.uint32(row.uint32);
            writer.uint64(row.uint53);
            writer.fixed32(row.uint32);
            writer.fixed64(hybridTimeHigh(row.time), hybridTimeLow(row.time));
            writer.string(row.text);
            writer.bytes(row.bytes);
            writer.bool(row.flag);
          }
          const reader = new ByteReader(writer.take());
          const read = rows.map(() => ({
            uint32: reader.uint32(),
            uint53: reader.uint64(),
            fixed32: reader.fixed32(),
            time: reader.time(),
            text: reader.string(),
            bytes: reader.view(),
            flag: reader.bool(),
          }));
          expect(read).toEqual(rows.map((row) => ({ ...row, fixed32: row.uint32 })));
          expect(reader.position).toBe(reader.limit);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("agree on a padded varint and on how long the shortest one is", () => {
    fc.assert(
      fc.property(uint32, fc.integer({ min: 1, max: 5 }), (value, width) => {
        const writer = new ByteWriter();
        writer.uint64(value);
        expect(writer.position).toBe(varintBytes(value));
        const padded = new Uint8Array(5);
        if (varintBytes(value) > width) {
          expect(() => putPaddedVarint(padded, 0, width, value)).toThrow(WireError);
          return;
        }
        putPaddedVarint(padded, 0, width, value);
        expect(new ByteReader(padded, 0, width).uint32()).toBe(value);
      }),
    );
    expect(varintBytes(Number.MAX_SAFE_INTEGER)).toBe(8);
  });
});

describe("ByteWriter", () => {
  it("moves what follows when a length needs more or fewer bytes than were reserved", () => {
    for (const reserved of [1, 2, 3, 5]) {
      for (const length of [0, 127, 128, 16_383, 16_384]) {
        const content = Buffer.alloc(length, 7);
        const writer = new ByteWriter(16);
        const start = writer.open(reserved);
        writer.raw(content);
        writer.close(start, reserved);
        writer.byte(9);
        const reader = new ByteReader(writer.take());
        expect(reader.view()).toEqual(content);
        expect(reader.uint32()).toBe(9);
      }
    }
  });

  it("hands over a full arena and copies a small result, and never writes to either again", () => {
    const writer = new ByteWriter(4_096);
    writer.raw(Buffer.alloc(3_000, 1));
    const large = writer.take();
    writer.raw(Buffer.alloc(10, 2));
    const small = writer.take();
    writer.raw(Buffer.alloc(4_096, 3));
    expect(large).toEqual(Buffer.alloc(3_000, 1));
    expect(small).toEqual(Buffer.alloc(10, 2));
    expect(large.buffer.byteLength).toBe(4_096);
  });

  it("does not keep the arena that one large message needed", () => {
    const writer = new ByteWriter(64);
    writer.raw(Buffer.alloc(100_000));
    writer.reset();
    writer.byte(1);
    expect(writer.buffer.length).toBe(64);
  });

  it("cuts fractions off", () => {
    const writer = new ByteWriter();
    for (const value of [1.9, 300.5, 2 ** 40 + 0.5]) writer.uint64(value);
    const reader = new ByteReader(writer.take());
    expect([reader.uint64(), reader.uint64(), reader.uint64()]).toEqual([1, 300, 2 ** 40]);
  });
});

describe("hybrid time", () => {
  it("fits a fixed64 without loss, up to its largest value", () => {
    const largest = { ms: 2 ** 48 - 1, counter: 0xffff };
    expect([hybridTimeHigh(largest), hybridTimeLow(largest)]).toEqual([0xffff_ffff, 0xffff_ffff]);
    fc.assert(
      fc.property(time, (value) => {
        expect(hybridTimeFrom(hybridTimeHigh(value), hybridTimeLow(value))).toEqual(value);
      }),
    );
  });
});
