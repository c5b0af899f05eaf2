import fc from "fast-check";
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

  it("agrees with a plain map of numbers, in whatever order they are settled", () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant("send" as const), bytes: fc.nat(40), keyHash: fc.nat(3) }),
      fc.record({ type: fc.constant("take" as const), number: fc.nat(60) }),
      fc.record({
        type: fc.constant("grant" as const),
        numbers: fc.nat(60),
        bytes: fc.nat(900),
        paused: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const opening = new Opening();
        const sent = new Map<number, Entry>();
        const credit = { numbers: 0, bytes: 0, paused: false };
        let next = 1;
        let sentBytes = 0;
        for (const each of steps) {
          if (each.type === "grant") {
            opening.grant(each.numbers, each.bytes, each.paused);
            credit.numbers = Math.max(credit.numbers, each.numbers);
            credit.bytes = Math.max(credit.bytes, each.bytes);
            credit.paused = each.paused;
          } else if (each.type === "send") {
            const within = next <= credit.numbers && sentBytes + each.bytes <= credit.bytes;
            const alone = sent.size === 0 && credit.numbers > 0;
            const may = !credit.paused && (alone || (sent.size > 0 && within));
            expect(opening.canSend(each.bytes)).toBe(may);
            if (!may) continue;
            const message = entry(next, each.keyHash, each.bytes);
            expect(opening.sent(message)).toBe(next);
            sent.set(next++, message);
            sentBytes += each.bytes;
          } else {
            expect(opening.take(each.number)).toBe(sent.get(each.number));
            sent.delete(each.number);
          }
          expect(opening.unsettledEntries()).toEqual([...sent.values()]);
          expect([opening.unsettled, opening.next]).toEqual([sent.size, next]);
          expect(opening.first).toBe(Math.min(next, ...sent.keys()));
          for (const [number, message] of sent) {
            const ahead = [...sent].find(
              ([other, { keyHash }]) => other < number && keyHash === message.keyHash,
            );
            expect(opening.aheadOf(message)).toBe(ahead?.[1]);
          }
        }
        expect(opening.end()).toEqual([...sent.values()]);
      }),
    );
  });
});
