import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { bytes, json } from "../../src/contract/codec.ts";
import type { AnyContract } from "../../src/contract/contract.ts";
import { decodeReply, decodeValue } from "../../src/contract/decode-value.ts";
import { event, query } from "../../src/contract/define-contract.ts";
import { type EncodedValue, encodeReply, encodeValue } from "../../src/contract/encode-value.ts";
import {
  type EncryptedOptions,
  ErasedField,
  encrypted,
  isErased,
} from "../../src/contract/encrypted.ts";
import { MeshError } from "../../src/errors.ts";
import { type KeyRing, keyRing } from "../../src/security/key-ring.ts";

let folder: string;
let keys: KeyRing;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meshbus-ring-"));
  keys = keyRing({ folder: join(folder, "ring") });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const SECRET = "Ada Lovelace";
const Customer = z.object({
  id: z.string(),
  name: z.string().min(2),
  address: z.object({ street: z.string(), city: z.string() }).optional(),
  notes: z.array(z.object({ text: z.string(), at: z.number() })).optional(),
});
type CustomerIn = z.input<typeof Customer>;
const FIELDS = ["name", "address.street", "notes.*.text"];
const moved = (options: Partial<EncryptedOptions<CustomerIn>> = {}, subject = "customer.moved") =>
  event(subject, {
    schema: encrypted(Customer, { fields: FIELDS, keys, subjectOf: ({ id }) => id, ...options }),
  });
const value: CustomerIn = {
  id: "c-1",
  name: SECRET,
  address: { street: "12 St James's Square", city: "London" },
  notes: [
    { text: "likes engines", at: 1 },
    { text: "poetical", at: 2 },
  ],
};

const encode = <C extends AnyContract>(contract: C, given: unknown): EncodedValue =>
  encodeValue(contract, given as never, 1_000_000) as EncodedValue;
const textOf = ({ payload }: { payload: Uint8Array }): string => Buffer.from(payload).toString();
const decode = <C extends AnyContract>(contract: C, payload: Uint8Array): unknown =>
  decodeValue(contract, "application/json", 0, payload);
const refusalOf = (act: () => unknown): MeshError => {
  try {
    act();
  } catch (error) {
    if (MeshError.is(error)) return error;
    throw error;
  }
  throw new Error("nothing was refused");
};
/** Everything an error could show, its causes too. */
const allOf = (error: unknown): string => {
  const own = error as MeshError;
  const cause = own.cause === undefined ? "" : allOf(own.cause);
  return `${own.message} ${own.stack} ${JSON.stringify(own.details)} ${cause}`;
};
const bend = (
  encoded: EncodedValue,
  change: (value: Record<string, unknown>) => void,
): Uint8Array => {
  const parsed = JSON.parse(textOf(encoded)) as Record<string, unknown>;
  change(parsed);
  return Buffer.from(JSON.stringify(parsed));
};

