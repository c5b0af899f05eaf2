import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  Permissions,
  type RightsOptions,
  rightsOf,
  SUBJECT_ACTIONS,
  type SubjectAction,
} from "../../src/security/rights.ts";
import { decodeRights, encodeRights } from "../../src/security/rights-message.ts";
import { WireError } from "../../src/wire/wire-error.ts";

const permissions = (options: RightsOptions): Permissions => new Permissions(rightsOf(options));
const curveKey = new Uint8Array(32).fill(7);

const word = fc.constantFrom("a", "b", "c", "order", "Order");
const subject = fc.array(word, { minLength: 1, maxLength: 4 }).map((tokens) => tokens.join("."));
const pattern = fc
  .tuple(
    fc.array(fc.oneof(word, fc.constant("*")), { minLength: 0, maxLength: 3 }),
    fc.oneof(word, fc.constant("*"), fc.constant(">")),
  )
  .map(([head, last]) => [...head, last].join("."));
const grants = fc.record(
  Object.fromEntries(
    SUBJECT_ACTIONS.map((action) => [action, fc.array(pattern, { maxLength: 4 })]),
  ),
) as fc.Arbitrary<Record<SubjectAction, string[]>>;
const action = fc.constantFrom(...SUBJECT_ACTIONS);

/** The matcher a reader of the documentation would write. */
const selects = (each: string, text: string): boolean => {
  const source = each
    .split(".")
    .map((token) => (token === "*" ? "[^.]+" : token === ">" ? ".+" : token))
    .join("\\.");
  return new RegExp(`^${source}$`).test(text);
};

describe("rights", () => {
  it("answer as a plain reading of the grants does", () => {
    fc.assert(
      fc.property(
        grants,
        grants,
        action,
        fc.array(subject, { maxLength: 20 }),
        (allow, deny, verb, asked) => {
          const rights = permissions({ allow, deny });
          for (const text of [...asked, ...asked]) {
            const expected =
              allow[verb].some((each) => selects(each, text)) &&
              !deny[verb].some((each) => selects(each, text));
            expect(rights.may(verb, text)).toBe(expected);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("say of a pattern nothing that a subject in it contradicts", () => {
    fc.assert(
      fc.property(grants, grants, action, pattern, subject, (allow, deny, verb, asked, text) => {
        const rights = permissions({ allow, deny });
        fc.pre(selects(asked, text));
        const extent = rights.mayOverlap(verb, asked);
        if (extent === "all") expect(rights.may(verb, text)).toBe(true);
        if (extent === "none") expect(rights.may(verb, text)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it("allow nothing that was not granted", () => {
    const rights = permissions({});
    for (const verb of SUBJECT_ACTIONS) {
      expect(rights.may(verb, "a")).toBe(false);
      expect(rights.mayOverlap(verb, ">")).toBe("none");
    }
    expect(rights.may("admin", "read")).toBe(false);
  });

  it("keep one action from standing for another", () => {
    for (const granted of SUBJECT_ACTIONS) {
      const rights = permissions({ allow: { [granted]: [">"] } });
      for (const asked of SUBJECT_ACTIONS) {
        expect(rights.may(asked, "a.b")).toBe(asked === granted);
      }
    }
  });

  it.each([
    "",
    ".",
    "a.",
    ".a",
    "a..b",
    "..",
    "../a",
    "a/b",
    "a b",
    "a.*",
    ">",
    "*",
    "$sys.a",
    "\u0430",
    "a\0",
    "a\n",
    `a.${"b".repeat(300)}`,
    Array.from({ length: 17 }, () => "a").join("."),
  ])("deny %j, which is no subject, whatever was granted", (text) => {
    expect(permissions({ allow: { publish: [">", "*", "a.>"] } }).may("publish", text)).toBe(false);
  });

  it("tell upper from lower case", () => {
    const rights = permissions({ allow: { send: ["Order.*"] } });
    expect(rights.may("send", "Order.a")).toBe(true);
    expect(rights.may("send", "order.a")).toBe(false);
  });

  it("let full administration include reading, and no other word stand for either", () => {
    const [read, full] = [permissions({ admin: "read" }), permissions({ admin: "full" })];
    expect([read.may("admin", "read"), read.may("admin", "full")]).toEqual([true, false]);
    expect([full.may("admin", "read"), full.may("admin", "full")]).toEqual([true, true]);
    expect(["none", "", "Full", ">"].some((level) => full.may("admin", level))).toBe(false);
  });

  it("keep their answers right when more is asked than they remember", () => {
    const rights = permissions({ allow: { publish: ["a.*"] }, deny: { publish: ["a.x7"] } });
    for (let round = 0; round < 2; round++) {
      for (let n = 0; n < 3_000; n++) expect(rights.may("publish", `a.x${n}`)).toBe(n !== 7);
    }
  });

  it("are refused with a pattern that is none, an action that is none, or too many", () => {
    const named = (code: string): object => expect.objectContaining({ code });
    expect(() => rightsOf({ allow: { publish: ["a..b"] } })).toThrow(named("INVALID_SUBJECT"));
    expect(() => rightsOf({ deny: { fly: ["a"] } as never })).toThrow(named("INVALID_OPTIONS"));
    expect(() => rightsOf({ admin: "root" as never })).toThrow(named("INVALID_OPTIONS"));
    const many = Array.from({ length: 257 }, (_, n) => `a.b${n}`);
    expect(() => rightsOf({ allow: { publish: many } })).toThrow(named("INVALID_OPTIONS"));
  });
});

describe("rights as bytes", () => {
  it("come back as they were", () => {
    fc.assert(
      fc.property(
        grants,
        grants,
        fc.constantFrom("none", "read", "full"),
        fc.boolean(),
        (allow, deny, admin, idGiven) => {
          const certified = {
            rights: rightsOf({ allow, deny, admin: admin as "none" }),
            curveKey,
            idGiven,
            lifeMs: 60_000,
          };
          expect(decodeRights(encodeRights(certified))).toEqual(certified);
        },
      ),
    );
  });

  it("are refused with a field that is not known: it could take something away", () => {
    const bytes = encodeRights({ rights: rightsOf({}), curveKey, idGiven: false, lifeMs: 1 });
    expect(() => decodeRights(Buffer.concat([bytes, Buffer.from([0x7a, 0x00])]))).toThrow(
      WireError,
    );
    const inGrant = Buffer.from([0x0a, 0x04, 0x08, 0x01, 0x7a, 0x00]);
    expect(() => decodeRights(Buffer.concat([bytes, inGrant]))).toThrow(WireError);
  });

  it("throw nothing but WireError, whatever they are", () => {
    const good = encodeRights({
      rights: rightsOf({ allow: { publish: ["a.>"], handle: ["b.*"] }, admin: "read" }),
      curveKey,
      idGiven: false,
      lifeMs: 86_400_000,
    });
    fc.assert(
      fc.property(
        fc.nat(good.length - 1),
        fc.integer({ min: 0, max: 255 }),
        fc.nat(good.length),
        (at, value, end) => {
          const bytes = Uint8Array.from(good).subarray(0, end);
          if (at < end) bytes[at] = value;
          try {
            decodeRights(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(WireError);
          }
        },
      ),
      { numRuns: 5_000 },
    );
  });
});
