import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Lease } from "../../src/core/lease.ts";
import { MemberView } from "../../src/core/member-view.ts";

const LEASE_MS = 1_000;

describe("Lease", () => {
  it("is not valid before any heartbeat was answered", () => {
    expect(new Lease(LEASE_MS).isValid(0)).toBe(false);
  });

  it("counts from when the answered heartbeat was sent, not from when its answer came", () => {
    const lease = new Lease(LEASE_MS);
    lease.answered(500); // heard at 1,400, say
    expect([lease.isValid(1_500), lease.isValid(1_501)]).toEqual([true, false]);
  });

  it("is never shortened, in whatever order answers come", () => {
    const sent = fc.array(fc.nat(10_000), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(sent, fc.nat(12_000), (times, nowMs) => {
        const lease = new Lease(LEASE_MS);
        for (const sentMs of times) lease.answered(sentMs);
        expect(lease.isValid(nowMs)).toBe(nowMs - Math.max(...times) <= LEASE_MS);
      }),
    );
  });

  // Real time t shows as `origin + rate * t` on a clock. Each heartbeat reaches the other member `there` later, and its
  // answer the holder `back` after that, unless it is lost.
  const clock = fc.record({
    origin: fc.integer({ min: -1e6, max: 1e6 }),
    rate: fc.constantFrom(0.955, 0.98, 1, 1.045),
  });
  const beat = fc.record({
    gap: fc.integer({ min: 1, max: 2_000 }),
    there: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3_000 })),
    back: fc.option(fc.integer({ min: 0, max: 3_000 })),
  });

  it("has run out before another counts its holder as dead, whatever the delays and the clocks", () => {
    fc.assert(
      fc.property(
        clock,
        clock,
        fc.array(beat, { minLength: 1, maxLength: 12 }),
        (own, other, beats) => {
          const lease = new Lease(LEASE_MS);
          const at = (c: { origin: number; rate: number }, t: number): number =>
            c.origin + c.rate * t;
          const view = new MemberView({ leaseMs: LEASE_MS, debounceMs: 250 }, at(other, 0));
          view.joined("holder", 1, 1, at(other, 0));
          let sent = 0;
          let lastHeard = 0;
          for (const { gap, there, back } of beats) {
            sent += gap;
            lastHeard = Math.max(lastHeard, sent + there);
            if (back !== null) lease.answered(at(own, sent));
          }
          view.lost("holder", at(other, lastHeard));
          view.died("holder");
          for (let t = lastHeard; t < lastHeard + 2 * LEASE_MS; t += 10) {
            if (view.stateOf("holder", at(other, t)) === "dead") {
              expect(lease.isValid(at(own, t))).toBe(false);
            }
          }
        },
      ),
    );
  });
});
