import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ByteWriter } from "../../src/wire/byte-writer.ts";
import {
  type EnvelopeFields,
  EnvelopeTemplate,
  EnvelopeView,
  encodeEnvelope,
  envelopeBytesBound,
  writeEnvelope,
} from "../../src/wire/envelope.ts";
import { WireError } from "../../src/wire/wire-error.ts";
import { envelope } from "./frame-arbitraries.ts";
import { fixed64Text, oracleDecodeEnvelope, oracleEncodeEnvelope } from "./proto-oracle.ts";

const RUNS = { numRuns: 300 };
const KINDS = ["KIND_EVENT", "KIND_COMMAND", "KIND_QUERY"];
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const minimal: EnvelopeFields = {
  subject: "a",
  kind: 0,
  time: { ms: 1, counter: 2 },
  payload: Buffer.from("x"),
};

describe("an envelope", () => {
  it("is read back as it was written", () => {
    fc.assert(
      fc.property(envelope, (fields) => {
        expect(valuesOf(new EnvelopeView(encodeEnvelope(fields)))).toEqual(expected(fields));
      }),
      RUNS,
    );
  });

  it("is read by protobufjs as the specification says", () => {
    fc.assert(
      fc.property(envelope, (fields) => {
        const seen = oracleDecodeEnvelope(encodeEnvelope(fields));
        expect(seen).toEqual(oracleDecodeEnvelope(oracleEncodeEnvelope(toProto(fields))));
      }),
      RUNS,
    );
  });

  it("is read as it was written by protobufjs", () => {
    fc.assert(
      fc.property(envelope, (fields) => {
        const view = new EnvelopeView(oracleEncodeEnvelope(toProto(fields)));
        expect(valuesOf(view)).toEqual(expected(fields));
      }),
      RUNS,
    );
  });

  it("never takes more bytes than its bound, and says how many it took", () => {
    fc.assert(
      fc.property(envelope, (fields) => {
        const template = new EnvelopeTemplate(fields);
        const writer = new ByteWriter(16);
        writer.byte(1);
        const size = writeEnvelope(writer, template, fields);
        expect(writer.position).toBe(1 + size);
        expect(envelopeBytesBound(template, fields)).toBeGreaterThanOrEqual(size);
        const alone = new EnvelopeView(writer.take(), 1);
        expect(valuesOf(alone)).toEqual(expected(fields));
      }),
      RUNS,
    );
  });

  it("written from one template twice shares its constants and nothing else", () => {
    const template = new EnvelopeTemplate({ subject: "orders.placed", kind: 1, schemaVersion: 3 });
    const writer = new ByteWriter();
    const first = writeEnvelope(writer, template, { ...minimal, key: "k1" });
    writeEnvelope(writer, template, { ...minimal, id: "i2" });
    const bytes = writer.take();
    const one = new EnvelopeView(bytes, 0, first);
    const two = new EnvelopeView(bytes, first);
    expect([one.subject, one.kind, one.schemaVersion]).toEqual(["orders.placed", 1, 3]);
    expect([two.subject, two.kind, two.schemaVersion]).toEqual(["orders.placed", 1, 3]);
    expect([one.key, one.id, two.key, two.id]).toEqual(["k1", undefined, undefined, "i2"]);
  });

  it("leaves out the default content type", () => {
    const json = encodeEnvelope({ ...minimal, contentType: "application/json" });
    expect(json).toEqual(encodeEnvelope(minimal));
    expect(new EnvelopeView(json).contentType).toBe("application/json");
  });

  it("tells an empty key from none", () => {
    expect(new EnvelopeView(encodeEnvelope({ ...minimal, key: "" })).key).toBe("");
    expect(new EnvelopeView(encodeEnvelope(minimal)).key).toBeUndefined();
  });

  it("takes lone surrogates as U+FFFD, whatever the text's length", () => {
    for (const before of ["", "x".repeat(100)]) {
      const view = new EnvelopeView(encodeEnvelope({ ...minimal, key: `${before}\ud800` }));
      expect(view.key).toBe(`${before}\ufffd`);
    }
  });

  it("gives the payload as a view of the bytes", () => {
    const bytes = encodeEnvelope(minimal);
    const { payload } = new EnvelopeView(bytes);
    expect(payload.buffer).toBe(bytes.buffer);
    expect(Buffer.isBuffer(payload)).toBe(true);
  });

  it("keeps fields of a later version in its raw bytes", () => {
    const bytes = Buffer.concat([encodeEnvelope(minimal), hex("8001 07")]);
    const view = new EnvelopeView(
      Buffer.concat([hex("ff"), bytes, hex("ff")]),
      1,
      1 + bytes.length,
    );
    expect(view.subject).toBe("a");
    expect(view.rawBytes()).toEqual(bytes);
  });
});