describe("encrypted()", () => {
  it("carries what is declared as ciphertext and gives the handler the value", () => {
    const contract = moved();
    const encoded = encode(contract, value);
    for (const plain of [SECRET, "12 St James", "engines", "poetical"]) {
      expect(textOf(encoded)).not.toContain(plain);
    }
    expect(textOf(encoded)).toContain("London");
    expect(decode(contract, encoded.payload)).toEqual(value);
    expect(value.name).toBe(SECRET);
  });

  it("gives back any JSON at any of its fields, and leaves out what was not there", () => {
    const contract = event("any.thing", {
      schema: encrypted(json(), { fields: ["a", "b.*", "c.*.d"], keys }),
    });
    const part = fc.jsonValue({ maxDepth: 2 });
    const thing = fc.record(
      {
        a: part,
        b: fc.array(part, { maxLength: 3 }),
        c: fc.array(fc.record({ d: part, e: part }, { requiredKeys: [] }), { maxLength: 3 }),
        x: part,
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(thing, (given) => {
        const { payload } = encode(contract, given);
        expect(decode(contract, payload)).toEqual(JSON.parse(JSON.stringify(given)));
      }),
      { numRuns: 300 },
    );
  });

  it("seals the same value differently each time, with one key", () => {
    const contract = moved();
    const [first, second] = [encode(contract, value), encode(contract, value)];
    expect(textOf(first)).not.toBe(textOf(second));
    expect(decode(contract, second.payload)).toEqual(value);
  });

  it("refuses a field that was changed, moved, taken from another message, person or subject", () => {
    const contract = moved();
    const encoded = encode(contract, value);
    const other = encode(contract, { ...value, id: "c-2", name: "Charles" });
    const again = encode(contract, value);
    const pick = (from: EncodedValue): unknown => (JSON.parse(textOf(from)) as CustomerIn).name;
    const refusals: [Uint8Array, RegExp][] = [
      [
        bend(encoded, (v) => (v.name = pick(other))),
        /name: is of another message|street: is of another message/,
      ],
      [bend(encoded, (v) => (v.name = pick(again))), /is of another message/],
      [
        bend(encoded, (v) => (v.name = (v.address as { street: unknown }).street)),
        /name: was changed, or belongs to another place/,
      ],
      [bend(encoded, (v) => (v.name = "in the clear")), /name: came plain/],
      [
        bend(encoded, (v) => (v.name = { $encrypted: "AAAA" })),
        /name: is not encrypted as it should be/,
      ],
      [bend(encoded, (v) => (v.name = { $encrypted: "x", more: 1 })), /name: came plain/],
    ];
    for (const [payload, message] of refusals) {
      const error = refusalOf(() => decode(contract, payload));
      expect(error.code).toBe("SCHEMA_VIOLATION");
      expect(error.message).toMatch(message);
    }
    const elsewhere = moved({}, "customer.left");
    expect(refusalOf(() => decode(elsewhere, encoded.payload)).message).toMatch(/another place/);
  });

  it("refuses every changed byte of a sealed field", () => {
    const contract = event("one.field", { schema: encrypted(json(), { fields: ["a"], keys }) });
    const encoded = encode(contract, { a: "x" });
    const sealed = Buffer.from(
      (JSON.parse(textOf(encoded)) as { a: { $encrypted: string } }).a.$encrypted,
      "base64url",
    );
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      const payload = bend(encoded, (v) => (v.a = { $encrypted: changed.toString("base64url") }));
      expect(refusalOf(() => decode(contract, payload)).code, `byte ${at}`).toBe(
        "SCHEMA_VIOLATION",
      );
    }
  });

  it("reads a forgotten person's fields as erased, other fields and persons as ever", () => {
    const contract = moved();
    const mine = encode(contract, value);
    const theirs = encode(contract, { id: "c-2", name: "Charles" });
    expect(keys.forget("c-1")).toBe(1);
    const read = decode(contract, mine.payload) as Record<string, never>;
    expect(read.name).toBeInstanceOf(ErasedField);
    expect(isErased((read.address as unknown as { street: unknown }).street)).toBe(true);
    expect(read).toMatchObject({ id: "c-1", address: { city: "London" } });
    expect(JSON.stringify(read)).toContain("[erased]");
    expect(`${read.name}`).toBe("[erased]");
    expect(decode(contract, theirs.payload)).toEqual({ id: "c-2", name: "Charles" });
    const again = refusalOf(() => encode(contract, value));
    expect(again.message).toMatch(/was forgotten/);
  });

  it("still refuses what is wrong beside an erased field", () => {
    const contract = moved();
    const encoded = encode(contract, value);
    keys.forget("c-1");
    const payload = bend(encoded, (v) => (v.id = 7));
    expect(refusalOf(() => decode(contract, payload)).details.issues).toEqual([
      expect.objectContaining({ path: "id" }),
    ]);
  });

  it("reads without a key ring all but the sealed fields, and sends nothing without one", () => {
    const encoded = encode(moved(), value);
    const blind = moved({ keys: () => undefined });
    const read = decode(blind, encoded.payload) as { id: string; name: unknown };
    expect(read.id).toBe("c-1");
    expect(read.name).toMatchObject({ reason: "no keys" });
    expect(refusalOf(() => encode(blind, value)).message).toMatch(/no key ring/);
  });

  it("refuses a key that it does not know: such a message is a dead letter, not mistaken for erased", () => {
    const encoded = encode(moved(), value);
    const others = keyRing({ folder: join(folder, "other") });
    const error = refusalOf(() => decode(moved({ keys: others }), encoded.payload));
    expect(error.message).toMatch(/name: is encrypted with a key that is not known here/);
  });

  it("takes plain fields only where producers are changing over", () => {
    const plain = Buffer.from(JSON.stringify(value));
    expect(refusalOf(() => decode(moved(), plain)).message).toMatch(/came plain/);
    expect(decode(moved({ acceptPlain: true }), plain)).toEqual(value);
  });

  it("has replies with encrypted fields too, which are no values", async () => {
    const contract = query("customer.get", {
      request: json<{ id: string }>(),
      reply: encrypted(Customer, { fields: FIELDS, keys }),
    });
    const reply = await encodeReply(contract, value as never, 1_000_000);
    expect(textOf(reply)).not.toContain(SECRET);
    expect(decodeReply(contract, reply.contentType, reply.payload)).toEqual(value);
    const asValue = event("customer.get", {
      schema: encrypted(Customer, { fields: FIELDS, keys }),
    });
    expect(refusalOf(() => decode(asValue, reply.payload)).message).toMatch(/another place/);
  });
});

