import { describe, expect, it } from "vitest";
import { readFlags, SCENARIOS } from "../../bench/bench-flags.ts";
import { SYSTEM_NAMES } from "../../bench/systems.ts";

describe("the command line of the bench", () => {
  it("measures everything that it can unless told otherwise", () => {
    const flags = readFlags([]);
    expect(flags.only).toEqual(SCENARIOS);
    expect(flags.systems).toEqual(SYSTEM_NAMES);
    expect(flags).toMatchObject({ quick: false, brokers: true, report: false, check: false });
  });

  it("takes scenarios and systems by name", () => {
    const flags = readFlags(["--only", "rtt,fan-out", "--systems", "meshbus,nats", "--no-brokers"]);
    expect(flags.only).toEqual(["rtt", "fan-out"]);
    expect(flags.systems).toEqual(["meshbus", "nats"]);
    expect(flags.brokers).toBe(false);
  });

  it.each([
    [["--only", "nothing"], /no scenario "nothing"/],
    [["--systems", "kafka"], /no system "kafka"/],
    [["--systems"], /needs a value/],
    [["--minutes", "soon"], /"soon" is not a number above 0/],
    [["--fast"], /unknown flag --fast/],
  ])("says what is wrong with %j", (given, message) => {
    expect(() => readFlags(given)).toThrow(message);
  });
});
