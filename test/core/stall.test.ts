import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judgeStall, type StallVerdict } from "../../src/core/stall.ts";
import type { Pulse } from "../../src/ports/heartbeat.ts";

const limits = { leaseMs: 1_000, stalledMaxMs: 60_000, patienceMs: 1_100 };
const NEVER = Number.POSITIVE_INFINITY;

describe("a stall", () => {
  it.each<readonly [StallVerdict, Pulse | undefined, linkSilentMs: number, why: string]>([
    ["unknown", undefined, 10, "no heartbeat was ever heard"],
    ["unknown", { silentMs: 1_101, lagMs: 0 }, NEVER, "its heartbeat has fallen silent"],
    ["unknown", { silentMs: 1_101, lagMs: 5_000 }, NEVER, "it was blocked, then fell silent"],
    ["turning", { silentMs: 100, lagMs: 0 }, NEVER, "it has no link, and turns"],
    ["turning", { silentMs: 100, lagMs: 900 }, NEVER, "a lease is not over yet"],
    ["stalled", { silentMs: 100, lagMs: 901 }, 5_000, "neither heartbeat nor link saw it turn"],
    ["turning", { silentMs: 100, lagMs: 5_000 }, 200, "a frame came since"],
    ["stalled", { silentMs: 1_100, lagMs: 1 }, NEVER, "the heartbeat just counts"],
    ["unknown", { silentMs: 1_100, lagMs: 0 }, NEVER, "it turned when it was heard last"],
    ["stalled", { silentMs: 0, lagMs: 60_000 }, NEVER, "at the limit"],
    ["overdue", { silentMs: 0, lagMs: 60_001 }, NEVER, "past it"],
    ["stalled", { silentMs: 0, lagMs: 60_001 }, 50_000, "the link saw it turn later"],
  ])("is %s for %o with a link silent for %d ms: %s", (verdict, pulse, linkMs) => {
    expect(judgeStall(pulse, linkMs, limits)).toBe(verdict);
  });

  it("is never seen where the heartbeat is silent, and never in a link that is not", () => {
    const ms = fc.double({ min: 0, max: 200_000, noNaN: true });
    fc.assert(
      fc.property(ms, ms, ms, (silentMs, lagMs, linkMs) => {
        const verdict = judgeStall({ silentMs, lagMs }, linkMs, limits);
        if (silentMs > 1_100) expect(verdict).toBe("unknown");
        else if (linkMs <= 1_000) expect(verdict).toBe("turning");
      }),
    );
  });
});
