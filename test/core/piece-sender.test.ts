import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PieceAssembler } from "../../src/core/piece-assembler.ts";
import { type Cut, type Lane, PieceSender, type PieceSizes } from "../../src/core/piece-sender.ts";

const SIZES: PieceSizes = {
  wholeBytesMax: 20,
  pieceBytes: 8,
  windowBytesMin: 16,
  windowBytesMax: 64,
};
const LANES: readonly Lane[] = ["bulk", "express"];

const frame = (bytes: number, value = 1): Uint8Array => new Uint8Array(bytes).fill(value);
const joined = ({ parts }: Cut): Uint8Array => Buffer.concat(parts);
const sizes = (cuts: readonly Cut[]): string[] =>
  cuts.map(({ lane, piece, parts }) => {
    const bytes = parts.reduce((sum, { length }) => sum + length, 0);
    return `${lane} ${piece === undefined ? "whole" : `${piece.offset}/${piece.total}`} ${bytes}`;
  });

/** Everything that may go now. */
const all = (sender: PieceSender): Cut[] => {
  const cuts: Cut[] = [];
  for (let cut = sender.next(0); cut !== undefined; cut = sender.next(0)) cuts.push(cut);
  return cuts;
};

describe("PieceSender", () => {
  it("cuts a large frame, and waits when its window is full", () => {
    const sender = new PieceSender(SIZES);
    sender.push("bulk", [frame(50)]);
    expect(sizes(all(sender))).toEqual([
      "bulk 0/50 8",
      "bulk 8/50 8",
      "bulk 16/50 8",
      "bulk 24/50 8",
    ]);
    expect([sender.underWay, sender.waiting("bulk")]).toEqual([32, 18]);
    expect(sender.taken(16, 1)).toBe(true);
    expect(sizes(all(sender))).toEqual(["bulk 32/50 8", "bulk 40/50 8", "bulk 48/50 2"]);
    expect(sender.waiting("bulk")).toBe(0);
  });

  it("cuts across the parts that make up a frame, without a copy", () => {
    const sender = new PieceSender(SIZES);
    const body = frame(25, 2);
    sender.push("bulk", [frame(3), body]);
    const [first, second] = all(sender);
    expect(first?.parts.map(({ length }) => length)).toEqual([3, 5]);
    expect(second?.parts.map(({ buffer }) => buffer)).toEqual([body.buffer]);
  });

  it("lets the lanes take turns", () => {
    const sender = new PieceSender(SIZES);
    sender.push("bulk", [frame(24)]);
    sender.push("express", [frame(24)]);
    const lanes = all(sender).map(({ lane }) => lane);
    expect(lanes).toEqual(["express", "bulk", "express", "bulk"]);
  });

  it("lets a small frame wait for the large one before it, and then go whole", () => {
    const sender = new PieceSender(SIZES);
    expect(sender.passes("bulk", 10)).toBe(true);
    expect(sender.passes("bulk", 21)).toBe(false);
    sender.push("bulk", [frame(24)]);
    expect([sender.passes("bulk", 10), sender.passes("express", 10)]).toEqual([false, true]);
    sender.push("bulk", [frame(10)]);
    expect(sizes(all(sender))).toEqual([
      "bulk 0/24 8",
      "bulk 8/24 8",
      "bulk 16/24 8",
      "bulk whole 10",
    ]);
    expect(sender.passes("bulk", 10)).toBe(true);
  });

  it("always lets one piece go when none is on its way", () => {
    const sender = new PieceSender({ ...SIZES, windowBytesMin: 1, windowBytesMax: 1 });
    sender.push("bulk", [frame(24)]);
    expect(sizes(all(sender))).toEqual(["bulk 0/24 8"]);
  });

  it("gives what is left without regard to the window when the session ends", () => {
    const sender = new PieceSender(SIZES);
    sender.push("bulk", [frame(80)]);
    all(sender);
    let left = 0;
    while (sender.rest(0) !== undefined) left++;
    expect(left).toBe(6);
  });

  it("does not believe that more was taken than was sent, or less than before", () => {
    const sender = new PieceSender(SIZES);
    sender.push("bulk", [frame(50)]);
    all(sender);
    expect(sender.taken(33, 1)).toBe(false);
    expect(sender.taken(16, 1)).toBe(true);
    expect(sender.taken(8, 1)).toBe(false);
    expect(sender.takenBytes).toBe(16);
  });

  it("tells once of a frame that went in pieces, when the last of it was taken", () => {
    const over: number[] = [];
    const sender = new PieceSender(SIZES, (parts) => over.push(parts.length));
    sender.push("bulk", [frame(3), frame(21)]);
    sender.push("bulk", [frame(10)]);
    all(sender);
    sender.taken(23, 1);
    expect(over).toEqual([]);
    sender.taken(24, 1);
    sender.taken(24, 1);
    expect(over).toEqual([2]);
  });

  it("brings every frame over as it was, in order of its lane, whatever is pushed and taken when", () => {
    const push = fc.record({
      lane: fc.constantFrom(...LANES),
      parts: fc.array(fc.nat(40), { minLength: 1, maxLength: 3 }),
    });
    const act = fc.oneof(push, fc.constant("send" as const), fc.constant("take" as const));
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
        const sender = new PieceSender(SIZES);
        const assembler = new PieceAssembler(1_000, (bytes) => new Uint8Array(bytes));
        const pushed: Record<Lane, string[]> = { bulk: [], express: [] };
        const came: Record<Lane, string[]> = { bulk: [], express: [] };
        let nowMs = 0;
        let value = 0;
        const receive = (cut: Cut): void => {
          expect(sender.underWay).toBeLessThanOrEqual(SIZES.windowBytesMax);
          const data = joined(cut);
          const { lane, piece } = cut;
          const whole = piece === undefined ? data : assembler.take({ lane, ...piece, data });
          if (whole === undefined) return;
          expect(whole).toBeInstanceOf(Uint8Array);
          came[lane].push(Buffer.from(whole as Uint8Array).toString("hex"));
        };
        for (const what of acts) {
          nowMs++;
          if (what === "send") {
            const cut = sender.next(nowMs);
            if (cut !== undefined) receive(cut);
          } else if (what === "take") expect(sender.taken(assembler.taken, nowMs)).toBe(true);
          else {
            const parts = what.parts.map((bytes) => frame(bytes, ++value % 256));
            if (parts.every(({ length }) => length === 0)) continue;
            sender.push(what.lane, parts);
            pushed[what.lane].push(Buffer.concat(parts).toString("hex"));
          }
        }
        for (let count = 0; count < 1_000; count++) {
          const cut = sender.next(nowMs);
          if (cut !== undefined) receive(cut);
          else if (sender.underWay > 0) sender.taken(assembler.taken, nowMs);
          else break;
        }
        expect(came).toEqual(pushed);
        expect([sender.waiting("bulk"), sender.waiting("express"), assembler.isHalf]).toEqual([
          0,
          0,
          false,
        ]);
      }),
    );
  });
});
