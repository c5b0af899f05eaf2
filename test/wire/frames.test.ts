import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EnvelopeTemplate, envelopeOf, UnwrittenEnvelope } from "../../src/wire/envelope.ts";
import { decodeFrame, encodeFrame, type KnownFrame } from "../../src/wire/frames.ts";
import { WireError } from "../../src/wire/wire-error.ts";
import { FRAME_ARBITRARIES } from "./frame-arbitraries.ts";
import { SAMPLE_FRAMES } from "./frame-samples.ts";
import {
  comparable,
  decodeComparable,
  oracleDecodeFrame,
  oracleEncodeFrame,
  oracleFrame,
} from "./proto-oracle.ts";

const RUNS = { numRuns: 120 };
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

describe.each(Object.entries(FRAME_ARBITRARIES))("the %s frame", (_type, arbitrary) => {
  const frames = arbitrary as fc.Arbitrary<KnownFrame>;

  it("is read back as it was written", () => {
    fc.assert(
      fc.property(frames, (frame) => {
        expect(decodeComparable(encodeFrame(frame))).toEqual(comparable(frame));
      }),
      RUNS,
    );
  });

  it("is read by protobufjs as the specification says", () => {
    fc.assert(
      fc.property(frames, (frame) => {
        expect(oracleDecodeFrame(encodeFrame(frame))).toEqual(oracleFrame(frame));
      }),
      RUNS,
    );
  });

  it("is read as it was written by protobufjs", () => {
    fc.assert(
      fc.property(frames, (frame) => {
        expect(decodeComparable(oracleEncodeFrame(frame))).toEqual(comparable(frame));
      }),
      RUNS,
    );
  });
});

const minimal = Object.entries(FRAME_ARBITRARIES).filter(([type]) => type !== "batch");
describe.each(minimal)("the %s frame", (_type, arbitrary) => {
  it("has the canonical bytes: fields in order, lengths in their shortest form", () => {
    fc.assert(
      fc.property(arbitrary as fc.Arbitrary<KnownFrame>, (frame) => {
        expect(hexOf(encodeFrame(frame))).toBe(hexOf(oracleEncodeFrame(frame)));
      }),
      RUNS,
    );
  });
});

describe("encodeFrame", () => {
  it("writes a request's envelope in place as it would be written before", () => {
    const template = new EnvelopeTemplate({ subject: "shop.price", kind: 2 });
    const request = {
      type: "request",
      session: 7,
      id: 9,
      subscription: 1,
      remainingMs: 50,
    } as const;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.option(fc.string()), (payload, key) => {
        const variables = { time: { ms: 1, counter: 2 }, payload, key: key ?? undefined };
        const inPlace = new UnwrittenEnvelope(template, variables);
        const before = envelopeOf(template, variables);
        const bytes = encodeFrame({ ...request, envelope: inPlace });
        expect(hexOf(bytes)).toBe(hexOf(encodeFrame({ ...request, envelope: before })));
      }),
      RUNS,
    );
  });

  it("leaves what it gave before as it is", () => {
    fc.assert(
      fc.property(FRAME_ARBITRARIES.settle, FRAME_ARBITRARIES.hello, (settle, hello) => {
        const first = encodeFrame(settle);
        const hex = hexOf(first);
        encodeFrame(hello);
        expect(hexOf(first)).toBe(hex);
      }),
      RUNS,
    );
  });

  it("refuses numbers that the wire cannot hold", () => {
    const resync = { type: "resync", session: 1, subscription: 1, from: 1 } as const;
    for (const from of [-1, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => encodeFrame({ ...resync, from })).toThrow(WireError);
    }
    for (const subscription of [-1, 2 ** 32]) {
      expect(() => encodeFrame({ ...resync, subscription })).toThrow(WireError);
    }
  });
});

