import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EPOCH_MAX } from "../../src/core/position.ts";
import {
  epochToJump,
  isRejection,
  judgeProbe,
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
    ["asks after an earlier start", rival(5, 1, true), rival(6, 2, false), "probe"],
    ["asks after a later start", rival(6, 1, true), rival(5, 2, false), "probe"],
    ["asks after another start of one epoch", rival(5, 1, true), rival(5, 2, true), "probe"],
    [
      "replaces the link of a start that jumped since",
      rival(5, 1, true),
      rival(6, 1, true),
      "replace",
    ],
    ["keeps the link of a start that jumped since", rival(6, 1, true), rival(5, 1, true), "keep"],
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

describe("judgeProbe", () => {
  const asked = { heartbeat: 7, sinceMs: 1_000 };
  it.each([
    ["finds it alive when it answered a later heartbeat", 7, 0, 1_010, "alive"],
    ["waits when it answered an earlier one only", 6, 0, 9_000, "open"],
    ["finds it dead when nothing was heard for long enough", 6, 500, 1_500, "dead"],
    ["waits for its silence to last", 6, 499, 1_500, "open"],
    ["counts no silence from before the question", 6, 5_000, 1_499, "open"],
  ])("%s", (_, answered, silentMs, nowMs, verdict) => {
    expect(judgeProbe(asked, { answered, silentMs, isStalled: false }, nowMs, 500)).toBe(verdict);
  });

  it("waits for one whose event loop is blocked", () => {
    const heard = { answered: 6, silentMs: 9_000, isStalled: true };
    expect(judgeProbe(asked, heard, 10_000, 500)).toBe("open");
  });
});

describe("epochToJump", () => {
  const nonce = Uint8Array.of(1);
  const other = Uint8Array.of(2);
  it.each<[string, number, Uint8Array, number | undefined]>([
    ["jumps above a later life", 6, other, 6],
    ["jumps above another life of the same epoch", 5, other, 5],
    ["stays in the life that is known", 5, nonce, undefined],
    ["stays when an earlier life of its own is known", 4, Uint8Array.of(4), undefined],
    ["jumps when an earlier life is known that is not its own", 4, other, 4],
    ["takes what is older than all it remembers for its own", 2, other, undefined],
    ["stays when nothing is known", 0, new Uint8Array(0), undefined],
    ["stays when the epoch is known without a nonce", 5, new Uint8Array(0), undefined],
    ["does not believe in an epoch nothing is above", EPOCH_MAX, other, undefined],
  ])("%s", (_, epoch, known, jump) => {
    const earlier = [3, 4].map((start) => ({ epoch: start, nonce: Uint8Array.of(start) }));
    const local = { epoch: 5, nonce, jumped: 0, earlier };
    expect(epochToJump(local, { epoch, nonce: known })).toBe(jump);
  });

  it("stays when it has jumped above that life already: the peer hears of it", () => {
    const earlier = [{ epoch: 3, nonce: Uint8Array.of(3) }];
    const known = { epoch: 7, nonce: other };
    expect(epochToJump({ epoch: 9, nonce, jumped: 7, earlier }, known)).toBeUndefined();
    expect(epochToJump({ epoch: 9, nonce, jumped: 6, earlier }, known)).toBe(7);
  });
});
