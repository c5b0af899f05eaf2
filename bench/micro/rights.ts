/**
 * What it costs to ask whether a certificate allows something.
 *
 * Ways: 1,000 subjects that were asked before (every message of a running mesh), subjects never asked
 * before (a flood of names), and patterns of subscriptions. Best of five rounds.
 * Run: node .build/bench/micro/rights.js
 */
import { Permissions, rightsOf } from "../../src/security/rights.ts";

const ROUNDS = 5;
const ASKED = 2_000_000;
const FRESH = 100_000;

const rights = rightsOf({
  allow: {
    publish: ["order.>", "payment.*.done", "audit.*", "invoice.>", "stock.*"],
    subscribe: ["order.>", "payment.*"],
  },
  deny: { publish: ["order.secret.>", "audit.internal"] },
});
const warm = Array.from({ length: 1_000 }, (_, n) => `order.placed.region-${n}`);

const bestNs = (count: number, once: () => void): number => {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const beganMs = performance.now();
    once();
    best = Math.min(best, ((performance.now() - beganMs) / count) * 1e6);
  }
  return Math.round(best);
};

let allowed = 0;
const cached = new Permissions(rights);
const cachedNs = bestNs(ASKED, () => {
  for (let n = 0; n < ASKED; n++) {
    if (cached.may("publish", warm[n % warm.length] as string)) allowed++;
  }
});
let name = 0;
const freshNs = bestNs(FRESH, () => {
  const fresh = new Permissions(rights);
  for (let n = 0; n < FRESH; n++) if (fresh.may("publish", `order.placed.${name++}`)) allowed++;
});
const patternNs = bestNs(FRESH, () => {
  for (let n = 0; n < FRESH; n++)
    if (cached.mayOverlap("subscribe", "order.*") === "all") allowed++;
});
if (allowed !== (ASKED + FRESH + FRESH) * ROUNDS) throw new Error(`only ${allowed} were allowed`);
console.log(JSON.stringify({ cachedNs, freshNs, patternNs }));