describe("decodeFrame", () => {
  it("reads a plain Uint8Array like a Buffer", () => {
    const bytes = encodeFrame({ type: "cancel", session: 9, id: 300 });
    expect(decodeFrame(new Uint8Array(bytes))).toEqual({ type: "cancel", session: 9, id: 300 });
  });

  it("finds the session also behind the body", () => {
    expect(decodeFrame(hex("8201 02 0803 0d 05000000"))).toEqual({
      type: "cancel",
      session: 5,
      id: 3,
    });
  });

  it("calls a body of a later version unknown when it may be ignored, and names its field", () => {
    expect(decodeFrame(hex("0d 05000000 fa05 02 ffff"))).toEqual({
      type: "unknown",
      session: 5,
      field: 95,
    });
  });

  it("refuses more of others than a node says in a frame", () => {
    const record = { nodeId: "n", service: "s", epoch: 1, addresses: ["tcp://a:1"] };
    const frame = SAMPLE_FRAMES.directory;
    const many = (count: number) => Array.from({ length: count }, () => record);
    const tooWide = { ...record, addresses: Array.from({ length: 9 }, () => "tcp://a:1") };
    expect(decodeFrame(encodeFrame({ ...frame, nodes: many(128) }))).toMatchObject({
      type: "directory",
    });
    for (const nodes of [many(129), [tooWide]]) {
      expect(() => decodeFrame(encodeFrame({ ...frame, nodes }))).toThrow(WireError);
    }
  });

  it("refuses a body that it does not know and may not ignore, and a frame without one", () => {
    expect(() => decodeFrame(hex("0d 05000000 fa03 02 ffff"))).toThrow("field 63");
    expect(() => decodeFrame(hex("0d 05000000 fa05 00 fa03 00"))).toThrow("field 63");
    expect(() => decodeFrame(hex("38 05"))).toThrow("field 7");
    expect(() => decodeFrame(hex("0d 05000000"))).toThrow(WireError);
    expect(() => decodeFrame(hex(""))).toThrow(WireError);
  });

  it("skips unknown fields of every wire type, in the frame and in its body", () => {
    const unknown = "a006 ffffffffffffffffff01 a106 0102030405060708 a206 03 aabbcc a506 01020304";
    const body = `0803 ${unknown}`;
    const length = hex(body).length.toString(16).padStart(2, "0");
    expect(decodeFrame(hex(`${unknown} 8201 ${length} ${body} ${unknown}`))).toEqual({
      type: "cancel",
      session: 0,
      id: 3,
    });
  });

  it("reads repeated numbers packed and one by one, also mixed", () => {
    const frame = decodeFrame(hex("42 0c 0a 0a 0801 1001 1002 1202 0304"));
    expect(frame).toMatchObject({ type: "settle", sections: [{ acked: [1, 2, 3, 4] }] });
    const declare = decodeFrame(hex("2a 06 1001 1202 0203"));
    expect(declare).toMatchObject({ type: "declare", drain: [1, 2, 3] });
  });

  it("reads a text that starts with a byte order mark as it is", () => {
    const frame = { type: "bye", session: 1, code: "\ufeffA", message: "" } as const;
    expect(decodeFrame(encodeFrame(frame))).toEqual(frame);
  });

  const malformed: [what: string, bytes: string, reason: string][] = [
    ["a varint cut off", "82", "varint exceeds the bytes left"],
    ["a varint of eleven bytes", "a006 ffffffffffffffffffff01", "varint is longer than 10 bytes"],
    ["a number above 2^53-1", "8201 09 08 8080808080808010", "number exceeds 2^53-1"],
    ["a 32-bit number above 2^32-1", "5a 06 08 8080808010", "number 4294967296 exceeds 2^32-1"],
    ["a tag without a field number", "00", "tag 0 has no field number"],
    ["a length past the end", "8201 05 0803", "length 5 exceeds the 2 bytes left"],
    ["a nested length past its parent", "42 04 0a 7f 0801", "length 127 exceeds the 2 bytes left"],
    ["a fixed32 cut off", "0d 0500", "fixed32 exceeds the 2 bytes left"],
    ["a fixed64 cut off", "72 03 19 0000", "fixed64 exceeds the 2 bytes left"],
    ["a group", "a306 a406", "field 100 has unsupported wire type 3"],
    ["a known field with another wire type", "8201 05 0d 01000000", "field 1 has wire type 5"],
    ["a body that is a number", "10 01", "field 2 has wire type 0"],
    ["a session that is a varint", "08 01", "field 1 has wire type 0"],
    ["two bodies", "8201 02 0803 8201 02 0804", "two bodies in one frame: fields 16 and 16"],
    ["a text that is not UTF-8", "7a 04 0a 02 c328", "text of 2 bytes is not valid UTF-8"],
    ["a surrogate in UTF-8", "7a 05 0a 03 eda080", "text of 3 bytes is not valid UTF-8"],
    ["a hello without identity", "12 02 1801", "hello without identity"],
    ["a hello with two identities", "12 04 0a00 0a00", "two identities in one frame"],
    ["an unknown role", "2a 04 0a 02 1003", "unknown role 3"],
    ["an unknown distribution", "2a 04 0a 02 4002", "unknown distribution 2"],
    ["an unknown start", "2a 04 0a 02 5803", "unknown start 3"],
    ["an unknown outcome", "42 06 0a 04 22 02 1003", "unknown outcome 3"],
    ["an unknown verdict", "4a 04 0a 02 2003", "unknown verdict 3"],
    ["a negative enum", "4a 0d 0a 0b 20 ffffffffffffffffff01", "number exceeds 2^53-1"],
    ["an odd number of acked", "42 05 0a 03 12 01 05", "acked has 1 numbers, not pairs"],
    ["a reply with two errors", "6a 04 1200 1200", "two errors in one reply"],
  ];
  it.each(malformed)("refuses %s", (_what, bytes, reason) => {
    expect(() => decodeFrame(hex(bytes))).toThrow(new WireError(reason));
  });
});

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
