import { describe, expect, it } from "vitest";
import { type Entry, newEntry } from "../../src/core/entry.ts";
import { Opening } from "../../src/core/opening.ts";

const entry = (seq: number, keyHash = -1, bytes = 10): Entry =>
  newEntry(1, seq, 0, keyHash, bytes, -1);

describe("Opening", () => {
  it("numbers from 1 and gives each number back once", () => {
    const opening = new Opening();
    const [a, b, c] = [entry(7), entry(8), entry(9)];
    expect([a, b, c].map((each) => opening.sent(each))).toEqual([1, 2, 3]);
    expect(opening.take(2)).toBe(b);
    expect(opening.take(2)).toBeUndefined();
    expect([opening.take(0), opening.take(4)]).toEqual([undefined, undefined]);
    expect(opening.take(1)).toBe(a);
    expect([opening.unsettled, opening.canResend(2), opening.canResend(3)]).toEqual([
      1,
      false,
      true,
    ]);
    expect([opening.take(3), opening.unsettled, opening.next]).toEqual([c, 0, 4]);
  });

  it("keeps to its credit, but for one message when nothing is in flight", () => {
    const opening = new Opening();
    expect(opening.canSend(1)).toBe(false);
    opening.grant(2, 25);
    expect(opening.canSend(1_000)).toBe(true);
    opening.sent(entry(1));
    expect([opening.canSend(15), opening.canSend(16)]).toEqual([true, false]);
    opening.sent(entry(2));
    expect([opening.canSend(1), opening.room]).toEqual([false, 0]);
    opening.grant(1, 1); // credit never falls
    opening.take(1);
    opening.take(2);
    expect(opening.canSend(1)).toBe(true);
  });

  it("finds what is in flight of a key before a message", () => {
    const opening = new Opening();
    const [first, other, later] = [entry(1, 5), entry(2, 6), entry(3, 5)];
    for (const each of [first, other, later]) opening.sent(each);
    expect(opening.aheadOf(later)).toBe(first);
    expect(opening.aheadOf(first)).toBeUndefined();
    opening.take(1);
    expect(opening.aheadOf(later)).toBeUndefined();
  });

  it("settles nothing once it has ended", () => {
    const opening = new Opening();
    const [a, b] = [entry(1), entry(2)];
    opening.sent(a);
    opening.sent(b);
    expect(opening.end()).toEqual([a, b]);
    expect([opening.take(1), opening.take(2), opening.unsettled]).toEqual([
      undefined,
      undefined,
      0,
    ]);
    expect(opening.end()).toEqual([]);
  });
});
