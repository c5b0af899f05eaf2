/**
 * What a link costs where both ends are on one host: requests one after the other and at-most-once messages, over
 * loopback TCP and a socket file between two processes, and over TCP, a socket file and inproc in one process. In turns
 * within one run; only the ratios count.
 *
 * Run: node .build/bench/micro/local-links.js [--quick] [--json]
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  bytes,
  createNode,
  event,
  inproc,
  type MeshNode,
  query,
  staticPeers,
  stream,
  unix,
} from "meshbus";

const CREATE = { tcp: stream, unix, inproc } as const;
type Scheme = keyof typeof CREATE;

const { values: flags } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    serve: { type: "string" },
  },
});
const ROUNDS = flags.quick ? 3 : 7;
const ASKS = flags.quick ? 3_000 : 10_000;
const MESSAGES = flags.quick ? 100_000 : 400_000;

const echo = query("local.echo", { request: bytes(), reply: bytes() });
const said = event("local.said", { schema: bytes() });
const PAYLOAD = new Uint8Array(128).fill(1);

const open = (scheme: Scheme, service: string, peers: readonly string[]): Promise<MeshNode> =>
  createNode({
    service,
    mesh: "local",
    dataDir: ":memory:",
    heartbeatThread: false,
    transports: [CREATE[scheme]()],
    discovery: peers.length === 0 ? [] : [staticPeers([...peers])],
  });

/** Answers, and counts what is said. */
const taker = async (scheme: Scheme): Promise<MeshNode> => {
  const node = await open(scheme, "taker", []);
  let count = 0;
  await node.reply(echo, (data) => data);
  await node.subscribe(said, () => void count++, { durable: false });
  await node.reply("local.count", () => {
    const counted = count;
    count = 0;
    return counted;
  });
  return node;
};

const serve = async (scheme: Scheme): Promise<void> => {
  const node = await taker(scheme);
  process.send?.(node.addresses[0]);
  await once(process, "disconnect");
  process.exit(0);
};

type Figures = { readonly roundTripUs: number; readonly messagesPerSecond: number };
type Rig = { readonly name: string; measure(): Promise<Figures>; stop(): Promise<void> };

const pause = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

const measured = async (node: MeshNode): Promise<Figures> => {
  const times: number[] = [];
  for (let count = 0; count < ASKS; count++) {
    const startMs = performance.now();
    await node.request(echo, PAYLOAD);
    times.push((performance.now() - startMs) * 1_000);
  }
  times.sort((a, b) => a - b);
  await node.request("local.count", 0);
  const startMs = performance.now();
  for (let count = 0; count < MESSAGES; ) {
    for (let some = 0; some < 256 && count < MESSAGES; some++) {
      if (!node.emit(said, PAYLOAD)) break;
      count++;
    }
    await pause();
  }
  let arrived = 0;
  while (arrived < MESSAGES) arrived += (await node.request("local.count", 0)) as number;
  const seconds = (performance.now() - startMs) / 1_000;
  return { roundTripUs: times[times.length >> 1] ?? 0, messagesPerSecond: MESSAGES / seconds };
};

const rigOf = async (scheme: Scheme, isApart: boolean): Promise<Rig> => {
  let child: ChildProcess | undefined;
  let peer: MeshNode | undefined;
  let address: string | undefined;
  if (isApart) {
    child = fork(fileURLToPath(import.meta.url), ["--serve", scheme]);
    [address] = (await once(child, "message")) as [string];
  } else {
    peer = await taker(scheme);
    address = peer.addresses[0];
  }
  const node = await open(scheme, "giver", [address ?? ""]);
  await Promise.all([node.waitFor(echo), node.waitFor(said)]);
  await measured(node); // warm
  return {
    name: `${scheme}, ${isApart ? "two processes" : "one process"}`,
    measure: () => measured(node),
    stop: async () => {
      await node.stop({ drainMs: 0 });
      await peer?.stop({ drainMs: 0 });
      if (child === undefined) return;
      child.disconnect();
      await once(child, "exit");
    },
  };
};

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

const main = async (): Promise<void> => {
  const rigs = [await rigOf("tcp", true), await rigOf("unix", true)];
  for (const scheme of ["tcp", "unix", "inproc"] as const) rigs.push(await rigOf(scheme, false));
  const all = new Map<Rig, Figures[]>(rigs.map((rig) => [rig, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const rig of rigs) all.get(rig)?.push(await rig.measure());
  }
  const rows = rigs.map((rig) => {
    const figures = all.get(rig) ?? [];
    return {
      name: rig.name,
      roundTripUs: median(figures.map(({ roundTripUs }) => roundTripUs)),
      messagesPerSecond: median(figures.map(({ messagesPerSecond }) => messagesPerSecond)),
    };
  });
  for (const rig of rigs) await rig.stop();
  for (const { name, roundTripUs, messagesPerSecond } of rows) {
    const rate = `${(messagesPerSecond / 1_000).toFixed(0)} k/s`;
    console.log(`${name.padEnd(24)} ${roundTripUs.toFixed(1).padStart(8)} us ${rate.padStart(12)}`);
  }
  if (flags.json) console.log(JSON.stringify({ node: process.version, rows }));
};

await (flags.serve === undefined ? main() : serve(flags.serve as Scheme));
