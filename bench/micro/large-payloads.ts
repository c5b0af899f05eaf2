/**
 * What large payloads cost a small request: two processes over one link, requests of 128 B one after the other and at
 * fixed times, alone and while payloads of 64 MiB are on their way from the same node to the same peer. In one run, in
 * turns, over each transport; a request that was due counts from when it was due. `raw` is the floor: two sockets.
 *
 * Run: node .build/bench/micro/large-payloads.js [--quick] [--json] [--only raw,tcp,zmq] [--kinds emit,request,publish]
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  bytes,
  createNode,
  event,
  type MeshNode,
  query,
  staticPeers,
  stream,
  unix,
  zeromq,
} from "meshbus";
import { grpc } from "meshbus/grpc";
import { RawRig, serveRaw } from "./raw-sockets.ts";

const CREATE = { tcp: stream, zmq: zeromq, grpc, unix } as const;
type Scheme = keyof typeof CREATE;
type Contender = Scheme | "raw";
const KINDS = ["alone", "emit", "request", "publish"] as const;
type Kind = (typeof KINDS)[number];
/** What a raw socket has of them. */
const RAW_KINDS: readonly Kind[] = ["alone", "request"];

const { values: flags } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    only: { type: "string", default: "raw,tcp,zmq" },
    kinds: { type: "string", default: KINDS.join() },
    serve: { type: "string" },
    mib: { type: "string", default: "64" },
  },
});
const PAYLOAD_BYTES = Number(flags.mib) * 2 ** 20;
const ROUNDS = flags.quick ? 1 : 5;
const ROUND_MS = flags.quick ? 1_500 : 3_000;
const EVERY_MS = 2;
const LIMITS = { payloadBytesMax: 64 * 2 ** 20 };

const echo = query("large.echo", { request: bytes(), reply: bytes() });
const blob = query("large.blob", { request: bytes(), reply: bytes() });
const volatile = event("large.volatile", { schema: bytes() });
const durable = event("large.durable", { schema: bytes() });

const open = (scheme: Scheme, service: string, peers: readonly string[]): Promise<MeshNode> => {
  const dataDir = mkdtempSync(join(tmpdir(), "meshbus-large-"));
  process.on("exit", () => rmSync(dataDir, { recursive: true, force: true }));
  return createNode({
    service,
    mesh: "large",
    dataDir,
    limits: LIMITS,
    transports: [CREATE[scheme]()],
    discovery: peers.length === 0 ? [] : [staticPeers([...peers])],
  });
};

/** The peer: answers, and says how many payloads have arrived. */
const serve = async (scheme: Scheme): Promise<void> => {
  const node = await open(scheme, "taker", []);
  const one = new Uint8Array(1);
  const came = (): void => void process.send?.("came");
  await node.reply(echo, (data) => data);
  await node.reply(blob, () => one);
  await node.subscribe(volatile, came, { durable: false });
  await node.subscribe(durable, came);
  process.send?.(node.addresses[0]);
  await once(process, "disconnect");
  process.exit(0);
};

/** Who sends large payloads and asks small questions. */
interface Asker {
  /** Sends one payload after the other until told to end; returns how many arrived. */
  load(kind: Kind, goesOn: () => boolean): Promise<number>;
  /** Resolves with the microseconds that an answer took. */
  ask(): Promise<number>;
  stop(): Promise<void>;
}

/** A line of the table. */
type Row = {
  readonly scheme: string;
  readonly kind: Kind;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
  readonly dueP99Us: number;
  readonly mibPerSecond: number;
};

const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;

class MeshRig implements Asker {
  readonly #node: MeshNode;
  readonly #child: ChildProcess;
  readonly #payload = new Uint8Array(PAYLOAD_BYTES).fill(7);
  readonly #small = new Uint8Array(128).fill(1);
  #came: () => void = () => {};

  static async open(scheme: Scheme): Promise<MeshRig> {
    const child = fork(fileURLToPath(import.meta.url), ["--serve", scheme]);
    const [address] = (await once(child, "message")) as [string];
    const node = await open(scheme, "giver", [address]);
    await Promise.all([node.waitFor(echo), node.waitFor(volatile), node.waitFor(durable)]);
    return new MeshRig(node, child);
  }

