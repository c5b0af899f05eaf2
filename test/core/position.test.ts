import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  comparePositions,
  EPOCH_MAX,
  formatPosition,
  type Position,
  parsePosition,
  SEQ_MAX,
  ZERO,
} from "../../src/core/position.ts";

const positions = fc.record({
  epoch: fc.oneof(fc.nat(3), fc.integer({ min: 0, max: EPOCH_MAX })),
  seq: fc.oneof(fc.nat(3), fc.maxSafeNat()),
});

const asBigInt = ({ epoch, seq }: Position): bigint => (BigInt(epoch) << 53n) | BigInt(seq);

describe("positions", () => {
  it("orders by epoch, then by sequence, like one large number", () => {
    fc.assert(
      fc.property(positions, positions, (a, b) => {
        const [x, y] = [asBigInt(a), asBigInt(b)];
        expect(Math.sign(comparePositions(a, b))).toBe(x < y ? -1 : x > y ? 1 : 0);
      }),
    );
  });

  it("puts ZERO before the first message of any epoch", () => {
    expect(comparePositions(ZERO, { epoch: 0, seq: 1 })).toBeLessThan(0);
    expect(comparePositions(ZERO, { epoch: 1, seq: 0 })).toBeLessThan(0);
  });

  it("gives back what it formatted", () => {
    fc.assert(
      fc.property(positions, (position) => {
        expect(parsePosition(formatPosition(position))).toEqual(position);
      }),
    );
    expect(formatPosition({ epoch: 17, seq: 42 })).toBe("17:42");
  });

  it("does not parse a second spelling, a missing part or a number out of range", () => {
    const wrong = [
      "",
      ":",
      "1",
      "1:",
      ":1",
      "01:1",
      "1:01",
      "-1:1",
      "1:1.5",
      "1:1:1",
      " 1:1",
      "1:1\n",
    ];
    wrong.push(`${EPOCH_MAX + 1}:1`, "1:9007199254740992", "1:99999999999999999");
    for (const text of wrong) expect(parsePosition(text), text).toBeUndefined();
    expect(parsePosition(`${EPOCH_MAX}:${SEQ_MAX}`)).toEqual({ epoch: EPOCH_MAX, seq: SEQ_MAX });
  });
});
