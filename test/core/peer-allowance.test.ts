import { describe, expect, it } from "vitest";
import { PeerAllowance, type PeerRates } from "../../src/core/peer-allowance.ts";

const NONE = Number.POSITIVE_INFINITY;
const allowance = (rates: Partial<PeerRates>): PeerAllowance =>
  new PeerAllowance({
    sessionsPerMinute: NONE,
    controlPerSecond: NONE,
    messagesPerSecond: NONE,
    bytesPerSecond: NONE,
    ...rates,
  });

describe("the allowance of a peer", () => {
  it("is endless where no rate is set", () => {
    const peer = allowance({});
    for (let n = 0; n < 1_000; n++) peer.session(0);
    peer.took(0, 1e9, 1e12);
    expect(peer.sessionWaitMs(0)).toBe(0);
    expect(peer.takesControl(0, 1e9)).toBe(true);
    expect(peer.debt(0)).toBeUndefined();
    expect(peer.exceeds(0, 1e9, 1e12)).toBe(false);
  });

  it("lets a fifth of a minute's sessions begin at once, then one for each interval", () => {
    const peer = allowance({ sessionsPerMinute: 60 });
    let begun = 0;
    for (let nowMs = 0; nowMs < 30_000; nowMs += 10) {
      if (peer.sessionWaitMs(nowMs) > 0) continue;
      peer.session(nowMs);
      begun++;
    }
    expect(begun).toBe(12 + 29);
  });

  it("takes control frames by their cost, those of 10 s at once", () => {
    const peer = allowance({ controlPerSecond: 100 });
    let taken = 0;
    while (peer.takesControl(0, 10)) taken++;
    expect(taken).toBe(100);
    const later = [9, 10, 109, 110].map((nowMs) => peer.takesControl(nowMs, 10));
    expect(later).toEqual([false, true, false, true]);
  });

  it("takes what is above a quota as a debt, which ends when it is paid", () => {
    const peer = allowance({ messagesPerSecond: 100, bytesPerSecond: 1_000 });
    peer.took(0, 100, 10);
    expect(peer.debt(0)).toEqual({ kind: "messages", waitMs: 10 });
    peer.took(0, 200, 10);
    expect(peer.debt(0)).toEqual({ kind: "messages", waitMs: 2_010 });
    peer.took(1_000, 0, 10_000);
    expect(peer.debt(1_000)?.kind).toBe("bytes");
    const { waitMs = 0 } = peer.debt(1_000) ?? {};
    expect([peer.debt(999 + waitMs)?.kind, peer.debt(1_000 + waitMs)]).toEqual([
      "bytes",
      undefined,
    ]);
  });

  it("takes no more than the quota in the long run of who waits when it is told", () => {
    const peer = allowance({ messagesPerSecond: 100 });
    let taken = 0;
    for (let nowMs = 0; nowMs < 60_000; nowMs++) {
      if (peer.debt(nowMs) !== undefined) continue;
      peer.took(nowMs, 7, 0);
      expect(peer.exceeds(nowMs, 7, 0)).toBe(false);
      taken += 7;
    }
    expect(taken).toBeGreaterThanOrEqual(100 * 60);
    expect(taken).toBeLessThanOrEqual(100 * 61 + 7);
  });

  it("is exceeded by who sends ten times its quota and does not wait", () => {
    const peer = allowance({ messagesPerSecond: 10_000 });
    let endedMs = -1;
    for (let nowMs = 0; nowMs < 60_000 && endedMs < 0; nowMs++) {
      if (peer.exceeds(nowMs, 100, 0)) endedMs = nowMs;
    }
    // (100,000 - 40,000) a second gather above 10 s of quota and what may be on its way.
    expect(Math.abs(endedMs - (100_000 + 131_072) / 60)).toBeLessThan(2);
  });

  it("bars for a time that doubles, up to a minute, and begins anew after a quiet one", () => {
    const peer = allowance({});
    let nowMs = 0;
    const waits: number[] = [];
    for (let n = 0; n < 8; n++) {
      waits.push(peer.bar(nowMs));
      expect(peer.sessionWaitMs(nowMs)).toBe(waits.at(-1));
      nowMs += (waits.at(-1) ?? 0) + 1_000;
      expect(peer.sessionWaitMs(nowMs)).toBe(0);
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    expect(peer.bar(nowMs + 60_000)).toBe(1_000);
  });
});
