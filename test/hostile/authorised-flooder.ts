/**
 * A member with a valid certificate sends ten times its quota, of everything there is a quota of, from a process of its
 * own: what it gets is bounded, its refusals say why, and the others do not notice.
 *
 * What is counted decides; how long the others waited is told as a ratio to a calm time of the same run: by the clock,
 * and by the processor time that was used meanwhile by the process they ask, which is the same on a busy machine.
 */
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
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
const FLOOD_MS = 4_000;
const TIMES = 10;
/** Granted before the first word to wait could arrive: the credit of a subscription for at-most-once messages. */
const GRANTED = 32_768;
const RSS_GROWTH_MAX = 128 * 2 ** 20;

/** How it is refused, and how much of what counts it may send a second. */
const FLOODS: readonly { flood: Flood; perSecond: number; codes: readonly string[] }[] = [
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

const start = async (order: FlooderOrder): Promise<FlooderReport> => {
  const { stdout } = await promisify(execFile)(process.execPath, [FLOODER, JSON.stringify(order)]);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as FlooderReport;
};

export const AUTHORISED_FLOODER: HostileCase = {
  name: "authorised-flooder",
  async run({ log }) {
    const tally = new Tally(log);
    for (const { flood, perSecond, codes } of FLOODS) {
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
      await ask(asker, sleep(1_000)); // warm
      const calm = await ask(asker, sleep(2_000));
      const before = process.memoryUsage().rss;
      const address = victim.addresses[0] as string;
      let isOver = false;
      const flooding = start({ folder, address, flood, perSecond, forMs: FLOOD_MS }).finally(() => {
        isOver = true;
      });
      let said = 0;
      const saying = (async () => {
        while (!isOver) {
          await asker.publish("kept", { n: said++ }, { key: "k" });
          await sleep(10);
        }
      })();
      const startMs = performance.now();
      const pressed = await ask(asker, flooding);
      const seconds = (performance.now() - startMs) / 1_000;
      const { sent, sessions, refusals } = await flooding;
      await saying;
      const grown = process.memoryUsage().rss - before;
      log(
        `${flood}: ${sent} in ${sessions} sessions, refused ${JSON.stringify(refusals)}; ${told(calm, pressed)}`,
      );
      tally.check(pressed.failed === 0, () => `${flood}: ${pressed.failed} of others' asks failed`);
      tally.check(pressed.asked > FLOOD_MS / ASK_EVERY_MS / 4, () => `${flood}: few could ask`);
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
    }
    return tally.outcome;
  },
};
