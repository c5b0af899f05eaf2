/**
 * What keys cost: from a dial to the first answer, and durable messages beside the same without keys. Pairs of nodes in
 * this process over loopback, in turns within one run; only the ratios count.
 *
 * Run: node .build/bench/micro/security.js [--quick] [--json]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { staticPeers } from "../../src/discovery/static/static-peers.ts";
import { createNode } from "../../src/mesh/create-node.ts";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import { issueKeys } from "../../src/security/issue-keys.ts";
import { createAuthority } from "../../src/security/open-authority.ts";
import { stream } from "../../src/transport/stream/stream-transport.ts";
import { zeromq } from "../../src/transport/zeromq/zeromq-transport.ts";

const { values: flags } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const MESSAGES = flags.quick ? 10_000 : 100_000;
const ROUNDS = flags.quick ? 3 : 5;
const GREETINGS = flags.quick ? 10 : 50;
const WINDOW = 1_024;
const BODY = { text: "x".repeat(116) };

const folder = mkdtempSync(join(tmpdir(), "meshbus-security-bench-"));
const authority = createAuthority(join(folder, "authority"), { mesh: "bench" });
const all = [">"];
const allow = { publish: all, subscribe: all, send: all, handle: all, request: all };
let folders = 0;
/** A node of its own each time. */
const newKeys = (service: string): { keys: string } => {
  const keys = join(folder, `keys-${++folders}`);
  issueKeys(authority, keys, { service, allow });
  return { keys };
};
const TRANSPORTS = { tcp: stream, zmq: zeromq } as const;
type Scheme = keyof typeof TRANSPORTS;

const start = (
  service: string,
  scheme: Scheme,
  keyed: boolean,
  peer?: MeshNode,
): Promise<MeshNode> =>
  createNode({
    service,
    mesh: "bench",
    dataDir: join(folder, `data-${++folders}`),
    ...(keyed ? { security: newKeys(service) } : {}),
    transports: [TRANSPORTS[scheme]()],
    discovery: peer === undefined ? [] : [staticPeers(peer.addresses)],
    heartbeatThread: false,
  });

/** Messages a second, from the first call to the last handler. */
const durable = async (scheme: Scheme, keyed: boolean): Promise<number> => {
  const consumer = await start("b", scheme, keyed);
  const producer = await start("a", scheme, keyed, consumer);
  let handled = 0;
  let finish: () => void = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  await producer.waitFor("b");
  await consumer.subscribe("tick", async () => void (++handled === MESSAGES && finish()), {
    durable: true,
    prefetch: 2_048,
    concurrency: 64,
  });
  await producer.waitFor("b");
  const startMs = performance.now();
  for (let sent = 0; sent < MESSAGES; sent += WINDOW) {
    const batch = Math.min(WINDOW, MESSAGES - sent);
    await Promise.all(Array.from({ length: batch }, () => producer.publish("tick", BODY)));
  }
  await finished;
  const perSecond = MESSAGES / ((performance.now() - startMs) / 1_000);
  await Promise.all([producer.stop(), consumer.stop()]);
  return perSecond;
};

/** Milliseconds from the start of the dial to the first answer. */
const greeting = async (scheme: Scheme, keyed: boolean): Promise<number> => {
  const replier = await start("b", scheme, keyed);
  await replier.reply("sum", async () => 1);
  const times: number[] = [];
  for (let n = 0; n < GREETINGS; n++) {
    const asker = await start("a", scheme, keyed, replier);
    const startMs = performance.now();
    await asker.request("sum", {});
    times.push(performance.now() - startMs);
    await asker.stop();
  }
  await replier.stop();
  return median(times);
};

const median = (values: number[]): number =>
  values.sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;

const rows: Record<string, string | number>[] = [];
for (const scheme of ["tcp", "zmq"] as const) {
  const plain: number[] = [];
  const keyed: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    plain.push(await durable(scheme, false));
    keyed.push(await durable(scheme, true));
  }
  const [without, withKeys] = [median(plain), median(keyed)];
  rows.push({
    what: "durable publish",
    transport: scheme,
    plainPerSecond: Math.round(without),
    keyedPerSecond: Math.round(withKeys),
    ratio: Number((withKeys / without).toFixed(2)),
  });
  rows.push({
    what: "first answer",
    transport: scheme,
    plainMs: Number((await greeting(scheme, false)).toFixed(1)),
    keyedMs: Number((await greeting(scheme, true)).toFixed(1)),
  });
}
rmSync(folder, { recursive: true, force: true });
if (flags.json) process.stdout.write(`${JSON.stringify({ rows })}\n`);
else console.table(rows);