describe("an envelope's headers", () => {
  it("may be named __proto__ without touching any prototype", () => {
    const headers = JSON.parse('{"__proto__":"a","constructor":"b"}') as Record<string, string>;
    const read = new EnvelopeView(encodeEnvelope({ ...minimal, headers })).headers;
    expect(Object.entries(read)).toEqual([
      ["__proto__", "a"],
      ["constructor", "b"],
    ]);
    expect(Object.getPrototypeOf(read)).toBeNull();
    expect(Object.getPrototypeOf({ ...read })).toBe(Object.prototype);
  });

  it("are frozen, also when there are none", () => {
    const some = new EnvelopeView(encodeEnvelope({ ...minimal, headers: { a: "1" } })).headers;
    const none = new EnvelopeView(encodeEnvelope(minimal)).headers;
    expect([Object.isFrozen(some), Object.isFrozen(none)]).toEqual([true, true]);
    expect(Object.keys(none)).toEqual([]);
  });

  it("of one name hold the last value", () => {
    const bytes = hex("0a0161 6a06 0a0161 120131 6a06 0a0161 120132");
    expect({ ...new EnvelopeView(bytes).headers }).toEqual({ a: "2" });
  });
});

describe("a malformed envelope", () => {
  const cases: [what: string, bytes: string, reason: string][] = [
    ["no subject", "1001", "envelope without subject"],
    ["an unknown kind", "0a0161 1003", "unknown kind 3"],
    ["a subject that is not UTF-8", "0a02c328", "text of 2 bytes is not valid UTF-8"],
    ["a key that is not UTF-8", "0a0161 1a01ff", "text of 1 bytes is not valid UTF-8"],
    ["a payload past the end", "0a0161 7a0500", "length 5 exceeds the 1 bytes left"],
    ["a time cut off", "0a0161 2100", "fixed64 exceeds the 1 bytes left"],
    ["a text field as a number", "0a0161 2801", "field 5 has wire type 0"],
    ["a version as text", "0a0161 3a00", "field 7 has wire type 2"],
    ["a payload as a number", "0a0161 7801", "field 15 has wire type 0"],
    ["a header past its end", "0a0161 6a02 0a05", "length 5 exceeds the 0 bytes left"],
  ];
  it.each(cases)("with %s is refused by every getter", (_what, text, reason) => {
    const view = new EnvelopeView(hex(text));
    const error = new WireError(reason);
    for (const get of GETTERS) expect(() => view[get]).toThrow(error);
    expect(() => view.validate()).toThrow(error);
  });

  it("with a range outside of the bytes is refused", () => {
    expect(() => new EnvelopeView(hex("0a0161"), 0, 9).validate()).toThrow(WireError);
    expect(() => new EnvelopeView(hex("0a0161"), 2, 1).validate()).toThrow(WireError);
  });

  it("cannot be made: no subject, or a version that does not fit", () => {
    expect(() => encodeEnvelope({ ...minimal, subject: "" })).toThrow(WireError);
    expect(() => encodeEnvelope({ ...minimal, schemaVersion: -1 })).toThrow(WireError);
    expect(() => encodeEnvelope({ ...minimal, schemaVersion: 2 ** 32 })).toThrow(WireError);
  });
});

const GETTERS = [
  "subject",
  "kind",
  "key",
  "time",
  "id",
  "contentType",
  "schemaVersion",
  "correlationId",
  "causationId",
  "traceparent",
  "tracestate",
  "idempotencyKey",
  "headers",
  "replayOf",
  "payload",
] as const;

const valuesOf = (view: EnvelopeView): Record<string, unknown> => ({
  ...Object.fromEntries(GETTERS.map((name) => [name, view[name]])),
  headers: sortedEntries(view.headers),
});

const expected = (fields: EnvelopeFields): Record<string, unknown> => ({
  ...Object.fromEntries(GETTERS.map((name) => [name, fields[name]])),
  contentType: fields.contentType ?? "application/json",
  schemaVersion: fields.schemaVersion ?? 0,
  headers: sortedEntries(fields.headers ?? {}),
});

const sortedEntries = (headers: Readonly<Record<string, string>>): [string, string][] =>
  Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1));

const toProto = ({ kind, time, headers, ...rest }: EnvelopeFields): Record<string, unknown> => ({
  ...Object.fromEntries(
    Object.entries(rest).filter(
      ([name, value]) =>
        value !== undefined && !(name === "contentType" && value === "application/json"),
    ),
  ),
  kind: KINDS[kind],
  time: fixed64Text(time),
  headers: Object.entries(headers ?? {}).map(([name, value]) => ({ name, value })),
});
