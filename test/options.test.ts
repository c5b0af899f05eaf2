import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MeshError } from "../src/errors.ts";
import { NODE_BOUNDS } from "../src/options/bounds.ts";
import { isLoopbackHost } from "../src/options/names.ts";
import { resolveOptions } from "../src/options.ts";

const MIB = 1024 * 1024;

/** option -> message, of the one error. */
const problemsOf = (input: unknown): Record<string, string> => {
  try {
    resolveOptions(input);
  } catch (error) {
    if (!MeshError.is(error, "INVALID_OPTIONS")) throw error;
    const problems = error.details.problems as { option: string; message: string }[];
    for (const { option, message } of problems)
      expect(error.message).toContain(`${option} ${message}`);
    return Object.fromEntries(problems.map(({ option, message }) => [option, message]));
  }
  throw new Error("nothing was thrown");
};

/** { "a.b": 1 } as { a: { b: 1 } } */
const nested = (option: string, value: unknown): Record<string, unknown> => {
  const [first, second] = option.split(".") as [string, string | undefined];
  return { service: "s", [first]: second === undefined ? value : { [second]: value } };
};
const valueAt = (resolved: unknown, option: string): unknown =>
  option.split(".").reduce((at, name) => (at as Record<string, unknown>)[name], resolved);

