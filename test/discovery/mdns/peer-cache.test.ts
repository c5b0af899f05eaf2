import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PeerCache } from "../../../src/discovery/mdns/peer-cache.ts";
import type { PeerRecord } from "../../../src/discovery/mdns/peer-records.ts";

const record = (nodeId: string, changes: Partial<PeerRecord> = {}): PeerRecord => ({
  nodeId,
  mesh: "shop",
  epoch: 5,
  addresses: ["zmq://h:1"],
  ttlMs: 10_000,
  ...changes,
});
const from = (source: string, local = false) => ({ source, via: "10.0.0.1", local });

describe("peer cache", () => {
  it("tells news from repeats", () => {
    const cache = new PeerCache();
    expect(cache.learn(record("a"), from("x"), 0, 0)).toBe("new");
    expect(cache.learn(record("a"), from("x"), 1, 0)).toBe("refreshed");
    expect(cache.learn(record("a", { epoch: 6 }), from("x"), 2, 0)).toBe("changed");
    expect(cache.learn(record("a", { addresses: ["zmq://h:2"] }), from("x"), 3, 0)).toBe("changed");
  });

  it("loses a node exactly when its TTL has run out", () => {
    const cache = new PeerCache();
    cache.learn(record("a"), from("x"), 100, 0);
    expect(cache.expire(10_099)).toEqual([]);
    expect(cache.expire(10_100)).toEqual(["a"]);
    expect(cache.expire(99_999)).toEqual([]);
    expect(cache.nextDueMs()).toBe(Number.POSITIVE_INFINITY);
  });

  it("is due for refresh at 80, 85, 90 and 95 % of the TTL, moved by at most 2 %", () => {
    const cache = new PeerCache();
    cache.learn(record("a"), from("x"), 0, 0);
    const dues: number[] = [];
    while (cache.nextDueMs() < 10_000) {
      dues.push(cache.nextDueMs());
      expect([...cache.takeRefreshes(cache.nextDueMs())]).toEqual(["10.0.0.1"]);
    }
    expect(dues).toEqual([8_000, 8_500, 9_000, 9_500]);
    cache.learn(record("a"), from("x"), 0, 1);
    expect(cache.nextDueMs()).toBe(8_200);
  });

  it("does not lose a node that another source still speaks for", () => {
    const cache = new PeerCache();
    cache.learn(record("a"), from("x"), 0, 0);
    cache.learn(record("a"), from("y"), 5_000, 0);
    expect(cache.goodbye({ nodeId: "a" }, "x")).toBe(false);
    expect(cache.expire(14_999)).toEqual([]);
    expect(cache.expire(15_000)).toEqual(["a"]);
  });

  it("ignores a goodbye from a source that never spoke for the node, and of an earlier life", () => {
    const cache = new PeerCache();
    cache.learn(record("a"), from("x"), 0, 0);
    expect(cache.goodbye({ nodeId: "a", epoch: 5 }, "forger")).toBe(false);
    expect(cache.goodbye({ nodeId: "a", epoch: 4 }, "x")).toBe(false);
    expect(cache.nodeCount).toBe(1);
    expect(cache.goodbye({ nodeId: "a", epoch: 5 }, "x")).toBe(true);
    expect(cache.nodeCount).toBe(0);
  });

  it("takes 16 nodes of a remote source, any number of this host, and 1,024 in all", () => {
    const cache = new PeerCache();
    for (let n = 0; n < 16; n += 1) cache.learn(record(`r${n}`), from("remote"), 0, 0);
    expect(cache.learn(record("r16"), from("remote"), 0, 0)).toBe("full");
    expect(cache.learn(record("r3"), from("remote"), 1, 0)).toBe("refreshed");
    for (let n = 0; n < 1_008; n += 1) {
      expect(cache.learn(record(`l${n}`), from("127.0.0.1", true), 0, 0)).toBe("new");
    }
    expect(cache.learn(record("l1008"), from("127.0.0.1", true), 0, 0)).toBe("full");
    expect(cache.entryCount).toBe(1_024);
    cache.goodbye({ nodeId: "r0" }, "remote");
    expect(cache.learn(record("r16"), from("remote"), 0, 0)).toBe("new");
  });

  it("caps a TTL at an hour", () => {
    const cache = new PeerCache();
    cache.learn(record("a", { ttlMs: 4_294_967_295_000 }), from("x"), 0, 0);
    expect(cache.expire(3_600_000)).toEqual(["a"]);
  });

  it("lists as known only what has more than half of its TTL left, on that interface", () => {
    const cache = new PeerCache();
    cache.learn(record("a"), from("x"), 0, 0);
    cache.learn(record("b"), from("x"), 4_000, 0);
    cache.learn(record("c"), { source: "z", via: "10.0.0.2", local: false }, 4_000, 0);
    expect(cache.known("10.0.0.1", 5_000)).toEqual([{ nodeId: "b", remainingMs: 9_000 }]);
  });

  it("agrees with a plain list of statements under any sequence", () => {
    const step = fc.record({
      node: fc.constantFrom("a", "b", "c"),
      source: fc.constantFrom("x", "y"),
      what: fc.constantFrom("learn", "goodbye", "wait"),
      waitMs: fc.nat(6_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const cache = new PeerCache();
        let model: { node: string; source: string; endMs: number }[] = [];
        let nowMs = 0;
        for (const { node, source, what, waitMs } of steps) {
          const nodesBefore = new Set(model.map((each) => each.node));
          const others = model.filter((each) => each.node !== node || each.source !== source);
          if (what === "learn") {
            cache.learn(record(node), from(source), nowMs, 0.5);
            model = [...others, { node, source, endMs: nowMs + 10_000 }];
          } else if (what === "goodbye") {
            const gone = others.length < model.length && !others.some((each) => each.node === node);
            expect(cache.goodbye({ nodeId: node }, source)).toBe(gone);
            model = others;
          } else {
            nowMs += waitMs;
            const now = nowMs;
            model = model.filter((each) => each.endMs > now);
            const left = new Set(model.map((each) => each.node));
            const lost = [...nodesBefore].filter((each) => !left.has(each));
            expect(cache.expire(nowMs).sort()).toEqual(lost.sort());
          }
          expect(cache.entryCount).toBe(model.length);
          expect(cache.nodeCount).toBe(new Set(model.map((each) => each.node)).size);
        }
      }),
    );
  });
});
