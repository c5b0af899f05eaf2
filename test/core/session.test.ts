import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EPOCH_MAX } from "../../src/core/position.ts";
import {
  epochToJump,
  isRejection,
  judgeRival,
  negotiate,
  type SessionIdentity,
} from "../../src/core/session.ts";

const identity = (changes: Partial<SessionIdentity> = {}): SessionIdentity => ({
  mesh: "m",
  nodeId: "here",
  epoch: 5,
  nonce: Uint8Array.of(1),
  protocolMin: 1,
  protocolMax: 3,
  shardCount: 4096,
  hashId: "xxh32",
  ...changes,
});

describe("negotiate", () => {
  const there = { nodeId: "there", nonce: Uint8Array.of(2) };
  it.each<[string, Partial<SessionIdentity>, string, string | number]>([
    ["agrees on the newest protocol of both", { protocolMax: 2 }, "here", 2],
    ["takes any target when none is named", {}, "", 3],
    ["refuses another mesh", { mesh: "other" }, "", "WRONG_MESH"],
    [
      "names another mesh before anything else",
      { mesh: "other", nodeId: "here" },
      "",
      "WRONG_MESH",
    ],
    ["knows itself", { nodeId: "here", nonce: Uint8Array.of(1) }, "", "SELF"],
    ["knows a copy of itself", { nodeId: "here" }, "", "DUPLICATE_NODE"],
    ["refuses a dial meant for another node", {}, "elsewhere", "WRONG_TARGET"],
    ["refuses a peer too new", { protocolMin: 4, protocolMax: 9 }, "", "VERSION_MISMATCH"],
    ["refuses a peer too old", { protocolMin: 0, protocolMax: 0 }, "", "VERSION_MISMATCH"],
    ["refuses a range upside down", { protocolMin: 3, protocolMax: 1 }, "", "VERSION_MISMATCH"],
    ["refuses another shard count", { shardCount: 1024 }, "", "WRONG_HASH"],
    ["refuses another hash", { hashId: "fnv" }, "", "WRONG_HASH"],
  ])("%s", (_, changes, target, verdict) => {
    const found = negotiate(identity(), identity({ ...there, ...changes }), target);
    expect(isRejection(found) ? found.code : found.protocol).toBe(verdict);
  });

  it("comes to the same protocol, or to none, on both sides", () => {
    const version = fc.integer({ min: 0, max: 5 });
    fc.assert(
      fc.property(version, version, version, version, (aMin, aMax, bMin, bMax) => {
        const a = identity({ protocolMin: aMin, protocolMax: aMax });
        const b = identity({ ...there, protocolMin: bMin, protocolMax: bMax });
        const [left, right] = [negotiate(a, b, ""), negotiate(b, a, "")];
        expect(isRejection(left)).toBe(isRejection(right));
        if (!isRejection(left)) expect(left).toEqual(right);
      }),
    );
  });
});

describe("judgeRival", () => {
  const rival = (epoch: number, nonce: number, dialled: boolean) => ({
    epoch,
    nonce: Uint8Array.of(nonce),
    dialled,
  });
  it.each([
    ["replaces the link of an earlier life", rival(5, 1, true), rival(6, 2, false), "replace"],
    ["keeps the link of the later life", rival(6, 1, true), rival(5, 2, false), "keep"],
    ["finds two lives of one epoch", rival(5, 1, true), rival(5, 2, true), "duplicate"],
    [
      "takes an older link of one dialler for dead",
      rival(5, 1, true),
      rival(5, 1, true),
      "replace",
    ],
    ["keeps what the smaller id dialled", rival(5, 1, true), rival(5, 1, false), "keep"],
    ["takes what the smaller id dialled", rival(5, 1, false), rival(5, 1, true), "replace"],
  ])("%s", (_, existing, fresh, verdict) => {
    expect(judgeRival("a", "b", existing, fresh)).toBe(verdict);
  });

  it("keeps the same one of two crossing links on both sides, in whatever order each met them", () => {
    const kept = (local: string, peer: string, links: readonly string[]): string => {
      const [existing, fresh] = links.map((dialler) => rival(5, 1, dialler === local));
      const verdict = judgeRival(local, peer, existing as never, fresh as never);
      return links[verdict === "keep" ? 0 : 1] as string;
    };
    const orders = fc.boolean().map((swap) => (a: string, b: string) => (swap ? [b, a] : [a, b]));
    fc.assert(
      fc.property(fc.string(), fc.string(), orders, orders, (a, b, atA, atB) => {
        fc.pre(a !== b);
        expect(kept(a, b, atA(a, b))).toBe(kept(b, a, atB(a, b)));
      }),
    );
  });
});

describe("epochToJump", () => {
  const nonce = Uint8Array.of(1);
  const other = Uint8Array.of(2);
  it.each<[string, number, Uint8Array, number | undefined]>([
    ["jumps above a later life", 6, other, 6],
    ["jumps above another life of the same epoch", 5, other, 5],
    ["stays in the life that is known", 5, nonce, undefined],
    ["stays when only earlier lives are known", 4, other, undefined],
    ["stays when nothing is known", 0, new Uint8Array(0), undefined],
    ["stays when the epoch is known without a nonce", 5, new Uint8Array(0), undefined],
    ["does not believe in an epoch nothing is above", EPOCH_MAX, other, undefined],
  ])("%s", (_, epoch, known, jump) => {
    expect(epochToJump({ epoch: 5, nonce }, { epoch, nonce: known })).toBe(jump);
  });
});