describe("errors about encrypted fields", () => {
  const Loud = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (given: unknown) => ({
        issues: [
          { message: `not ${(given as CustomerIn).name}`, path: ["name"] },
          { message: `whole ${JSON.stringify(given)}` },
          { message: "id is odd", path: ["id"] },
        ],
      }),
    },
  } as const;

  it("show no text about them, but where they are, and all about other fields", () => {
    const schema = encrypted(Loud as never, { fields: ["name"], keys }) as never;
    const error = refusalOf(() => encode(event("loud.one", { schema }), value));
    expect(allOf(error)).not.toContain(SECRET);
    expect(error.details.issues).toEqual([
      { path: "name", message: expect.stringContaining("not shown") },
      { path: "", message: expect.stringContaining("not shown") },
      { path: "id", message: "id is odd" },
    ]);
  });

  it("show nothing of what schemas, keys, subjects and values throw", () => {
    const boom = (): never => {
      throw new Error(`cannot take ${SECRET}`);
    };
    const throwing = { "~standard": { version: 1, vendor: "test", validate: boom } } as never;
    const rejecting = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: () => Promise.reject(new Error(SECRET)),
      },
    } as never;
    const fields = ["name"];
    const tries: AnyContract[] = [
      event("a", { schema: encrypted(throwing, { fields, keys }) }) as never,
      event("b", { schema: encrypted(json(), { fields, keys, subjectOf: boom }) }) as never,
      event("c", { schema: encrypted(json(), { fields, keys }), key: boom }) as never,
    ];
    for (const contract of tries) {
      expect(allOf(refusalOf(() => encode(contract, value)))).not.toContain(SECRET);
    }
    const toJson = { name: { toJSON: boom } };
    expect(allOf(refusalOf(() => encode(tries[1] as AnyContract, toJson)))).not.toContain(SECRET);
    const plainJson = event("d", { schema: encrypted(json(), { fields, keys }) });
    expect(allOf(refusalOf(() => encode(plainJson, toJson)))).not.toContain(SECRET);
    const broken = Buffer.from(`{"name": "${SECRET}`);
    expect(allOf(refusalOf(() => decode(plainJson, broken)))).not.toContain(SECRET);
    const later = event("e", { schema: encrypted(rejecting, { fields, keys }) });
    return expect(encode(later, value)).rejects.toSatisfy(
      (error: unknown) => !allOf(error).includes(SECRET),
    );
  });
});

describe("encrypted()'s options", () => {
  it.each([
    [{ fields: [] }, /1 to 64 paths/],
    [{ fields: [""] }, /must be a path/],
    [{ fields: ["a..b"] }, /must be a path/],
    [{ fields: ["*"] }, /must be a path/],
    [{ fields: ["a.__proto__"] }, /must be a path/],
    [{ fields: ["a"], keys: {} }, /key ring/],
    [{ fields: ["a"], subjectOf: "id" }, /subjectOf must be a function/],
  ])("%j are refused", (options, message) => {
    const error = refusalOf(() => encrypted(json(), { keys, ...options } as never));
    expect(error.code).toBe("INVALID_OPTIONS");
    expect(error.message).toMatch(message);
  });

  it("go with JSON only, and once", () => {
    const options = { fields: ["a"], keys };
    expect(refusalOf(() => encrypted(bytes(), options)).message).toMatch(/Standard Schema or json/);
    const twice = (): unknown => encrypted(encrypted(json(), options) as never, options);
    expect(refusalOf(twice).message).toMatch(/Standard Schema or json/);
  });
});
