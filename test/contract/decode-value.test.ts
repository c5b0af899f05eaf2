import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { bytes, json } from "../../src/contract/codec.ts";
import { acceptsVersion, decodeReply, decodeValue } from "../../src/contract/decode-value.ts";
import { command, event, query } from "../../src/contract/define-contract.ts";
import { encodeReply, encodeValue } from "../../src/contract/encode-value.ts";
import { protobuf as protobufSchema } from "../../src/contract/protobuf.ts";
import { untyped } from "../../src/contract/untyped.ts";
import { MeshError } from "../../src/errors.ts";

const JSON_TYPE = "application/json";
const MAX = 1024 * 1024;

const codeOf = async (run: () => unknown): Promise<MeshError> => {
  try {
    await run();
  } catch (error) {
    if (MeshError.is(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};

describe("decoding", () => {
  const Placed = event("order.placed", {
    version: 3,
    schema: z.object({ total: z.coerce.number<string>(), currency: z.string().default("EUR") }),
  });

  it("gives the schema's output, transforms and defaults applied", () => {
    const payload = Buffer.from('{"total":"42"}');
    expect(decodeValue(Placed, JSON_TYPE, 3, payload)).toEqual({ total: 42, currency: "EUR" });
  });

  it("makes a promise for an asynchronous schema only", async () => {
    const schema = z.string().refine(async (text) => text !== "no");
    const Later = event("later", { schema });
    const pending = decodeValue(Later, JSON_TYPE, 0, Buffer.from('"yes"'));
    expect(pending).toBeInstanceOf(Promise);
    expect(await pending).toBe("yes");
    const error = await codeOf(() => decodeValue(Later, JSON_TYPE, 0, Buffer.from('"no"')));
    expect(error.code).toBe("SCHEMA_VIOLATION");
  });

  it.each([
    ["no JSON", Buffer.from("{")],
    ["nothing", Buffer.alloc(0)],
    ["broken UTF-8", Buffer.from([0x22, 0xc3, 0x28, 0x22])],
    ["another shape", Buffer.from('{"total":{}}')],
    ["a byte order mark", Buffer.from('\ufeff{"total":"1"}')],
  ])("refuses %s as a violation", async (_, payload) => {
    const error = await codeOf(() => decodeValue(Placed, JSON_TYPE, 3, payload));
    expect(error.code).toBe("SCHEMA_VIOLATION");
    expect(error.message).toContain('payload of event "order.placed" version 3');
    expect(error.message.length).toBeLessThan(600);
  });

  it("reads JSON from a view in the middle of a buffer, whatever kind of array it is", () => {
    const Any = event("any", { schema: json() });
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(9), fc.boolean(), (value, offset, asBuffer) => {
        const text = Buffer.from(JSON.stringify(value));
        const around = new Uint8Array(text.length + 20).fill(0x22);
        around.set(text, offset);
        const view = around.subarray(offset, offset + text.length);
        const payload = asBuffer
          ? Buffer.from(view.buffer, view.byteOffset, view.byteLength)
          : view;
        expect(decodeValue(Any, JSON_TYPE, 0, payload)).toEqual(JSON.parse(text.toString()));
      }),
    );
  });

  it("takes a replacement character that was really sent", () => {
    const Any = event("any", { schema: json() });
    expect(decodeValue(Any, JSON_TYPE, 0, Buffer.from('"a\ufffdb"'))).toBe("a\ufffdb");
  });

  it("gives back what was encoded", async () => {
    const Any = event("any", { schema: json() });
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        const { payload, contentType } = await encodeValue(Any, value, MAX);
        const same = JSON.parse(JSON.stringify(value)) as unknown;
        expect(decodeValue(Any, contentType, 0, payload)).toEqual(same);
      }),
    );
  });

  it("throws nothing but SCHEMA_VIOLATION for any bytes", async () => {
    const Stock = new protobuf.Type("Stock").add(new protobuf.Field("sku", 1, "string"));
    const Changed = event("stock", { schema: protobufSchema(Stock) });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (payload) => {
        for (const decode of [
          () => decodeValue(Placed, JSON_TYPE, 3, payload),
          () => decodeValue(Changed, "application/x-protobuf", 0, payload),
        ]) {
          try {
            await decode();
          } catch (error) {
            expect(MeshError.is(error, "SCHEMA_VIOLATION")).toBe(true);
          }
        }
      }),
    );
  });
});

