import { describe, expect, it } from "vitest";
import {
  doubt,
  foundAt,
  isHopeless,
  linkedAt,
  newTarget,
  nextBackoffMs,
  placesToDial,
  toldAt,
} from "../../../src/runtime/link/dial-target.ts";

const random = { fraction: () => 1, bytes: (count: number) => new Uint8Array(count) };
const HERE = "tcp://10.0.0.1:1";
const THERE = "tcp://10.0.0.2:1";

describe("a target that a discovery found", () => {
  const tried = (target: ReturnType<typeof newTarget>): string[] => [...placesToDial(target)];

  it("is tried where nobody else answered first, and everywhere now and then", () => {
    const target = newTarget("n", "n", [HERE, THERE]);
    expect(doubt(target, HERE, "TIMEOUT")).toBe(false);
    expect(doubt(target, HERE, "WRONG_TARGET")).toBe(true);
    const places: string[][] = [];
    for (let n = 0; n < 13; n++) {
      places.push(tried(target));
      nextBackoffMs(target, random);
    }
    const both = [HERE, THERE];
    expect(places).toEqual([both, ...new Array(11).fill([THERE]), both]);
    linkedAt(target, "n", [THERE]);
    expect(tried(target)).toEqual(both);
  });

  it("is tried once a minute where only somebody else answers, until there is news of it", () => {
    const target = newTarget("n", "n", [HERE]);
    doubt(target, HERE, "SELF");
    let ms = 0;
    for (let n = 0; n < 12; n++) ms += nextBackoffMs(target, random);
    expect(ms).toBeLessThan(40_000);
    expect([nextBackoffMs(target, random), tried(target)]).toEqual([60_000, [HERE]]);
    expect(foundAt(target, [HERE])).toBe(false);
    expect(nextBackoffMs(target, random)).toBe(60_000);
    foundAt(target, [HERE, THERE]);
    expect(nextBackoffMs(target, random)).toBeLessThan(100);
    expect(tried(target)).toEqual([HERE, THERE]);
  });

  it("never is put aside for its address alone: that is the operator's word", () => {
    const target = newTarget(HERE, "", [HERE]);
    for (let n = 0; n < 20; n++) nextBackoffMs(target, random);
    expect(doubt(target, HERE, "WRONG_MESH")).toBe(false);
    expect(nextBackoffMs(target, random)).toBe(5_000);
  });
});

describe("a target that is hearsay", () => {
  it("goes to the next address after one that failed, and round again", () => {
    const target = newTarget("n", "n", [HERE, THERE], "told");
    doubt(target, HERE, "TIMEOUT");
    expect(target.learned).toEqual([THERE]);
    doubt(target, THERE, "TIMEOUT");
    expect(target.learned).toEqual([HERE, THERE]);
  });

  it("never goes back to an address where somebody else is, and ends without one", () => {
    const target = newTarget("n", "n", [HERE, THERE], "known");
    doubt(target, HERE, "WRONG_TARGET");
    doubt(target, THERE, "TIMEOUT");
    expect(target.learned).toEqual([THERE]);
    expect(isHopeless(target)).toBe(false);
    doubt(target, THERE, "SELF");
    expect(isHopeless(target)).toBe(true);
  });

  it("is given up soon when it never was linked, late when it was", () => {
    const tries = (target: ReturnType<typeof newTarget>): { count: number; ms: number } => {
      let ms = 0;
      let count = 0;
      for (; !isHopeless(target); count++) ms += nextBackoffMs(target, random);
      return { count, ms };
    };
    const told = tries(newTarget("n", "n", [HERE], "told"));
    expect(told.count).toBe(12);
    expect(told.ms).toBeLessThan(40_000);
    const target = newTarget("n", "n", [HERE], "told");
    linkedAt(target, "n", [HERE]);
    const known = tries(target);
    expect(known.ms / 3_600_000).toBeGreaterThan(24);
    expect(known.ms / 3_600_000).toBeLessThan(36);
  });

  it("is dialled soon again when somebody says that it is there, however seldom it was tried", () => {
    const target = newTarget("n", "n", [HERE], "known");
    for (let n = 0; n < 20; n++) nextBackoffMs(target, random);
    expect(nextBackoffMs(target, random)).toBe(60_000);
    expect(toldAt(target, [HERE])).toBe(true);
    expect(nextBackoffMs(target, random)).toBeLessThan(1_000);
    expect(toldAt(target, [THERE])).toBe(false); // the next try is soon enough
    expect(target.learned).toEqual([THERE, HERE]);
  });

  it("is what a discovery says from when one finds it, and no hearsay changes that", () => {
    const target = newTarget("n", "n", [HERE], "told");
    expect(foundAt(target, [THERE])).toBe(true);
    expect(toldAt(target, [HERE])).toBe(false);
    expect([target.addresses, target.learned]).toEqual([[THERE], []]);
    doubt(target, THERE, "WRONG_TARGET");
    expect(target.addresses).toEqual([THERE]);
    expect(foundAt(target, [THERE])).toBe(false);
  });

  it("has a bounded number of addresses", () => {
    const target = newTarget("n", "n", [HERE], "told");
    for (let n = 0; n < 100; n++) toldAt(target, [`tcp://10.0.1.${n}:1`]);
    expect(target.said).toHaveLength(8);
    expect(target.learned).toHaveLength(8);
  });
});
