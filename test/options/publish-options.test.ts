import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MeshError } from "../../src/errors.ts";
import { type PublishCall, resolvePublishOptions } from "../../src/options/publish-options.ts";
import { resolveRequestOptions } from "../../src/options/request-options.ts";

const problemsOf = (run: () => unknown): Record<string, string> => {
  try {
    run();
  } catch (error) {
    if (!MeshError.is(error, "INVALID_OPTIONS")) throw error;
    const problems = error.details.problems as { option: string; message: string }[];
    return Object.fromEntries(problems.map(({ option, message }) => [option, message]));
  }
  throw new Error("nothing was thrown");
};
const wrong = (input: unknown, call: PublishCall = "publish"): Record<string, string> =>
  problemsOf(() => resolvePublishOptions(input, call));

describe("resolvePublishOptions", () => {
  it("is nothing and no delay by default", () => {
    const nothing = resolvePublishOptions(undefined, "publish");
    expect(nothing).toMatchObject({ key: undefined, headers: undefined, delayMs: 0 });
    expect(resolvePublishOptions({}, "send")).toEqual(nothing);
    expect(resolvePublishOptions({ key: undefined, delayMs: undefined }, "send")).toEqual(nothing);
    expect(Object.isFrozen(nothing)).toBe(true);
  });

  it("takes every option", () => {
    const { signal } = new AbortController();
    const given = {
      key: "k",
      id: "i",
      headers: { region: "eu" },
      expireAfterMs: 60_000,
      delayMs: 5,
      idempotencyKey: "p",
      correlationId: "c",
      causationId: "a",
      signal,
    };
    const resolved = resolvePublishOptions(given, "publish");
    expect({ ...resolved, headers: { ...resolved.headers } }).toEqual(given);
  });

  it("copies headers, without a prototype", () => {
    const headers = JSON.parse('{"__proto__":"x","a":"1"}') as Record<string, string>;
    const resolved = resolvePublishOptions({ headers }, "publish");
    headers.a = "2";
    expect(Object.getPrototypeOf(resolved.headers)).toBeNull();
    expect(Object.entries(resolved.headers ?? {})).toEqual([
      ["__proto__", "x"],
      ["a", "1"],
    ]);
    expect(resolvePublishOptions({ headers: {} }, "publish").headers).toBeUndefined();
  });

  it("names every wrong option at once", () => {
    const problems = wrong({ key: "", id: "x".repeat(256), delayMs: -1, header: {}, signal: {} });
    expect(Object.keys(problems).sort()).toEqual(["delayMs", "header", "id", "key", "signal"]);
    expect(problems.header).toContain('the nearest is "headers"');
    expect(problems.key).toContain("text of 1 to 255 B");
  });

  it("counts texts in UTF-8 bytes", () => {
    expect(resolvePublishOptions({ key: "é".repeat(127) }, "publish").key).toHaveLength(127);
    expect(wrong({ key: "é".repeat(128) })).toHaveProperty("key");
  });

  it("refuses a delay that outlasts the message", () => {
    expect(wrong({ delayMs: 10, expireAfterMs: 10 }).delayMs).toContain(
      "less than expireAfterMs 10",
    );
    expect(resolvePublishOptions({ delayMs: 9, expireAfterMs: 10 }, "send").delayMs).toBe(9);
  });

  it.each([
    ["a list", ["a"]],
    ["text", "a"],
    ["null", null],
    ["a number as value", { a: 1 }],
    ["undefined as value", { a: undefined }],
    ["a name with a space", { "a b": "1" }],
    ["an empty name", { "": "1" }],
    ["a name of 129 B", { ["n".repeat(129)]: "1" }],
    ["a value of 4,097 B", { a: "é".repeat(2_049) }],
    ["65 headers", Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`h${i}`, ""]))],
    [
      "more than 64 KiB",
      Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`h${i}`, "x".repeat(4_000)])),
    ],
  ])("refuses %s for headers", (_, headers) => {
    expect(wrong({ headers })).toHaveProperty("headers");
  });

  it("gives emit() only what needs no journal", () => {
    expect(resolvePublishOptions({ key: "k", headers: { a: "1" } }, "emit").key).toBe("k");
    const problems = wrong({ delayMs: 1, expireAfterMs: 5, idempotencyKey: "p" }, "emit");
    expect(Object.keys(problems).sort()).toEqual(["delayMs", "expireAfterMs", "idempotencyKey"]);
  });

  it("refuses anything but an object", () => {
    for (const input of [null, 7, "k", []]) expect(wrong(input)).toHaveProperty("options");
  });

  it("accepts or explains: never both, never neither", () => {
    const value = fc.oneof(
      fc.constantFrom(
        "",
        "k",
        "x".repeat(300),
        0,
        1,
        -1,
        1.5,
        2 ** 40,
        null,
        undefined,
        {},
        { a: "b" },
        { a: 1 },
      ),
      fc.anything(),
    );
    const names = [
      "key",
      "id",
      "headers",
      "expireAfterMs",
      "delayMs",
      "idempotencyKey",
      "signal",
      "x",
    ];
    const input = fc.dictionary(fc.constantFrom(...names), value, { noNullPrototype: false });
    fc.assert(
      fc.property(input, fc.constantFrom<PublishCall>("publish", "send", "emit"), (given, call) => {
        try {
          resolvePublishOptions(given, call);
        } catch (error) {
          expect(MeshError.is(error, "INVALID_OPTIONS")).toBe(true);
          expect((error as MeshError).details.problemCount).toBeGreaterThan(0);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("resolveRequestOptions", () => {
  it("takes the node's time-out unless one is given", () => {
    expect(resolveRequestOptions(undefined, 5_000).timeoutMs).toBe(5_000);
    expect(resolveRequestOptions({}, 5_000).timeoutMs).toBe(5_000);
    const given = resolveRequestOptions({ timeoutMs: 7, headers: { a: "1" } }, 5_000);
    expect(given.timeoutMs).toBe(7);
    expect(given.headers).toMatchObject({ a: "1" });
  });

  it("names every wrong option at once", () => {
    const input = { timeoutMs: 0, headers: { a: 1 }, signal: 1, key: "k" };
    const problems = problemsOf(() => resolveRequestOptions(input, 5_000));
    expect(Object.keys(problems).sort()).toEqual(["headers", "key", "signal", "timeoutMs"]);
  });
});
