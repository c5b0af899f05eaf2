import { describe, expect, it } from "vitest";
import { PeerDeclarations } from "../../../src/runtime/link/peer-declarations.ts";
import type { DeclareFrame, SubscriptionRecord } from "../../../src/wire/declare.ts";

const declare = (change: Partial<DeclareFrame>): DeclareFrame => ({
  ...{ type: "declare", session: 1, add: [], drain: [], remove: [], complete: false, ended: [] },
  ...change,
});
const record = (index: number, pattern: string): SubscriptionRecord => ({
  ...{ index, pattern, role: "events", group: "g", durable: false, birthCreator: "" },
  ...{ birthTime: { ms: 0, counter: 0 }, definedTime: { ms: 0, counter: 0 }, filter: [] },
  ...{ distribution: "key", failoverMove: true, holdOnDead: false, start: "new", startTimeMs: 0 },
  ...{ weight: 1, versionMin: 1, versionMax: 2 },
});
const patterns = (declared: PeerDeclarations): string[] | undefined =>
  declared.all === undefined ? undefined : [...declared.all].map(({ pattern }) => pattern);

describe("PeerDeclarations", () => {
  it("knows nothing before the peer has said all of it, then follows what changes", () => {
    const declared = new PeerDeclarations();
    declared.heard(declare({ add: [record(1, "a")] }), 10);
    expect(declared.all).toBeUndefined();
    declared.heard(declare({ add: [record(2, "b")], complete: true }), 10);
    declared.heard(declare({ remove: [1], add: [record(3, "c")] }), 10);
    expect(patterns(declared)).toEqual(["b", "c"]);
    expect([...(declared.all ?? [])][0]).toEqual({
      ...{ role: "events", group: "g", pattern: "b", versionMin: 1, versionMax: 2 },
    });
  });

  it("keeps no more than the limit, and no name that is none", () => {
    const declared = new PeerDeclarations();
    const add = [record(1, "x".repeat(256)), record(2, "a"), record(3, "b"), record(4, "c")];
    declared.heard(declare({ add, complete: true }), 2);
    expect(patterns(declared)).toEqual(["a", "b"]);
    declared.heard(declare({ add: [record(2, "d"), record(5, "e")] }), 2);
    expect(patterns(declared)).toEqual(["d", "b"]);
  });
});