describe("bytes, protobuf and untyped payloads", () => {
  it("hands bytes on without copying", () => {
    const payload = Buffer.from("raw");
    const Raw = event("raw", { schema: bytes() });
    expect(decodeValue(Raw, "application/octet-stream", 0, payload)).toBe(payload);
  });

  it("decodes protobuf under both of its names", () => {
    const Stock = new protobuf.Type("Stock").add(new protobuf.Field("sku", 1, "string"));
    const Changed = event("stock", { schema: protobufSchema(Stock) });
    for (const contentType of ["application/x-protobuf", "application/protobuf"]) {
      const value = decodeValue(Changed, contentType, 0, Buffer.from([0x0a, 1, 0x61]));
      expect(value).toMatchObject({ sku: "a" });
    }
  });

  it("parses untyped JSON and leaves any other content type as bytes", () => {
    const free = untyped("free", "event");
    const payload = Buffer.from("[1]");
    expect(decodeValue(free, JSON_TYPE, 9, payload)).toEqual([1]);
    expect(decodeValue(free, "application/octet-stream", 0, payload)).toBe(payload);
    expect(decodeValue(free, "application/x-protobuf", 4, payload)).toBe(payload);
  });
});

describe("what a contract does not read", () => {
  it("is another content type, named with its own", async () => {
    const Placed = event("order.placed", { schema: json() });
    const error = await codeOf(() => decodeValue(Placed, "text/plain", 0, Buffer.from("1")));
    expect(error.code).toBe("CONTRACT_MISMATCH");
    expect(error.message).toContain('"text/plain", its contract reads "application/json"');
  });

  it("is another version, named with its own", async () => {
    const Placed = event("order.placed", { version: 2 });
    const payload = Buffer.from("1");
    const error = await codeOf(() => decodeValue(Placed, JSON_TYPE, 3, payload));
    expect(error.code).toBe("CONTRACT_MISMATCH");
    expect(error.message).toContain("version 3");
    expect(error.message).toContain("reads version 2");
    expect(error.details).toMatchObject({ messageVersion: 3, accepts: [2, 2] });
    expect(decodeValue(Placed, JSON_TYPE, 2, payload)).toBe(1);
  });

  it("follows accepts, and takes what declares no version", () => {
    expect([0, 1, 2, 3, 4].map((version) => acceptsVersion([2, 3], version))).toEqual([
      true,
      false,
      true,
      true,
      false,
    ]);
    expect(acceptsVersion([0, 0], 4_294_967_295)).toBe(true);
  });
});

describe("decoding replies", () => {
  it("gives the asker the schema's output", async () => {
    const Quote = query("quote", { reply: z.object({ price: z.coerce.number<string>() }) });
    const { payload, contentType } = await encodeReply(Quote, { price: "5" }, MAX);
    expect(decodeReply(Quote, contentType, payload)).toEqual({ price: 5 });
    const error = await codeOf(() => decodeReply(Quote, JSON_TYPE, Buffer.from("{}")));
    expect(error.message).toContain('reply payload of query "quote"');
  });

  it("is undefined where nothing was returned", async () => {
    const free = untyped("free", "query");
    for (const contract of [command("do"), free]) {
      const { payload, contentType } = await encodeReply(contract, undefined as never, MAX);
      expect(decodeReply(contract, contentType, payload)).toBeUndefined();
    }
  });
});
