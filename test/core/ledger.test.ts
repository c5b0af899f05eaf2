import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LEDGER_BYTES, LEDGER_KINDS, Ledger, type LedgerKind } from "../../src/core/ledger.ts";
import { MeshError } from "../../src/errors.ts";

const additions = fc.array(
  fc.tuple(fc.constantFrom(...LEDGER_KINDS), fc.integer({ min: 0, max: 2 ** 40 })),
  { maxLength: 40 },
);

const ledgerOf = (list: readonly (readonly [LedgerKind, number])[]): Ledger => {
  const ledger = new Ledger();
  for (const [kind, n] of list) ledger.add(kind, n);
  return ledger;
};

const errorOf = (run: () => unknown): MeshError | undefined => {
  try {
    run();
  } catch (error) {
    if (error instanceof MeshError) return error;
    throw error;
  }
  return undefined;
};

describe("Ledger", () => {
  it("adds up each kind on its own and derives what is pending", () => {
    fc.assert(
      fc.property(additions, (list) => {
        const ledger = ledgerOf(list);
        const sum = (kind: LedgerKind): number =>
          list.reduce((total, [k, n]) => (k === kind ? total + n : total), 0);
        for (const kind of LEDGER_KINDS) expect(ledger[kind]).toBe(sum(kind));
        const settled = LEDGER_KINDS.slice(1).reduce((total, kind) => total + sum(kind), 0);
        expect(ledger.pending).toBe(sum("accepted") - settled);
      }),
    );
  });

  it("comes back equal from its bytes, which have a fixed length", () => {
    fc.assert(
      fc.property(additions, (list) => {
        const bytes = ledgerOf(list).encode();
        expect(bytes).toHaveLength(LEDGER_BYTES);
        expect(Ledger.decode(bytes).counts()).toEqual(ledgerOf(list).counts());
      }),
    );
  });

  it("merges into the ledger of both together", () => {
    fc.assert(
      fc.property(additions, additions, (a, b) => {
        const merged = ledgerOf(a);
        merged.merge(ledgerOf(b));
        expect(merged.counts()).toEqual(ledgerOf([...a, ...b]).counts());
      }),
    );
  });

  it("is balanced when as many are pending as were counted, and says every counter otherwise", () => {
    const ledger = ledgerOf([
      ["accepted", 10],
      ["acked", 4],
      ["dead", 1],
      ["expired", 1],
      ["abandoned", 1],
      ["damaged", 1],
    ]);
    expect(errorOf(() => ledger.assertBalanced(2))).toBeUndefined();
    const error = errorOf(() => ledger.assertBalanced(3));
    expect(error?.message).toBe("the loss ledger derives 2 pending messages but 3 were counted");
    expect(error?.details).toEqual({ ...ledger.counts(), pending: 2, pendingCounted: 3 });
    ledger.add("acked", 3);
    expect(errorOf(() => ledger.assertBalanced(-1))).toBeInstanceOf(MeshError);
  });

  it("does not add what is no count", () => {
    const ledger = new Ledger();
    for (const n of [-1, 0.5, Number.NaN, Infinity]) {
      expect(errorOf(() => ledger.add("acked", n))?.code).toBe("INVALID_OPTIONS");
    }
    expect(ledger.acked).toBe(0);
  });

  it("writes the bytes it always wrote", () => {
    const ledger = ledgerOf(LEDGER_KINDS.map((kind, index) => [kind, index + 1] as const));
    ledger.add("accepted", 2 ** 40);
    const words = ["0000010000000001", ...[2, 3, 4, 5, 6].map((n) => `000000000000000${n}`)];
    expect(Buffer.from(ledger.encode()).toString("hex")).toBe(`01${words.join("")}`);
  });

  it("refuses rows of another length or version, and counts beyond 2^53", () => {
    const good = ledgerOf([["accepted", 3]]).encode();
    const other = Uint8Array.from(good);
    other[0] = 2;
    const huge = Uint8Array.from(good);
    huge[1] = 0x40;
    const wrong = [new Uint8Array(), good.subarray(1), Uint8Array.of(...good, 0), other, huge];
    for (const bytes of wrong) {
      expect(errorOf(() => Ledger.decode(bytes))?.code).toBe("JOURNAL_DAMAGED");
    }
  });
});
