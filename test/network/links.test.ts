/** Who is linked with whom, read from what processes say of themselves. */
import { describe, expect, it } from "vitest";
import type { ChaosRecord } from "../chaos/chaos-record.ts";
import { Links, type Pair } from "./links.ts";

const AB: readonly Pair[] = [["a", "b"]];

const ready = (process: string, node: string, life = 1): ChaosRecord => {
  return { e: "ready", atMs: 0, process, node, life };
};
const peer = (process: string, peer: string, atMs: number, linked = true): ChaosRecord => {
  return { e: "peer", atMs, process, peer, linked, life: 1 };
};
const done = (e: "spawn" | "exit", process: string): ChaosRecord => {
  return { e, atMs: 0, process, life: 1 };
};

const linksAfter = (...records: ChaosRecord[]): Links => {
  const links = new Links();
  links.update(records);
  return links;
};

const BOTH = [ready("a", "n-a"), ready("b", "n-b"), peer("a", "n-b", 10), peer("b", "n-a", 30)];

describe("links", () => {
  it("are there when both sides know, since the later one does", () => {
    expect(linksAfter(...BOTH).linkedSinceMs(AB)).toBe(30);
    expect(linksAfter(...BOTH.slice(0, 3)).linkedSinceMs(AB)).toBeUndefined();
    expect(linksAfter(...BOTH.slice(0, 3)).missing(AB)).toEqual(AB);
  });

  it("are gone when one side says so, and back when it does", () => {
    const gone = [...BOTH, peer("a", "n-b", 40, false)];
    expect(linksAfter(...gone).linkedSinceMs(AB)).toBeUndefined();
    expect(linksAfter(...gone, peer("a", "n-b", 50)).linkedSinceMs(AB)).toBe(50);
  });

  it("are gone with a process that ends, or starts again", () => {
    expect(linksAfter(...BOTH, done("exit", "b")).missing(AB)).toEqual(AB);
    expect(linksAfter(...BOTH, done("spawn", "a")).missing(AB)).toEqual(AB);
  });

  it("are told apart when a process comes back as another node", () => {
    const other = [...BOTH, done("spawn", "b"), ready("b", "n-c", 2), peer("b", "n-a", 60)];
    expect(linksAfter(...other).missing(AB)).toEqual(AB);
    expect(linksAfter(...other, peer("a", "n-c", 70)).linkedSinceMs(AB)).toBe(70);
  });

  it("are read from lines that come in parts", () => {
    const links = new Links();
    const records = BOTH.slice(0, 2);
    links.update(records);
    expect(links.missing(AB)).toEqual(AB);
    links.update(BOTH);
    expect(links.missing(AB)).toEqual([]);
  });
});
