import type { StandardSchemaV1 } from "@standard-schema/spec";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { bytes, json } from "../../src/contract/codec.ts";
import { command, event, query } from "../../src/contract/define-contract.ts";
import {
  type EncodedValue,
  encodeReply,
  encodeValue,
  KEY_BYTES_MAX,
  keyOf,
} from "../../src/contract/encode-value.ts";
import { protobuf as protobufSchema } from "../../src/contract/protobuf.ts";
import { untyped } from "../../src/contract/untyped.ts";
import { MeshError } from "../../src/errors.ts";

const MAX = 1024;

const now = (encoded: EncodedValue | Promise<EncodedValue>): EncodedValue => {
  if (encoded instanceof Promise) throw new Error("a promise was made");
  return encoded;
};
const textOf = (encoded: { payload: Uint8Array }): string =>
  Buffer.from(encoded.payload).toString();
const errorOf = async (run: () => unknown): Promise<MeshError> => {
  try {
    await run();
  } catch (error) {
    if (MeshError.is(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};
const issuesOf = (error: MeshError): { path: string; message: string }[] => {
  expect(error.code).toBe("SCHEMA_VIOLATION");
  expect(() => JSON.stringify(error.details)).not.toThrow();
  return error.details.issues as { path: string; message: string }[];
};
/** A Standard Schema made of one function. */
const schemaOf = (
  validate: StandardSchemaV1<unknown, unknown>["~standard"]["validate"],
): StandardSchemaV1<unknown, unknown> => ({
  "~standard": { version: 1, vendor: "test", validate },
});

describe("encoding with a synchronous schema", () => {
  const Placed = event("order.placed", {
    version: 1,
    schema: z.object({
      orderId: z.string(),
      total: z.coerce.number<string>().positive(),
      lines: z.array(z.object({ sku: z.string() })).default([]),
    }),
    key: (order) => order.orderId,
  });

  it("sends the value as given, not as the schema returned it", () => {
    const encoded = now(encodeValue(Placed, { orderId: "o-1", total: "42" }, MAX));
    expect(textOf(encoded)).toBe('{"orderId":"o-1","total":"42"}');
    expect(encoded.key).toBe("o-1");
    expect(encoded.contentType).toBe("application/json");
  });

  it("lists every issue with its path", async () => {
    const wrong = { orderId: 7, total: "-1", lines: [{ sku: "a" }, {}] };
    const error = await errorOf(() => encodeValue(Placed, wrong as never, MAX));
    expect(issuesOf(error).map(({ path }) => path)).toEqual(["orderId", "total", "lines.1.sku"]);
    expect(error.message).toContain('value for event "order.placed" version 1');
    expect(error.message).toContain("orderId: ");
  });

  it("holds a few issues of bounded length, however many there are", async () => {
    const issues = Array.from({ length: 5_000 }, (_, i) => ({
      message: "m".repeat(10_000),
      path: ["list", { key: i }, Symbol("s")],
    }));
    const contract = event("a", { schema: schemaOf(() => ({ issues })) });
    const error = await errorOf(() => encodeValue(contract, 1, MAX));
    expect(issuesOf(error)).toHaveLength(16);
    expect(issuesOf(error)[3]?.path).toBe("list.3.Symbol(s)");
    expect(error.details.issueCount).toBe(5_000);
    expect(JSON.stringify(error.details).length).toBeLessThan(10_000);
    expect(error.message).toContain("and 4997 more");
    expect(error.message.length).toBeLessThan(2_000);
  });

  it("blames the schema that throws or answers nothing", async () => {
    const throws = event("a", {
      schema: schemaOf(() => {
        throw new RangeError("boom");
      }),
    });
    const error = await errorOf(() => encodeValue(throws, 1, MAX));
    expect(issuesOf(error)[0]?.message).toBe("its schema failed: boom");
    expect(error.cause).toBeInstanceOf(RangeError);
    const silent = event("a", { schema: schemaOf(() => null as never) });
    expect((await errorOf(() => encodeValue(silent, 1, MAX))).code).toBe("SCHEMA_VIOLATION");
  });
});

describe("encoding with an asynchronous schema", () => {
  const Even = event("even", {
    schema: schemaOf(async (value) => {
      await Promise.resolve();
      const count = (value as { count: number }).count;
      return count % 2 === 0 ? { value } : { issues: [{ message: "odd", path: ["count"] }] };
    }),
  });

  it("resolves to the value as it was when the call was made", async () => {
    const value = { count: 2 };
    const pending = encodeValue(Even, value, MAX);
    value.count = 4;
    expect(pending).toBeInstanceOf(Promise);
    expect(textOf(await pending)).toBe('{"count":2}');
  });

  it("rejects with the schema's issues", async () => {
    const error = await errorOf(() => encodeValue(Even, { count: 3 }, MAX));
    expect(issuesOf(error)).toEqual([{ path: "count", message: "odd" }]);
  });

  it("rejects with the schema's issues also when the value cannot be encoded", async () => {
    const wrong = { count: 3, big: 1n };
    expect(issuesOf(await errorOf(() => encodeValue(Even, wrong, MAX)))[0]?.path).toBe("count");
    const fits = { count: 2, big: 1n };
    expect(issuesOf(await errorOf(() => encodeValue(Even, fits, MAX)))[0]?.path).toBe("big");
  });

  it("turns a rejected validation into a violation", async () => {
    const schema = schemaOf(() => Promise.reject(new Error("no database")));
    const error = await errorOf(() => encodeValue(event("a", { schema }), 1, MAX));
    expect(issuesOf(error)[0]?.message).toContain("no database");
  });
});

describe("what JSON cannot say", () => {
  const Any = event("any", { schema: json() });
  const cycle: Record<string, unknown> = { name: "c" };
  cycle.self = { inner: [cycle] };
  let deep: unknown = 1;
  for (let i = 0; i < 200_000; i++) deep = [deep];

  it.each<[string, unknown, string, RegExp]>([
    ["undefined", undefined, "", /undefined has no JSON form/],
    ["a function", () => 1, "", /function has no JSON form/],
    ["a symbol", Symbol("s"), "", /symbol has no JSON form/],
    ["a BigInt", 1n, "", /BigInt has no JSON form/],
    ["a BigInt inside", { a: [0, { b: 1n }] }, "a.1.b", /BigInt has no JSON form/],
    ["a cycle", cycle, "self.inner.0", /cycle/],
    ["too deep a nesting", deep, "", /deep/],
  ])("refuses %s", async (_, value, path, message) => {
    const issues = issuesOf(await errorOf(() => encodeValue(Any, value, MAX)));
    expect(issues).toHaveLength(1);
    expect(issues[0]?.path).toBe(path);
    expect(issues[0]?.message).toMatch(message);
  });

  it("keeps the error that toJSON threw", async () => {
    const value = {
      toJSON: () => {
        throw new Error("not today");
      },
    };
    const error = await errorOf(() => encodeValue(Any, value, MAX));
    expect(issuesOf(error)[0]?.message).toBe("cannot be encoded: not today");
    expect((error.cause as Error).message).toBe("not today");
  });

  it("takes one object twice: that is no cycle", () => {
    const shared = { a: 1 };
    expect(textOf(now(encodeValue(Any, [shared, shared], MAX)))).toBe('[{"a":1},{"a":1}]');
  });
});

describe("the size of a payload", () => {
  it("is bounded in encoded bytes, the bound included", async () => {
    const Text = event("text", { schema: json<string>() });
    expect(now(encodeValue(Text, "é".repeat(31), 64)).payload).toHaveLength(64);
    const error = await errorOf(() => encodeValue(Text, "é".repeat(32), 64));
    expect(error.code).toBe("PAYLOAD_TOO_LARGE");
    expect(error.message).toContain("payload 66 B exceeds payloadBytesMax 64");
    expect(error.details).toMatchObject({ payloadBytes: 66, payloadBytesMax: 64 });
  });

  it("holds for bytes and for replies", async () => {
    const Raw = query("raw", { request: bytes(), reply: bytes() });
    const large = new Uint8Array(65);
    expect((await errorOf(() => encodeValue(Raw, large, 64))).code).toBe("PAYLOAD_TOO_LARGE");
    expect((await errorOf(() => encodeReply(Raw, large, 64))).code).toBe("PAYLOAD_TOO_LARGE");
  });
});

describe("keys", () => {
  const keyed = (key: (value: unknown) => string | undefined) => event("keyed", { key });

  it("come from the value as given, or from the caller, who wins", () => {
    const contract = keyed((value) => (value as { id: string }).id);
    expect(now(encodeValue(contract, { id: "k" }, MAX)).key).toBe("k");
    expect(now(encodeValue(contract, { id: "k" }, MAX, "other")).key).toBe("other");
    expect(keyOf(contract, { id: "k" })).toBe("k");
  });

  it("are absent when the function says undefined", () => {
    expect(
      now(
        encodeValue(
          keyed(() => undefined),
          {},
          MAX,
        ),
      ).key,
    ).toBeUndefined();
    expect(now(encodeValue(event("plain"), {}, MAX)).key).toBeUndefined();
  });

  it("hold at most 255 bytes of UTF-8", async () => {
    const most = `${"é".repeat(127)}x`;
    expect(Buffer.byteLength(most)).toBe(KEY_BYTES_MAX);
    expect(
      now(
        encodeValue(
          keyed(() => most),
          {},
          MAX,
        ),
      ).key,
    ).toBe(most);
    const error = await errorOf(() =>
      encodeValue(
        keyed(() => `${most}x`),
        {},
        MAX,
      ),
    );
    expect(issuesOf(error)[0]?.message).toContain("key is 256 B, must be text of 1 to 255 B");
  });

  it.each<[string, unknown]>([
    ["empty text", ""],
    ["a number", 7],
    ["null", null],
    ["an object", {}],
  ])("are refused when they are %s", async (_, key) => {
    issuesOf(
      await errorOf(() =>
        encodeValue(
          keyed(() => key as string),
          {},
          MAX,
        ),
      ),
    );
  });

  it("are refused when their function throws", async () => {
    const contract = keyed((value) => (value as { a: { b: string } }).a.b);
    const error = await errorOf(() => encodeValue(contract, {}, MAX));
    expect(issuesOf(error)[0]?.message).toContain("its key function failed");
    expect(error.cause).toBeInstanceOf(TypeError);
  });
});

describe("bytes, protobuf and untyped values", () => {
  it("passes bytes on without copying", async () => {
    const Raw = event("raw", { schema: bytes() });
    const value = new Uint8Array([1, 2, 3]);
    const encoded = now(encodeValue(Raw, value, MAX));
    expect(encoded.payload).toBe(value);
    expect(encoded.contentType).toBe("application/octet-stream");
    issuesOf(await errorOf(() => encodeValue(Raw, "text" as never, MAX)));
    issuesOf(await errorOf(() => encodeValue(Raw, new Uint16Array(2) as never, MAX)));
  });

  it("encodes protobuf messages and says what verify refuses", async () => {
    const Stock = new protobuf.Type("Stock")
      .add(new protobuf.Field("sku", 1, "string"))
      .add(new protobuf.Field("count", 2, "uint32"));
    const Changed = event("stock.changed", { schema: protobufSchema(Stock) });
    const encoded = now(encodeValue(Changed, { sku: "a", count: 3 }, MAX));
    expect(encoded.contentType).toBe("application/x-protobuf");
    expect([...encoded.payload]).toEqual([0x0a, 1, 0x61, 0x10, 3]);
    const wrong = { sku: "a", count: "three" };
    const issues = issuesOf(await errorOf(() => encodeValue(Changed, wrong, MAX)));
    expect(issues).toEqual([{ path: "count", message: "integer expected" }]);
    issuesOf(await errorOf(() => encodeValue(Changed, null as never, MAX)));
  });

  it("sends untyped bytes as bytes and everything else as JSON", () => {
    const free = untyped("free", "event");
    const raw = Buffer.from("raw");
    expect(now(encodeValue(free, raw, MAX))).toEqual({
      payload: raw,
      contentType: "application/octet-stream",
      key: undefined,
    });
    expect(now(encodeValue(free, null, MAX)).contentType).toBe("application/json");
    expect(textOf(now(encodeValue(free, [1, "é"], MAX)))).toBe('[1,"é"]');
  });
});

describe("encoding replies", () => {
  it("validates them", async () => {
    const Quote = query("quote", { reply: z.object({ price: z.number() }) });
    expect(textOf(await encodeReply(Quote, { price: 1 }, MAX))).toBe('{"price":1}');
    const error = await errorOf(() => encodeReply(Quote, {} as never, MAX));
    expect(error.message).toContain('reply for query "quote"');
  });

  it("is nothing for a command without a reply, and for an untyped handler that returns nothing", async () => {
    expect(await encodeReply(command("do"), undefined, MAX)).toMatchObject({
      payload: new Uint8Array(0),
    });
    const answer = await encodeReply(untyped("free", "query"), undefined, MAX);
    expect(answer.payload).toHaveLength(0);
  });
});
