/**
 * A member with a valid certificate sends ten times its quota, of everything there is a quota of, from a process of its
 * own: what it gets is bounded, its refusals say why, and the others do not notice.
 *
 * How long the others waited is told as a ratio to a calm time of the same run: by the clock, and by the processor time
 * that was used meanwhile by the process they ask, which is the same on a busy machine.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../integration/until.ts";
import type { Flood, FlooderOrder, FlooderReport } from "./flooder.ts";
import { type HostileCase, Tally } from "./hostile-case.ts";
import { ASK_EVERY_MS, ask, told } from "./others.ts";
import { ALL, SecuredRig } from "./secured-rig.ts";

const FLOODER = ".build/test/hostile/flooder.js";
const QUOTA = {
  messagesPerSecond: 2_000,
  subscriptionsMax: 64,
  sessionsPerMinute: 60,
  controlPerSecond: 100,
} as const;
const WARM_MS = 500;
const CALM_MS = 2_000;
const FLOOD_MS = 5_500;
/** By then it has had what it may have at once: handshakes, sessions, control frames. */
const FIRST_MS = 2_500;
/** Of the p99 of others, from then on. */
const GROWTH_MAX = 2;
/** Measured again so often before it counts: the machine is not ours alone. */
const MEASURES = 4;
const SAY_EVERY_MS = 10;
const TIMES = 10;
/** Granted before the first word to wait could arrive: the credit of a subscription for at-most-once messages. */
const GRANTED = 65_536;
const RSS_GROWTH_MAX = 128 * 2 ** 20;

/** How it is refused, and how much of what counts it may send a second. */
type FloodOf = {
  readonly flood: Flood;
  readonly perSecond: number;
  readonly codes: readonly string[];
};

const FLOODS: readonly FloodOf[] = [
  { flood: "messages", perSecond: TIMES * QUOTA.messagesPerSecond, codes: [] },
  // Beyond the credit, which no node sends: the link ends at once.
  {
    flood: "durable",
    perSecond: TIMES * QUOTA.messagesPerSecond,
    codes: ["MALFORMED", "RATE_LIMITED"],
  },
  { flood: "requests", perSecond: TIMES * QUOTA.messagesPerSecond, codes: ["RATE_LIMITED"] },
  {
    flood: "subscriptions",
    perSecond: TIMES * QUOTA.subscriptionsMax,
    codes: ["SUBSCRIPTION_LIMIT", "RATE_LIMITED"],
  },
  { flood: "sessions", perSecond: TIMES * QUOTA.sessionsPerMinute, codes: ["RATE_LIMITED"] },
  { flood: "credentials", perSecond: TIMES * QUOTA.controlPerSecond, codes: ["RATE_LIMITED"] },
];

/** Resolves when it is in, and floods: with what it will say in the end. */
const start = async (order: FlooderOrder): Promise<{ readonly report: Promise<FlooderReport> }> => {
  const child = spawn(process.execPath, [FLOODER, JSON.stringify(order)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout });
  await once(lines, "line");
  return { report: once(lines, "line").then(([line]) => JSON.parse(line as string)) };
};

/** Floods one way, and looks at all there is to see. @returns how many times the p99 of others grew */
const pressedBy = async (one: FloodOf, tally: Tally, log: (line: string) => void) => {
  const { flood, perSecond, codes } = one;
  await using rig = new SecuredRig();
  const victim = await rig.node("victim", "tcp", { peerLimits: QUOTA });
  let flooded = 0;
  const kept: number[] = [];
  await victim.reply("sum", async () => 1);
  await victim.reply("flood.ask", async () => void flooded++);
  await victim.subscribe("flood.messages", async () => void flooded++);
  await victim.subscribe("flood.durable", async () => void flooded++, { durable: true });
  await victim.subscribe("kept", async (data) => void kept.push((data as { n: number }).n), {
    durable: true,
  });
  const asker = await rig.node("asker", "tcp", { peers: [victim] });
  const folder = rig.keys.issue({ service: "flooder", ...ALL });
  let isOver = false;
  let said = 0;
  const saying = (async () => {
    while (!isOver) {
      await asker.publish("kept", { n: said++ }, { key: "k" });
      await sleep(SAY_EVERY_MS);
    }
  })();
  await ask(asker, sleep(WARM_MS));
  const calm = await ask(asker, sleep(CALM_MS));
  const before = process.memoryUsage().rss;
  const address = victim.addresses[0] as string;
  const startMs = performance.now();
  const { report } = await start({ folder, address, flood, perSecond, forMs: FLOOD_MS });
  const flooding = report.finally(() => {
    isOver = true;
  });
  const first = await ask(asker, sleep(FIRST_MS));
  const pressed = await ask(asker, flooding);
  const seconds = (performance.now() - startMs) / 1_000;
  const { sent, sessions, refusals } = await flooding;
  await saying;
  const grown = process.memoryUsage().rss - before;
  log(`${flood}, at first: ${told(calm, first)}`);
  log(
    `${flood}: ${sent} in ${sessions} sessions, refused ${JSON.stringify(refusals)}; ${told(calm, pressed)}`,
  );
  const failed = first.failed + pressed.failed;
  tally.check(failed === 0, () => `${flood}: ${failed} of others' asks failed`);
  const asked = first.asked + pressed.asked;
  tally.check(asked > FLOOD_MS / ASK_EVERY_MS / 4, () => `${flood}: few could ask`);
  const most = (seconds + 2) * QUOTA.messagesPerSecond + GRANTED;
  tally.check(flooded <= most, () => `${flood}: ${flooded} of ${sent} were handled`);
  tally.check(grown < RSS_GROWTH_MAX, () => `${flood}: memory grew by ${grown} B`);
  const strange = Object.keys(refusals).filter((code) => !codes.includes(code));
  tally.check(strange.length === 0, () => `${flood}: refused as ${strange.join()}`);
  const counters = victim.counters();
  const isLimited = Object.keys(counters).some((name) => name.startsWith("peer.limited."));
  tally.check(isLimited, () => `${flood}: no limit was reached`);
  const isTold = codes.length === 0 || codes.some((code) => (refusals[code] ?? 0) > 0);
  tally.check(isTold && sent > 0, () => `${flood}: it was not refused`);
  await until(
    "what the others said is handled",
    () => kept.length >= said,
    () => `${kept.length} of ${said}`,
  );
  const isWhole = kept.every((n, at) => n === at) && kept.length === said;
  tally.check(isWhole, () => `${flood}: messages of others are lost, doubled or out of order`);
  tally.tried += sent;
  return Math.min(pressed.p99 / calm.p99, pressed.workP99 / calm.workP99);
};

export const AUTHORISED_FLOODER: HostileCase = {
  name: "authorised-flooder",
  async run({ log }) {
    const tally = new Tally(log);
    for (const one of FLOODS) {
      let best = Number.POSITIVE_INFINITY;
      for (let measure = 0; measure < MEASURES && best > GROWTH_MAX; measure++) {
        best = Math.min(best, await pressedBy(one, tally, log));
      }
      tally.check(best <= GROWTH_MAX, () => `${one.flood}: p99 grew ${best.toFixed(1)} times`);
    }
    return tally.outcome;
  },
};