describe("resolveOptions", () => {
  it("applies every default", () => {
    const resolved = resolveOptions({ service: "orders" });
    expect(resolved).toMatchObject({
      service: "orders",
      mesh: "default",
      dataDir: undefined,
      listen: { host: "127.0.0.1", port: 0 },
      advertise: { host: undefined },
      discovery: undefined,
      transports: undefined,
      signals: false,
      insecure: false,
      heartbeatThread: true,
      membership: "default",
      retry: { attempts: 10, baseMs: 100, capMs: 60_000 },
      journal: { whenFull: "wait", lateMs: 600_000, forgetMs: 30 * 24 * 3_600_000 },
    });
    for (const [option, bound] of Object.entries(NODE_BOUNDS)) {
      expect([option, valueAt(resolved, option)]).toEqual([option, bound.default]);
    }
  });

  it("treats undefined as absent, also in sections", () => {
    const absent = { mesh: undefined, journal: undefined, limits: { peersMax: undefined } };
    expect(resolveOptions({ service: "s", ...absent })).toEqual(resolveOptions({ service: "s" }));
  });

  it("freezes the result deeply and keeps no reference to what was given", () => {
    const given = { service: "s", listen: { port: 7 }, discovery: [] as never[] };
    const resolved = resolveOptions(given);
    given.listen.port = 8;
    expect(resolved.listen.port).toBe(7);
    expect(resolved.discovery).not.toBe(given.discovery);
    for (const part of [resolved, ...Object.values(resolved)])
      expect(Object.isFrozen(part)).toBe(true);
  });

  it("accepts both ends of every range and refuses what lies beyond", () => {
    // Partners that would contradict an extreme value.
    const partners: Record<string, Record<string, unknown>> = {
      "limits.payloadBytesMax": { journal: { bytesMax: 2 ** 40 } },
      "limits.frameBytesMax": { limits: { payloadBytesMax: 1024 } },
      "journal.lateBytes": { journal: { bytesMax: 2 ** 44 } },
      "retry.baseMs": { retry: { capMs: 86_400_000 } },
      "retry.capMs": { retry: { baseMs: 0 } },
      heartbeatMs: { leaseMs: 600_000, silenceMs: 3_600_000 },
      leaseMs: { heartbeatMs: 10, silenceMs: 3_000 },
      silenceMs: { heartbeatMs: 10 },
    };
    for (const [option, { min, max, infinite }] of Object.entries(NODE_BOUNDS)) {
      const attempt = (value: unknown): Record<string, unknown> => {
        const base = nested(option, value);
        for (const [name, partner] of Object.entries(partners[option] ?? {})) {
          const own = base[name];
          base[name] =
            typeof own === "object" ? { ...(partner as object), ...own } : (own ?? partner);
        }
        return base;
      };
      for (const value of [min, max, ...(infinite ? [Number.POSITIVE_INFINITY] : [])]) {
        expect([option, valueAt(resolveOptions(attempt(value)), option)]).toEqual([option, value]);
      }
      const wrong = [min - 1, max + 1, min + 0.5, Number.NaN, "7", null, -0.1, 7n];
      if (!infinite) wrong.push(Number.POSITIVE_INFINITY);
      for (const value of wrong) {
        const said = problemsOf(attempt(value))[option];
        expect([option, said]).toEqual([option, expect.stringContaining(`from ${min} to ${max}`)]);
      }
    }
  });

  it("names every wrong option in one error", () => {
    const problems = problemsOf({
      service: "no spaces",
      mesh: "",
      dataDir: "a\0b",
      listen: { host: "a b", port: 70_000 },
      discovery: [{}],
      transports: [],
      journal: { whenFull: "drop" },
      signals: "yes",
      logger: { debug() {} },
      limits: { peersMax: 0 },
      heartbeatMs: "fast",
    });
    expect(Object.keys(problems).sort()).toEqual(
      [
        "service",
        "mesh",
        "dataDir",
        "listen.host",
        "listen.port",
        "discovery[0]",
        "transports",
        "journal.whenFull",
        "signals",
        "logger",
        "limits.peersMax",
        "heartbeatMs",
      ].sort(),
    );
    expect(problems["journal.whenFull"]).toBe('is "drop", must be "wait" or "reject"');
    expect(problems.signals).toBe('is "yes", must be true or false');
  });

  it("wants a service", () => {
    expect(problemsOf({}).service).toMatch(/^is missing, must be 1 to 63/);
    expect(problemsOf(undefined).service).toMatch(/missing/);
  });

  it.each([
    ["mash", "mesh"],
    ["limits.peerMax", "limits.peersMax"],
    ["payloadBytesMax", "limits.payloadBytesMax"],
    ["journal.maxBytes", "journal.bytesMax"],
    ["limits.maxPayloadBytes", "limits.payloadBytesMax"],
    ["Service", "service"],
    ["listen.hots", "listen.host"],
  ])("answers the unknown option %s with %s", (given, near) => {
    expect(problemsOf(nested(given, 1))[given]).toContain(`the nearest is "${near}"`);
  });

  it("refuses anything but an object, as a whole and as a section", () => {
    for (const input of [null, 7, "orders", [], () => 1]) {
      expect(problemsOf(input).options).toMatch(/must be an object/);
    }
    for (const journal of [null, 7, [], "wait"]) {
      expect(problemsOf({ service: "s", journal }).journal).toMatch(/must be an object/);
    }
  });

  it("says what contradicts", () => {
    const s = { service: "s" };
    expect(
      problemsOf({ ...s, journal: { bytesMax: 4 * MIB }, limits: { payloadBytesMax: 2 * MIB } }),
    ).toHaveProperty(["journal.bytesMax"], expect.stringContaining("4 x limits.payloadBytesMax"));
    expect(problemsOf({ ...s, limits: { frameBytesMax: MIB } })).toHaveProperty(
      ["limits.frameBytesMax"],
      expect.stringContaining("at least payloadBytesMax + 131072"),
    );
    expect(problemsOf({ ...s, retry: { baseMs: 500, capMs: 400 } })).toHaveProperty(
      "retry.capMs" as never,
    );
  });

  it("says what contradicts among the times", () => {
    const problems = problemsOf({
      service: "s",
      heartbeatMs: 900,
      leaseMs: 1_000,
      silenceMs: 1_000,
    });
    expect(problems.leaseMs).toBe("is 1000, must be at least 2 x heartbeatMs 900");
    expect(Object.keys(problems)).toEqual(["leaseMs", "silenceMs"]);
  });

  it("derives what follows from other options", () => {
    const resolved = resolveOptions({
      service: "s",
      heartbeatMs: 1_000,
      limits: { payloadBytesMax: 2 * MIB },
      journal: { bytesMax: 16 * MIB },
    });
    expect(resolved.leaseMs).toBe(4_000);
    expect(resolved.silenceMs).toBe(12_000);
    expect(resolved.limits.frameBytesMax).toBe(2 * MIB + 128 * 1024);
    expect(resolved.journal.lateBytes).toBe(4 * MIB);
  });

  it("refuses two transports of one scheme", () => {
    const fn = () => undefined;
    const transport = { scheme: "mem", start: fn, listen: fn, dial: fn, stop: fn };
    expect(problemsOf({ service: "s", transports: [transport, transport] }).transports).toContain(
      '"mem" twice',
    );
    expect(resolveOptions({ service: "s", transports: [transport] }).transports).toEqual([
      transport,
    ]);
    expect(problemsOf({ service: "s", transports: [transport, null] })).toHaveProperty([
      "transports[1]",
    ]);
  });

  it("throws nothing but MeshError, of bounded length, whatever it is given", () => {
    const names = ["service", "mesh", "listen", "journal", "limits", "retry", "discovery", "x"];
    const input = fc.oneof(
      fc.anything(),
      fc.dictionary(fc.constantFrom(...names), fc.anything(), { noNullPrototype: false }),
    );
    fc.assert(
      fc.property(input, (given) => {
        try {
          resolveOptions(given);
        } catch (error) {
          expect(MeshError.is(error)).toBe(true);
          expect((error as Error).message.length).toBeLessThan(16_000);
          JSON.stringify((error as MeshError).details);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("lists a bounded number of problems and says how many there were", () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`x${i}`, 1]));
    try {
      resolveOptions({ service: "s", ...many });
      expect.unreachable();
    } catch (error) {
      expect((error as MeshError).details.problems).toHaveLength(32);
      expect((error as MeshError).details.problemCount).toBe(100);
      expect((error as MeshError).message).toContain("and 68 more");
    }
  });
});

describe("listening beyond loopback", () => {
  it.each([
    "localhost",
    "LOCALHOST",
    "127.0.0.1",
    "127.255.3.4",
    "::1",
    "[::1]",
    "::ffff:127.0.0.1",
  ])("takes %s for loopback", (host) => {
    expect(isLoopbackHost(host)).toBe(true);
    expect(resolveOptions({ service: "s", listen: { host } }).listen.host).toBe(host);
  });

  it.each([
    "0.0.0.0",
    "::",
    "*",
    "10.0.0.1",
    "127.1",
    "2130706433",
    "127.0.0.256",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "xlocalhost",
    "::ffff:10.0.0.1",
    "[::]",
  ])("refuses %s without keys, unless told it is meant", (host) => {
    expect(() => resolveOptions({ service: "s", listen: { host } })).toThrow(
      expect.objectContaining({ code: "INSECURE_LISTEN" }),
    );
    const meant = resolveOptions({ service: "s", listen: { host }, insecure: true });
    expect(meant.listen.host).toBe(host);
  });

  it("names wrong options first", () => {
    expect(problemsOf({ service: "", listen: { host: "0.0.0.0" } })).toHaveProperty("service");
  });
});
