import { describe, expect, it } from "vitest";
import { PENDING_ALL_MAX, PENDING_MAX, PendingPeers } from "../../src/core/pending-peers.ts";

describe("peers that have not said who they are", () => {
  it("of one address the oldest goes at the limit, and nobody else's", () => {
    const cut: string[] = [];
    const pending = new PendingPeers<string, string>((name) => void cut.push(name));
    pending.add("other", "b", "other");
    for (let n = 0; n < PENDING_MAX; n++) expect(pending.add(`a${n}`, "a", `a${n}`)).toBe(false);
    expect(pending.add("late", "a", "late")).toBe(true);
    expect(cut).toEqual(["a0"]);
    expect(pending.size).toBe(PENDING_MAX + 1);
  });

  it("of all addresses the oldest goes at the limit", () => {
    const cut: string[] = [];
    const pending = new PendingPeers<string, string>((name) => void cut.push(name));
    for (let n = 0; n <= PENDING_ALL_MAX; n++) pending.add(`p${n}`, `address ${n}`, `p${n}`);
    expect(cut).toEqual(["p0"]);
    expect(pending.size).toBe(PENDING_ALL_MAX);
  });

  it("those that are done make room, once", () => {
    const pending = new PendingPeers<string, string>(() => expect.unreachable());
    for (let n = 0; n < 3 * PENDING_MAX; n++) {
      pending.add("x", "a", "x");
      pending.done("x");
      pending.done("x");
    }
    expect(pending.size).toBe(0);
  });
});
