import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Inbox, type InboxLimits } from "../../src/core/inbox.ts";
import { comparePositions, type Position } from "../../src/core/position.ts";
import { MeshError } from "../../src/errors.ts";

const ROOMY: InboxLimits = { rangesMax: 1_000, epochsMax: 100 };

type Step =
  | { readonly kind: "mark"; readonly epoch: number; readonly seq: number; readonly skip: number }
  | { readonly kind: "floor"; readonly epoch: number; readonly seq: number };

const epochs = fc.integer({ min: 1, max: 5 });
const seqs = fc.integer({ min: 1, max: 30 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant("mark" as const),
        epoch: epochs,
        seq: seqs,
        skip: fc.oneof(fc.constant(0), fc.nat(4)),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("floor" as const), epoch: epochs, seq: seqs }),
    },
  ),
  { maxLength: 60 },
);

/** Every position on its own, and the highest floor. */
class PlainInbox {
  readonly #marked = new Set<string>();
  #floor: Position = { epoch: 0, seq: 0 };

  mark(epoch: number, from: number, to: number): void {
    for (let seq = from; seq <= to; seq++) this.#marked.add(`${epoch}:${seq}`);
  }

  heardFloor(position: Position): void {
    if (comparePositions(position, this.#floor) > 0) this.#floor = position;
  }

  isSettled(epoch: number, seq: number): boolean {
    const low = comparePositions({ epoch, seq }, this.#floor) <= 0;
    return low || this.#marked.has(`${epoch}:${seq}`);
  }

  /** Runs of marks above the floor, over all epochs. */
  rangesCount(): number {
    let count = 0;
    for (let epoch = 1; epoch <= 5; epoch++) {
      let open = false;
      for (let seq = 0; seq <= 31; seq++) {
        const above = comparePositions({ epoch, seq }, this.#floor) > 0;
        const held = above && this.#marked.has(`${epoch}:${seq}`);
        if (held && !open) count++;
        open = held;
      }
    }
    return count;
  }
}

const apply = (step: Step, inbox: Inbox, plain: PlainInbox): void => {
  if (step.kind === "floor") {
    inbox.heardFloor(step);
    plain.heardFloor(step);
    return;
  }
  const from = Math.max(0, step.seq - step.skip);
  inbox.mark(step.epoch, from, step.seq);
  plain.mark(step.epoch, from, step.seq);
};

const expectSame = (inbox: Inbox, plain: PlainInbox): void => {
  for (let epoch = 0; epoch <= 6; epoch++) {
    for (let seq = 0; seq <= 31; seq++) {
      if (inbox.isSettled(epoch, seq) !== plain.isSettled(epoch, seq)) {
        expect.fail(`${epoch}:${seq} is settled: ${inbox.isSettled(epoch, seq)}`);
      }
    }
  }
  expect(inbox.rangesCount).toBe(plain.rangesCount());
};

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof MeshError) return error.code;
    throw error;
  }
  return "none";
};

describe("Inbox", () => {
  it("knows exactly the positions that were marked or lie at or below the highest floor", () => {
    fc.assert(
      fc.property(steps, (script) => {
        const inbox = new Inbox(ROOMY);
        const plain = new PlainInbox();
        for (const step of script) apply(step, inbox, plain);
        expectSame(inbox, plain);
      }),
      { numRuns: 300 },
    );
  });

  it("comes back equal from its bytes at any point, and goes on equal", () => {
    fc.assert(
      fc.property(steps, steps, (before, after) => {
        const inbox = new Inbox(ROOMY);
        const plain = new PlainInbox();
        for (const step of before) apply(step, inbox, plain);
        const restored = Inbox.decode(inbox.encode(), ROOMY);
        expect(restored.floor).toEqual(inbox.floor);
        expect(restored.epochsCount).toBe(inbox.epochsCount);
        expect(restored.encode()).toEqual(inbox.encode());
        for (const step of after) apply(step, restored, plain);
        expectSame(restored, plain);
      }),
    );
  });

  it("never takes back that a position is settled", () => {
    fc.assert(
      fc.property(steps, (script) => {
        const inbox = new Inbox(ROOMY);
        const plain = new PlainInbox();
        const settled = new Set<string>();
        for (const step of script) {
          apply(step, inbox, plain);
          if (step.kind === "mark") settled.add(`${step.epoch}:${step.seq}`);
          for (const text of settled) {
            const [epoch, seq] = text.split(":").map(Number) as [number, number];
            expect(inbox.isSettled(epoch, seq)).toBe(true);
          }
        }
      }),
    );
  });

  it("ignores a floor that arrives late", () => {
    const inbox = new Inbox(ROOMY);
    expect(inbox.heardFloor({ epoch: 5, seq: 10 })).toBe(true);
    expect(inbox.heardFloor({ epoch: 5, seq: 9 })).toBe(false);
    expect(inbox.heardFloor({ epoch: 4, seq: 99 })).toBe(false);
    expect(inbox.heardFloor({ epoch: 5, seq: 10 })).toBe(false);
    expect(inbox.floor).toEqual({ epoch: 5, seq: 10 });
  });

  it("keeps one range for in-order traffic with positions skipped", () => {
    const inbox = new Inbox({ rangesMax: 1, epochsMax: 1 });
    let seq = 0;
    for (let n = 0; n < 1_000; n++) {
      const skip = n % 4;
      seq += skip + 1;
      expect(inbox.mark(7, seq - skip, seq)).toBe("marked");
    }
    expect(inbox.rangesCount).toBe(1);
    expect(inbox.mark(7, seq, seq)).toBe("known");
  });

  it("marks from 0 when a producer claims to have skipped more than there was", () => {
    const inbox = new Inbox(ROOMY);
    expect(inbox.mark(3, 5 - 2 ** 40, 5)).toBe("marked");
    expect([inbox.isSettled(3, 0), inbox.isSettled(3, 5), inbox.isSettled(3, 6)]).toEqual([
      true,
      true,
      false,
    ]);
    expect(codeOf(() => inbox.mark(4, 2, 1))).toBe("INVALID_OPTIONS");
  });

  it("drops earlier epochs when the floor enters a later one", () => {
    const inbox = new Inbox(ROOMY);
    inbox.mark(3, 5, 5);
    inbox.mark(4, 2, 2);
    inbox.mark(5, 8, 8);
    inbox.heardFloor({ epoch: 5, seq: 0 });
    expect([inbox.epochsCount, inbox.rangesCount]).toEqual([1, 1]);
    expect(inbox.isSettled(3, 77)).toBe(true);
    expect(inbox.isSettled(5, 7)).toBe(false);
  });

  it("refuses a mark beyond rangesMax, forgets nothing, and takes marks again when the floor moved", () => {
    const inbox = new Inbox({ rangesMax: 3, epochsMax: 9 });
    for (const seq of [2, 4, 6]) expect(inbox.mark(1, seq, seq)).toBe("marked");
    expect(inbox.hasRoom(1, 0)).toBe(false);
    expect(inbox.mark(1, 8, 8)).toBe("full");
    expect(inbox.mark(2, 1, 1)).toBe("full");
    expect(inbox.isSettled(1, 8)).toBe(false);
    expect(inbox.mark(1, 7, 7)).toBe("marked"); // adjoins 6
    expect(inbox.mark(1, 1, 1)).toBe("marked"); // adjoins 2
    for (const seq of [1, 2, 4, 6, 7]) expect(inbox.isSettled(1, seq)).toBe(true);
    inbox.heardFloor({ epoch: 1, seq: 4 });
    expect(inbox.hasRoom(1, 1)).toBe(true);
    expect(inbox.hasRoom(1, 2)).toBe(false);
    expect(inbox.mark(1, 9, 9)).toBe("marked");
  });

  it("refuses marks of more than epochsMax epochs", () => {
    const inbox = new Inbox({ rangesMax: 100, epochsMax: 2 });
    inbox.mark(1, 1, 1);
    inbox.mark(2, 1, 1);
    expect(inbox.hasRoom(2, 0)).toBe(true);
    expect(inbox.hasRoom(3, 0)).toBe(false);
    expect(inbox.mark(3, 1, 1)).toBe("full");
    expect(inbox.mark(2, 5, 5)).toBe("marked");
    inbox.heardFloor({ epoch: 1, seq: 1 });
    expect(inbox.mark(3, 1, 1)).toBe("marked");
  });

  it("can mark whatever it had room for, in any order of ending", () => {
    const limits = { rangesMax: 6, epochsMax: 3 };
    const arrivals = fc.array(fc.record({ epoch: epochs, seq: seqs, ends: fc.nat(9) }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(arrivals, (script) => {
        const inbox = new Inbox(limits);
        const running: { epoch: number; seq: number }[] = [];
        for (const { epoch, seq, ends } of script) {
          if (inbox.hasRoom(epoch, running.length)) running.push({ epoch, seq });
          if (ends === 9) inbox.heardFloor({ epoch, seq });
          if (ends < 5 && running.length > 0) {
            const [ended] = running.splice(ends % running.length, 1);
            if (ended === undefined) continue;
            expect(inbox.mark(ended.epoch, ended.seq, ended.seq)).not.toBe("full");
          }
          expect(inbox.rangesCount).toBeLessThanOrEqual(limits.rangesMax);
          expect(inbox.epochsCount).toBeLessThanOrEqual(limits.epochsMax);
        }
        for (const { epoch, seq } of running) expect(inbox.mark(epoch, seq, seq)).not.toBe("full");
      }),
      { numRuns: 1_000 },
    );
  });

  it("writes the bytes it always wrote", () => {
    const inbox = new Inbox(ROOMY);
    expect(hex(inbox.encode())).toBe("01" + "00000000" + "0000000000000000" + "00000000");
    inbox.heardFloor({ epoch: 0x65000001, seq: 2 ** 40 });
    inbox.mark(0x65000002, 1, 3);
    inbox.mark(0x65000001, 2 ** 40 + 2, 2 ** 40 + 2);
    inbox.mark(0x65000002, 9, 9);
    expect(hex(inbox.encode())).toBe(
      "01" + // version
        "65000001" + // floor epoch
        "0000010000000000" + // floor seq
        "00000002" + // epochs
        "65000001" + // the earlier one
        "00000008" +
        "01" + // one range, 2^40 + 2, length 1
        "828080808020" +
        "00" +
        "65000002" + // the later one
        "00000005" +
        "0201020400", // 1..3 and 9
    );
  });

  it("refuses damaged rows, and reads a row that is larger than the limits", () => {
    const inbox = new Inbox(ROOMY);
    inbox.heardFloor({ epoch: 2, seq: 5 });
    for (const seq of [7, 9, 11]) inbox.mark(2, seq, seq);
    inbox.mark(3, 1, 1);
    const good = inbox.encode();
    const tight = Inbox.decode(good, { rangesMax: 2, epochsMax: 1 });
    expect(tight.isSettled(2, 9)).toBe(true);
    expect(tight.mark(2, 20, 20)).toBe("full");

    for (let length = 0; length < good.length; length++) {
      const cut = good.subarray(0, length);
      expect(
        codeOf(() => Inbox.decode(cut, ROOMY)),
        `cut at ${length}`,
      ).toBe("JOURNAL_DAMAGED");
    }
    const longer = Uint8Array.of(...good, 0);
    expect(codeOf(() => Inbox.decode(longer, ROOMY))).toBe("JOURNAL_DAMAGED");
    const lowMark = Uint8Array.from(good);
    lowMark[12] = 7; // the floor now covers the first mark
    expect(codeOf(() => Inbox.decode(lowMark, ROOMY))).toBe("JOURNAL_DAMAGED");
    const any = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(any, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Uint8Array.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        const outcome = codeOf(() => expect(Inbox.decode(bytes, ROOMY).encode()).toEqual(bytes));
        expect(["none", "JOURNAL_DAMAGED"]).toContain(outcome);
      }),
      { numRuns: 2_000 },
    );
  });
});
