import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  assertPattern,
  assertSubject,
  compilePattern,
  hasWildcard,
  matchesPattern,
  patternCovers,
  patternsOverlap,
  SUBJECT_BYTES_MAX,
  SUBJECT_TOKENS_MAX,
} from "../../src/core/subject.ts";
import { MeshError } from "../../src/errors.ts";

/** Few tokens of few spellings, so that patterns and subjects meet often. */
const token = fc.constantFrom("a", "b", "ab", "A", "0", "-_");
const subject = fc.array(token, { minLength: 1, maxLength: 5 }).map((tokens) => tokens.join("."));
const pattern = fc
  .tuple(
    fc.array(fc.oneof(token, fc.constant("*")), { minLength: 1, maxLength: 4 }),
    fc.boolean(),
    fc.boolean(),
  )
  .map(([tokens, tail, only]) => (only ? [">"] : tail ? [...tokens, ">"] : tokens).join("."));

/** The definition, token by token, by recursion. */
const selects = (wanted: readonly string[], given: readonly string[]): boolean => {
  const [first, ...rest] = wanted;
  const [head, ...others] = given;
  if (first === undefined || head === undefined) return first === head;
  if (first === ">") return true;
  return (first === "*" || first === head) && selects(rest, others);
};
const oracle = (wanted: string, given: string): boolean =>
  selects(wanted.split("."), given.split("."));

const problemOf = (run: () => void): MeshError => {
  try {
    run();
  } catch (error) {
    if (MeshError.is(error, "INVALID_SUBJECT")) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};

describe("assertSubject", () => {
  it("takes tokens of letters, digits, '-' and '_' joined by dots", () => {
    for (const text of ["a", "order.placed", "Order-1.line_2", "0", `${"a.".repeat(15)}a`]) {
      expect(() => assertSubject(text)).not.toThrow();
    }
  });

  it.each([
    ["", 0, "is empty"],
    [".a", 0, "empty token at character 0"],
    ["a..b", 2, "empty token at character 2"],
    ["a.", 2, "empty token at character 2"],
    ["a b", 1, 'has " " at character 1'],
    ["a.é", 2, 'has "é" at character 2'],
    ["a.😀", 2, 'has "😀" at character 2'],
    ["a.*", 2, "allowed in patterns only"],
    ["a.>", 2, "allowed in patterns only"],
    ["$sys.a", 0, "kept for meshbus"],
    ["a\0", 1, "at character 1"],
  ])("refuses %j and says where", (text, at, said) => {
    const error = problemOf(() => assertSubject(text));
    expect(error.message).toContain(said);
    expect(error.details.at).toBe(at);
  });

  it("refuses what is not text", () => {
    for (const value of [undefined, null, 7, {}, ["a"], Symbol("a")]) {
      expect(problemOf(() => assertSubject(value)).message).toContain("must be a string");
    }
  });

  it("takes the longest subject and refuses one byte more", () => {
    expect(() => assertSubject("x".repeat(SUBJECT_BYTES_MAX))).not.toThrow();
    const error = problemOf(() => assertSubject("x".repeat(SUBJECT_BYTES_MAX + 1)));
    expect(error.message).toContain("is 256 B long, at most 255");
    expect(error.message.length).toBeLessThan(200);
  });

  it("takes the most tokens and refuses one more", () => {
    const most = Array(SUBJECT_TOKENS_MAX).fill("t").join(".");
    expect(() => assertSubject(most)).not.toThrow();
    expect(problemOf(() => assertSubject(`${most}.t`)).message).toContain(
      "has 17 tokens, at most 16",
    );
  });

  it("throws nothing but INVALID_SUBJECT, whatever it is given", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.anything()), (value) => {
        try {
          assertPattern(value);
        } catch (error) {
          expect(MeshError.is(error, "INVALID_SUBJECT")).toBe(true);
        }
      }),
    );
  });

  it("agrees with a regular expression", () => {
    const text = fc.array(fc.constantFrom("a", "-", ".", "*", ">", "$", " "), { maxLength: 8 });
    fc.assert(
      fc.property(text, (characters) => {
        const candidate = characters.join("");
        const isSubject = /^[a-]+(\.[a-]+)*$/.test(candidate);
        const isPattern = /^(([a-]+|\*)\.)*([a-]+|\*|>)$/.test(candidate);
        if (isSubject) assertSubject(candidate);
        else problemOf(() => assertSubject(candidate));
        if (isPattern) assertPattern(candidate);
        else problemOf(() => assertPattern(candidate));
      }),
      { numRuns: 500 },
    );
  });
});

