import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  compareKeys,
  compositeKey,
  KEY_BYTES_MAX,
  positionKey,
  positionOfKey,
  prefixEnd,
  TEXT_BYTES_MAX,
} from "../../../src/runtime/journal/keys.ts";

const epoch = fc.oneof(fc.nat(3), fc.nat(0xffff_ffff));
const seq = fc.oneof(fc.nat(3), fc.nat(2 ** 33), fc.maxSafeNat());
const shortText = fc.oneof(
  fc.string({ unit: fc.constantFrom("\0", "\u0001", "a", "b", "ÿ", "😀"), maxLength: 8 }),
  fc.string({ maxLength: 20 }),
);
const anyText = fc.oneof(
  shortText,
  fc.string({ unit: fc.constantFrom("\0", "a"), minLength: 60, maxLength: 400 }),
);
const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

describe("positionKey", () => {
  it("is big endian: epoch in four bytes, seq in eight", () => {
    const key = positionKey(0x01020304, 2 ** 40 + 5);
    expect(Buffer.from(key).toString("hex")).toBe("010203040000010000000005");
  });

  it("sorts as positions do, and gives them back", () => {
    fc.assert(
      fc.property(epoch, seq, epoch, seq, (e1, s1, e2, s2) => {
        const [a, b] = [positionKey(e1, s1), positionKey(e2, s2)];
        expect(Math.sign(compareKeys(a, b))).toBe(Math.sign(e1 - e2 || s1 - s2));
        expect(positionOfKey(a)).toEqual({ epoch: e1, seq: s1 });
      }),
    );
  });

  it("refuses what is no position", () => {
    for (const bad of [-1, 1.5, 2 ** 53, Number.NaN]) {
      expect(() => positionKey(1, bad)).toThrow(RangeError);
    }
    expect(() => positionOfKey(new Uint8Array(11))).toThrow(RangeError);
  });
});

describe("compositeKey", () => {
  it("sorts short texts by their bytes, then positions", () => {
    fc.assert(
      fc.property(shortText, epoch, seq, shortText, epoch, seq, (t1, e1, s1, t2, e2, s2) => {
        const a = compositeKey(t1, { epoch: e1, seq: s1 });
        const b = compositeKey(t2, { epoch: e2, seq: s2 });
        const order = byBytes(t1, t2) || e1 - e2 || s1 - s2;
        expect(Math.sign(compareKeys(a, b))).toBe(Math.sign(order));
      }),
      { numRuns: 1000 },
    );
  });

  it("gives different composites different keys, none the prefix of another", () => {
    const parts = fc.tuple(anyText, anyText);
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        const [a, b] = [compositeKey(...one), compositeKey(...other)];
        const isSame = one[0] === other[0] && one[1] === other[1];
        const shorter = Math.min(a.length, b.length);
        const isPrefix = compareKeys(a.subarray(0, shorter), b.subarray(0, shorter)) === 0;
        expect(isPrefix).toBe(isSame);
      }),
      { numRuns: 2000 },
    );
  });

  it("does not take the cut of a text for the end of a shorter one", () => {
    const head = "a".repeat(79);
    const cut = compositeKey(`${head}\0${"b".repeat(300)}`);
    const ended = compositeKey(head);
    expect(compareKeys(cut.subarray(0, ended.length), ended)).not.toBe(0);
  });

  it("keeps three texts of any length and a position below the bound", () => {
    const long = "\0".repeat(1000);
    const limit = "x".repeat(TEXT_BYTES_MAX);
    for (const text of [long, limit, `${limit}x`]) {
      const key = compositeKey(text, text, text, { epoch: 1, seq: 1 });
      expect(key.length).toBeLessThanOrEqual(KEY_BYTES_MAX);
    }
    expect(() => compositeKey(limit, limit, limit, limit)).toThrow(RangeError);
  });

  it("tells long texts apart that differ only behind the cut", () => {
    const keys = new Set<string>();
    for (let i = 0; i < 2000; i++) {
      keys.add(Buffer.from(compositeKey(`${"p".repeat(200)}${i}`)).toString("hex"));
    }
    expect(keys.size).toBe(2000);
  });

  it("bounds all keys with a prefix, and only those", () => {
    fc.assert(
      fc.property(shortText, shortText, seq, (text, other, n) => {
        const prefix = compositeKey(text);
        const end = prefixEnd(prefix) as Uint8Array;
        expect(compareKeys(compositeKey(text, n), end)).toBeLessThan(0);
        if (byBytes(other, text) > 0) {
          expect(compareKeys(compositeKey(other, n), end)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
    expect(prefixEnd(Uint8Array.of(0xff, 0xff))).toBeUndefined();
  });
});
