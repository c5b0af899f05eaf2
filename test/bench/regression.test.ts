import { describe, expect, it } from "vitest";
import { type StoredRatio, storedRatios, verdictsOf } from "../../bench/regression.ts";
import type { Row } from "../../bench/row.ts";

const stored: readonly StoredRatio[] = [
  { scenario: "rtt", figure: "p50Us", to: "raw-tcp", ratio: 1.3, tolerance: 2 },
];
const row = (system: string, p50Us: number, more: Partial<Row> = {}): Row => ({
  scenario: "rtt",
  system,
  payloadBytes: 128,
  p50Us,
  ...more,
});

describe("the regression check", () => {
  it("lets noise pass, and finds what is far beyond it", () => {
    expect(verdictsOf([row("meshbus", 50), row("raw-tcp", 20)], stored)[0]?.found).toBe("holds");
    const [verdict] = verdictsOf([row("meshbus", 80), row("raw-tcp", 20)], stored);
    expect(verdict).toEqual({
      text: "rtt p50Us to raw-tcp: 4.00, stored 1.3, at most 2.60",
      found: "regressed",
    });
  });

  it("does not fail for what a starved machine kept it from measuring", () => {
    const failed = [row("meshbus", 20, { failed: "took too long" }), row("raw-tcp", 20)];
    expect(verdictsOf(failed, stored)[0]?.found).toBe("unmeasured");
    expect(verdictsOf([], stored)[0]?.found).toBe("unmeasured");
  });

  it("fails for a loss, however fast it was", () => {
    const lossy = [row("meshbus", 1, { noResult: "lost 1" }), row("raw-tcp", 20)];
    expect(verdictsOf(lossy, stored)[0]?.found).toBe("regressed");
  });

  it("has stored ratios with a tolerance that a busy machine does not exceed", () => {
    expect(storedRatios().length).toBeGreaterThan(2);
    for (const { tolerance } of storedRatios()) expect(tolerance).toBeGreaterThanOrEqual(1.8);
  });
});
