import { describe, expect, it } from "vitest";
import { patternDistance } from "../../src/cli/doctor/pattern-distance.ts";

describe("patternDistance", () => {
  it.each([
    ["order.placed", "order.placed", 0],
    ["order.*", "order.placed", 0],
    ["*.placed", "order.placed", 0],
    ["order.>", "order.placed", 0],
    ["order.>", "order.placed.eu.west", 0],
    [">", "order", 0],
    ["order.>", "order", 1],
    ["order.*", "order.placed.eu", 1],
    ["order.placed", "order.placed.eu", 1],
    ["order.Placed", "order.placed", 0.5],
    ["orders.placed", "order.placed", 0.5],
    ["order.paid", "order.placed", 1],
    ["stock.counted", "order.placed", 2],
    ["", "order.placed", 2],
    ["a", "b", 1],
  ])("of %s from %s is %s", (pattern, subject, distance) => {
    expect(patternDistance(pattern, subject)).toBe(distance);
  });
});