  private constructor(node: MeshNode, child: ChildProcess) {
    this.#node = node;
    this.#child = child;
    child.on("message", () => this.#came());
  }

  async load(kind: Kind, goesOn: () => boolean): Promise<number> {
    let count = 0;
    for (; kind !== "alone" && goesOn(); count++) {
      if (kind === "request") {
        await this.#node.request(blob, this.#payload, { timeoutMs: 60_000 });
        continue;
      }
      const came = new Promise<void>((resolve) => {
        this.#came = resolve;
      });
      if (kind === "publish") await this.#node.publish(durable, this.#payload);
      else {
        while (!this.#node.emit(volatile, this.#payload)) await pause(1);
      }
      await came;
    }
    return count;
  }

  async ask(): Promise<number> {
    const start = performance.now();
    await this.#node.request(echo, this.#small);
    return (performance.now() - start) * 1_000;
  }

  async stop(): Promise<void> {
    await this.#node.stop({ drainMs: 0 });
    this.#child.disconnect();
    await once(this.#child, "exit");
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

const measure = async (rig: Asker, kind: Kind): Promise<Omit<Row, "scheme" | "kind">> => {
  const endMs = performance.now() + ROUND_MS;
  const goesOn = (): boolean => performance.now() < endMs;
  const begun = performance.now();
  const loading = rig.load(kind, goesOn);
  const halfMs = begun + ROUND_MS / 2;
  const times: number[] = [];
  while (performance.now() < halfMs) times.push(await rig.ask());
  const due: number[] = [];
  const asking: Promise<void>[] = [];
  for (let dueMs = performance.now(); goesOn(); dueMs += EVERY_MS) {
    while (performance.now() < dueMs) await new Promise((resolve) => void setImmediate(resolve));
    asking.push(rig.ask().then(() => void due.push((performance.now() - dueMs) * 1_000)));
  }
  await Promise.all(asking);
  const count = await loading;
  const seconds = (performance.now() - begun) / 1_000;
  times.sort((a, b) => a - b);
  due.sort((a, b) => a - b);
  return {
    p50Us: quantile(times, 0.5),
    p99Us: quantile(times, 0.99),
    maxUs: times.at(-1) ?? 0,
    dueP99Us: quantile(due, 0.99),
    mibPerSecond: (count * PAYLOAD_BYTES) / 2 ** 20 / seconds,
  };
};

const median = (values: readonly number[]): number =>
  quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );

const openRaw = (): Promise<Asker> => {
  const args = ["--serve", "raw", "--mib", flags.mib];
  return RawRig.open(fileURLToPath(import.meta.url), args, PAYLOAD_BYTES);
};

const run = async (scheme: Contender): Promise<Row[]> => {
  const isRaw = scheme === "raw";
  const rig = isRaw ? await openRaw() : await MeshRig.open(scheme);
  for (let count = 0; count < 2_000; count++) await rig.ask();
  const wanted = flags.kinds.split(",");
  const kinds = (isRaw ? RAW_KINDS : KINDS).filter((kind) => wanted.includes(kind));
  const all = new Map<Kind, Omit<Row, "scheme" | "kind">[]>(kinds.map((kind) => [kind, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const kind of kinds) all.get(kind)?.push(await measure(rig, kind));
  }
  await rig.stop();
  return kinds.map((kind) => {
    const of = (name: keyof Omit<Row, "scheme" | "kind">): number =>
      median((all.get(kind) ?? []).map((one) => one[name]));
    return {
      scheme,
      kind,
      p50Us: of("p50Us"),
      p99Us: of("p99Us"),
      maxUs: of("maxUs"),
      dueP99Us: of("dueP99Us"),
      mibPerSecond: of("mibPerSecond"),
    };
  });
};

const main = async (): Promise<void> => {
  const rows: Row[] = [];
  for (const scheme of flags.only.split(",") as Contender[]) rows.push(...(await run(scheme)));
  const text = (value: number): string => value.toFixed(0).padStart(8);
  console.log("transport  meanwhile   p50 us   p99 us   max us  due p99    MiB/s");
  for (const row of rows) {
    const { scheme, kind, p50Us, p99Us, maxUs, dueP99Us, mibPerSecond } = row;
    const figures = [p50Us, p99Us, maxUs, dueP99Us, mibPerSecond].map(text).join(" ");
    console.log(`${scheme.padEnd(10)} ${kind.padEnd(10)} ${figures}`);
  }
  if (flags.json) console.log(JSON.stringify({ node: process.version, rows }));
};

if (flags.serve === undefined) await main();
else if (flags.serve === "raw") await serveRaw(PAYLOAD_BYTES);
else await serve(flags.serve as Scheme);
