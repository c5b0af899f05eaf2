import { describe, expect, it } from "vitest";
import { KnownLives } from "../../../src/runtime/link/known-lives.ts";
import type { Identity } from "../../../src/wire/handshake.ts";

const identity = (nodeId: string, epoch: number, jumped = 0): Identity =>
  ({ nodeId, epoch, nonce: Uint8Array.of(epoch & 0xff), jumped }) as Identity;

describe("the lives known of peers", () => {
  it("keep the highest epoch and its nonce", () => {
    const lives = new KnownLives(4);
    expect(lives.met(identity("a", 7))).toBe(true);
    expect(lives.met(identity("a", 7))).toBe(false);
    expect(lives.met(identity("a", 5))).toBe(false);
    expect(lives.of("a")).toMatchObject({ epoch: 7 });
    expect(lives.met(identity("a", 9))).toBe(true);
    expect(lives.of("a")).toMatchObject({ epoch: 9 });
  });

  it("tell once that a peer jumped, also when it was never met, and again when it jumps again", () => {
    const lives = new KnownLives(4);
    const meet = (it: Identity): boolean => {
      const isAstray = lives.isAstray(it);
      lives.met(it);
      return isAstray;
    };
    expect(meet(identity("a", 9, 8))).toBe(true);
    expect(meet(identity("a", 9, 8))).toBe(false);
    // Its next life says so as well.
    expect(meet(identity("a", 12, 8))).toBe(false);
    expect(meet(identity("a", 15, 14))).toBe(true);
  });

  it("tell it after a restart only when it was not told before", () => {
    const lives = new KnownLives(4);
    lives.restore("a", { epoch: 9, nonce: Uint8Array.of(9), jumped: 8 });
    lives.restore("b", { epoch: 9, nonce: Uint8Array.of(9), jumped: 0 });
    expect(lives.isAstray(identity("a", 10, 8))).toBe(false);
    expect(lives.isAstray(identity("b", 10, 8))).toBe(true);
  });

  it("are bounded: the one that changed longest ago goes first", () => {
    const lives = new KnownLives(2);
    for (const nodeId of ["a", "b", "c"]) lives.met(identity(nodeId, 1));
    expect(["a", "b", "c"].map((nodeId) => lives.of(nodeId)?.epoch)).toEqual([undefined, 1, 1]);
  });
});