describe("assertPattern", () => {
  it("takes subjects, '*' as a token and '>' as the last", () => {
    for (const text of ["a", ">", "*", "a.>", "*.b.*", "*.>"]) {
      expect(() => assertPattern(text)).not.toThrow();
    }
  });

  it.each([
    ["a.>.b", "allowed as the last token only"],
    ["a*", "must stand alone in its token"],
    ["a.b>", "must stand alone in its token"],
    ["**", "must stand alone in its token"],
    ["$x.>", "kept for meshbus"],
  ])("refuses %j", (text, said) => {
    expect(problemOf(() => assertPattern(text)).message).toContain(said);
  });
});

describe("matching", () => {
  it.each([
    ["order.placed", "order.placed", true],
    ["order.placed", "order.placed.eu", false],
    ["order.*", "order.placed", true],
    ["order.*", "order", false],
    ["order.*", "order.placed.eu", false],
    ["order.>", "order.placed.eu", true],
    ["order.>", "order", false],
    ["order.>", "orders.placed", false],
    [">", "a", true],
    ["*.placed", "order.placed", true],
    ["*.*", "a", false],
  ])("%j selects %j: %s", (wanted, given, expected) => {
    expect(matchesPattern(wanted, given)).toBe(expected);
    expect(compilePattern(wanted)(given)).toBe(expected);
  });

  it("agrees with the definition, compiled or not", () => {
    fc.assert(
      fc.property(pattern, subject, (wanted, given) => {
        const expected = oracle(wanted, given);
        expect(matchesPattern(wanted, given)).toBe(expected);
        expect(compilePattern(wanted)(given)).toBe(expected);
      }),
      { numRuns: 3_000 },
    );
  });

  it("never throws on text that is no subject", () => {
    const text = fc.string({ unit: "binary" });
    fc.assert(
      fc.property(pattern, text, (wanted, given) => {
        expect(typeof matchesPattern(wanted, given)).toBe("boolean");
      }),
    );
  });

  it("knows a pattern with a wildcard from a subject", () => {
    fc.assert(
      fc.property(pattern, (wanted) => {
        expect(hasWildcard(wanted)).toBe(/[*>]/.test(wanted));
      }),
    );
  });

  it("compiles valid patterns only", () => {
    expect(problemOf(() => compilePattern("a.>.b")).message).toContain("last token only");
  });
});

describe("two patterns", () => {
  /** Every subject of at most four tokens over an alphabet that holds all literals and one stranger. */
  const universe = (literals: readonly string[]): string[] => {
    const tokens = [...new Set([...literals, "stranger"])];
    let all = [...tokens];
    let last = all;
    for (let length = 2; length <= 4; length++) {
      last = last.flatMap((head) => tokens.map((next) => `${head}.${next}`));
      all = all.concat(last);
    }
    return all;
  };
  const few = fc
    .tuple(fc.array(fc.constantFrom("a", "b", "*"), { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([tokens, tail]) => (tail ? [...tokens, ">"] : tokens).join("."));

  it("overlap exactly when some subject is selected by both", () => {
    const subjects = universe(["a", "b"]);
    fc.assert(
      fc.property(few, few, (first, second) => {
        const common = subjects.some((given) => oracle(first, given) && oracle(second, given));
        expect(patternsOverlap(first, second)).toBe(common);
        expect(patternsOverlap(second, first)).toBe(common);
      }),
      { numRuns: 500 },
    );
  });

  it("cover one another exactly when every subject of one is selected by the other", () => {
    const subjects = universe(["a", "b"]);
    fc.assert(
      fc.property(few, few, (first, second) => {
        const selected = subjects.filter((given) => oracle(second, given));
        const covered = selected.every((given) => oracle(first, given));
        expect(patternCovers(first, second)).toBe(covered);
      }),
      { numRuns: 500 },
    );
  });

  it("are told apart by what differs in a literal or in length", () => {
    expect(patternsOverlap("order.*", "*.placed")).toBe(true);
    expect(patternsOverlap("order.>", "order")).toBe(false);
    expect(patternsOverlap("a.>", "b.>")).toBe(false);
    expect(patternsOverlap(">", "x")).toBe(true);
  });
});
