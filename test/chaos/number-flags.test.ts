/** Wrong flags are refused by name. */
import { describe, expect, it } from "vitest";
import { readFlags } from "./number-flags.ts";

const read = (...args: string[]) =>
  readFlags(args, { cuts: { min: 1, max: 10, default: 5 } }, ["json"] as const);

describe("flags", () => {
  it("have their values, or their defaults", () => {
    expect(read()).toEqual({ numbers: { cuts: 5 }, switches: { json: false } });
    const given = read("--cuts", "7", "--json");
    expect(given).toEqual({ numbers: { cuts: 7 }, switches: { json: true } });
  });

  it.each([
    ["--cuts", "0"],
    ["--cuts", "11"],
    ["--cuts", "1.5"],
    ["--cuts", "x"],
    ["--cut", "1"],
  ])("refuse %s %s", (...args) => {
    expect(() => read(...args)).toThrow(args[0]);
  });
});
