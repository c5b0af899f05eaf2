import { describe, expect, it } from "vitest";
import { z } from "zod";
import { command, event, query } from "../../src/contract/define-contract.ts";
import { isContract, UntypedCache, untyped, untypedPattern } from "../../src/contract/untyped.ts";
import { MeshError } from "../../src/errors.ts";
import { ByteWriter } from "../../src/wire/byte-writer.ts";
import { EnvelopeView, writeEnvelope } from "../../src/wire/envelope.ts";

const problemsOf = (run: () => unknown): string[] => {
  try {
    run();
  } catch (error) {
    if (!MeshError.is(error, "INVALID_OPTIONS")) throw error;
    const problems = error.details.problems as { option: string; message: string }[];
    return problems.map(({ option }) => option);
  }
  throw new Error("nothing was thrown");
};

describe("defining a contract", () => {
  it("gives a frozen value that says what it is", () => {
    const Placed = event("order.placed", { version: 2, schema: z.string() });
    expect(Object.isFrozen(Placed)).toBe(true);
    expect(Object.isFrozen(Placed.accepts)).toBe(true);
    expect(Placed).toMatchObject({
      kind: "event",
      subject: "order.placed",
      version: 2,
      accepts: [2, 2],
      key: undefined,
      retain: undefined,
    });
    expect(isContract(Placed)).toBe(true);
  });

  it("reads any version when none is declared", () => {
    expect(command("a").accepts).toEqual([0, 0]);
    expect(query("a").version).toBe(0);
  });

  it("completes retain", () => {
    expect(event("a", { retain: { ageMs: 5 } }).retain).toEqual({ ageMs: 5, bytes: 0 });
  });

  it("refuses patterns and other bad subjects", () => {
    expect(() => event("order.*")).toThrow(expect.objectContaining({ code: "INVALID_SUBJECT" }));
    expect(() => query("")).toThrow(expect.objectContaining({ code: "INVALID_SUBJECT" }));
  });

  it("names every wrong option at once", () => {
    const wrong = {
      version: 0,
      accepts: [3, 2],
      schema: 7,
      key: "id",
      retain: { ageMs: -1, b: 1 },
    };
    expect(problemsOf(() => event("a", { ...wrong, shema: 1 } as never))).toEqual([
      "shema",
      "version",
      "accepts",
      "key",
      "schema",
      "retain.ageMs",
      "retain.b",
    ]);
  });

  it.each([1.5, -1, 2 ** 32, "1", Number.NaN, null])("refuses version %j", (version) => {
    expect(problemsOf(() => event("a", { version } as never))).toContain("version");
  });

  it("wants accepts to be a range around the version", () => {
    expect(event("a", { version: 2, accepts: [1, 3] }).accepts).toEqual([1, 3]);
    for (const options of [
      { version: 4, accepts: [1, 3] },
      { accepts: [1, 3] },
      { version: 1, accepts: [1] },
    ]) {
      expect(problemsOf(() => event("a", options as never))).toEqual(["accepts"]);
    }
  });

  it("knows which options belong to which kind", () => {
    expect(problemsOf(() => query("a", { key: () => "k" } as never))).toEqual(["key"]);
    expect(problemsOf(() => command("a", { retain: {} } as never))).toEqual(["retain"]);
    expect(problemsOf(() => event("a", null as never))).toEqual(["options"]);
  });

  it("takes schemas that are functions", () => {
    const schema = Object.assign(
      () => true,
      z.string()["~standard"] && { "~standard": z.string()["~standard"] },
    );
    expect(() => event("a", { schema })).not.toThrow();
  });
});

describe("the envelope template of a contract", () => {
  it("is made once and holds subject, kind, content type and version", () => {
    const Reserve = command("inventory.reserve", { version: 7 });
    const template = Reserve["~template"]("application/json");
    expect(Reserve["~template"]("application/json")).toBe(template);
    const writer = new ByteWriter();
    writeEnvelope(writer, template, { time: { ms: 1, counter: 2 }, payload: Buffer.from("{}") });
    const view = new EnvelopeView(writer.take());
    expect(view.subject).toBe("inventory.reserve");
    expect(view.kind).toBe(1);
    expect(view.schemaVersion).toBe(7);
    expect(view.contentType).toBe("application/json");
  });

  it("differs by content type for untyped subjects", () => {
    const free = untyped("free", "event");
    const json = free["~template"]("application/json");
    const bytes = free["~template"]("application/octet-stream");
    expect(bytes).not.toBe(json);
    expect(free["~template"]("application/json")).toBe(json);
    expect(free["~template"]("application/octet-stream")).toBe(bytes);
  });
});

describe("untyped contracts", () => {
  it("take subjects for saying and patterns for listening only", () => {
    expect(untyped("order.placed", "event").subject).toBe("order.placed");
    expect(() => untyped("order.>", "event")).toThrow(/allowed in patterns only/);
    expect(untypedPattern("order.>").subject).toBe("order.>");
    expect(() => untypedPattern("order.>.x")).toThrow(/last token only/);
  });

  it("are cached up to a bound and stay right past it", () => {
    const cache = new UntypedCache("command", 3);
    const first = cache.get("s.0");
    expect(cache.get("s.0")).toBe(first);
    for (let i = 0; i < 10; i++) {
      expect(cache.get(`s.${i}`).subject).toBe(`s.${i}`);
      expect(cache.size).toBeLessThanOrEqual(3);
    }
    expect(() => cache.get("a b")).toThrow(expect.objectContaining({ code: "INVALID_SUBJECT" }));
    expect(cache.get("s.0").kind).toBe("command");
  });

  it("are told from anything else", () => {
    for (const value of [undefined, null, "a", {}, { kind: "event", subject: "a" }]) {
      expect(isContract(value)).toBe(false);
    }
  });
});
