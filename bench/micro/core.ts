/**
 * Micro bench of what the core does for each message: times, shards, sets of settled numbers, subjects. Only ratios
 * between runs on one machine count.
 *
 * Run: node .build/bench/micro/core.js [--json]
 */
import { bench, do_not_optimize, summary } from "mitata";
import xxhash from "xxhash-wasm";
import { HybridClock } from "../../src/core/hybrid-clock.ts";
import { INBOX_LIMITS, Inbox } from "../../src/core/inbox.ts";
import { RangeSet } from "../../src/core/range-set.ts";
import { computeShardMap, shardOf } from "../../src/core/shard-map.ts";
import { compilePattern, matchesPattern } from "../../src/core/subject.ts";
import { runMicro } from "../run-micro.ts";

const MEMBERS = 8;
const KEYS = 1_024;
const EPOCH = 1_750_000_000;

const { h32 } = await xxhash();
const keys = Array.from({ length: KEYS }, (_, index) => `customer-${index}`);
const hashes = keys.map((key) => h32(key));
const members = Array.from({ length: MEMBERS }, (_, index) => ({
  id: `member-${index}`,
  hash: h32(`member-${index}`),
  weight: 1,
}));
const map = computeShardMap(members);
const clock = new HybridClock();
let count = 0;

bench("hybrid clock: now", () => do_not_optimize(clock.now(1_750_000_000_000 + (count++ >> 4))));
bench("key to hash (28 B, xxhash)", () => do_not_optimize(h32(keys[count++ & 1_023] as string)));
bench("hash to owner, eight members", () =>
  do_not_optimize(map[shardOf(hashes[count++ & 1_023] as number)]),
);
bench("shard map of eight members", () => do_not_optimize(computeShardMap(members)));

const settled = new RangeSet();
let next = 0;
bench("range set: add the next, 64 in a gap pattern", () => {
  const at = next++;
  // Every other first, the gaps later: as settles of several keys come in.
  settled.add(at * 2, at * 2 + 1);
  if ((at & 63) === 63) settled.add((at - 63) * 2, at * 2 + 1);
  if ((at & 0xffff) === 0) settled.removeBelow(at * 2);
});

const inbox = new Inbox(INBOX_LIMITS);
let marked = 0;
bench("inbox: mark in order and ask", () => {
  inbox.mark(EPOCH, marked, marked + 1);
  do_not_optimize(inbox.isSettled(EPOCH, marked++));
});

summary(() => {
  const compiled = compilePattern("order.*.placed");
  bench("subject against a pattern, compiled", () =>
    do_not_optimize(compiled("order.europe.placed")),
  );
  bench("subject against a pattern, not compiled", () =>
    do_not_optimize(matchesPattern("order.*.placed", "order.europe.placed")),
  );
});

await runMicro();
