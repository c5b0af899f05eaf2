/**
 * A stranger on the link who says everything that multicast DNS can say: announcements with wrong, stolen and no seals,
 * recorded ones, goodbyes for the living, packets too large, and all of it as a flood. Nobody follows a word of it, and
 * members find each other meanwhile.
 */
import { fork } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { mdns } from "../../src/discovery/mdns/mdns.ts";
import { RecordSeal } from "../../src/discovery/mdns/record-seal.ts";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import { systemClock } from "../../src/mesh/system-ports.ts";
import { until } from "../integration/until.ts";
import { type HostileCase, Tally } from "./hostile-case.ts";
import { changed, pointerGoodbye, texts, withoutLife } from "./mdns-packets.ts";
import { SecuredRig } from "./secured-rig.ts";

const GROUP = "224.0.0.251";
const TRIES = 50;
const FLOOD = fileURLToPath(new URL("./mdns-flood.js", import.meta.url));
/** Names in a packet of the flood, packets a second, and for how long. */
export const FLOOD_NAMES = 25;
const FLOOD_PER_S = 400;
const FLOOD_MS = 6_000;
/** A member that comes in the flood is linked within this. */
const FOUND_MS_MAX = 5_000;
/** Of one processor, for 10,000 names a second at four nodes: a twentieth each. */
const CPU_SHARE_MAX = 0.2;

const REASONS = ["forged", "stale", "replayed", "malformed", "withoutKeys", "limited"];

const dropped = (node: MeshNode): number => {
  const counts = node.counters();
  return REASONS.reduce((sum, why) => sum + (counts[`discovery.${why}`] ?? 0), 0);
};

class Forger {
  readonly heard: Buffer[] = [];
  readonly #socket: Socket = createSocket({ type: "udp4", reuseAddr: true });
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
    this.#socket.on("message", (bytes) => {
      if (((bytes[2] ?? 0) & 0x80) !== 0) this.heard.push(bytes);
    });
  }

  async open(): Promise<void> {
    this.#socket.bind(this.#port, "0.0.0.0");
    await once(this.#socket, "listening");
    this.#socket.setMulticastInterface("127.0.0.1");
    this.#socket.addMembership(GROUP, "127.0.0.1");
  }

  /** Resolves a turn later, so that what was sent is read before the system has to throw it away. */
  send(bytes: Buffer): Promise<void> {
    return new Promise((resolve) =>
      this.#socket.send(bytes, this.#port, GROUP, () => setImmediate(resolve)),
    );
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}

export const FORGED_MDNS: HostileCase = {
  name: "forged-mdns",
  async run({ log }) {
    const tally = new Tally(log);
    const port = randomInt(20_000, 30_000);
    const discovery = { port, interfacePollMs: 1_000 };
    await using rig = new SecuredRig();
    const forger = new Forger(port);
    await forger.open();
    // Whoever believes a word of it comes here.
    const trap = createServer((socket) => {
      trapped++;
      socket.destroy();
    });
    let trapped = 0;
    trap.listen(0, "127.0.0.1");
    await once(trap, "listening");
    const there = `tcp://127.0.0.1:${(trap.address() as { port: number }).port}`;
    const sees = (node: MeshNode, other: MeshNode): boolean =>
      node.peers().some(({ nodeId, state }) => nodeId === other.id && state === "alive");

    const victim = await rig.node("victim", "tcp", { discovery: [mdns(discovery)] });
    const member = await rig.node("member", "tcp", { discovery: [mdns(discovery)] });
    const meet = (a: MeshNode, b: MeshNode): Promise<void> =>
      until(
        "they are linked",
        () => sees(a, b) && sees(b, a),
        () => JSON.stringify([a.peers(), b.peers()]),
      );
    await meet(victim, member);
    const gone = await rig.node("gone", "tcp", { discovery: [mdns(discovery)] });
    await meet(victim, gone);
    await gone.stop({ drainMs: 0 });
    const own = forger.heard.filter((bytes) => bytes.includes(member.id));
    const genuine = own.at(-1);
    if (genuine === undefined) throw new Error("the forger has heard nothing");
    const ofGone = forger.heard.filter((bytes) => bytes.includes(gone.id));

    const wrong = new RecordSeal("shop", () => STRANGERS);
    const announcementOf = (nodeId: string, seal: RecordSeal): string[] =>
      seal.seal(
        seal.body({ ...ANYBODY, nodeId }, [there], "127.0.0.1", 120_000),
        false,
        Date.now(),
      );
    const open = (nodeId: string): string[] => [
      "v=1",
      "mesh=shop",
      `id=${nodeId}`,
      `epoch=${Math.floor(Date.now() / 1_000) + 5}`,
      `a0=${there}`,
    ];
    const stranger = (): string => randomBytes(10).toString("hex");
    const address = /a0=(tcp:[\w.:/]+)/.exec(genuine.toString("latin1"))?.[1] ?? "";
    if (address === "") throw new Error("no address in what a member said");
    const sealedBye = (seal: RecordSeal, nodeId: string): string[] =>
      seal.seal(seal.body({ ...ANYBODY, nodeId }, [there], "127.0.0.1", 120_000), true, Date.now());

    const attacks: Readonly<Record<string, (n: number) => Buffer>> = {
      "a stranger under another secret": () => {
        const nodeId = stranger();
        return texts([{ name: nodeId, strings: announcementOf(nodeId, wrong) }]);
      },
      "a member's id under another secret": () =>
        texts([{ name: "x", strings: announcementOf(member.id, wrong) }]),
      "a stranger without a seal": () => {
        const nodeId = stranger();
        return texts([{ name: nodeId, strings: open(nodeId) }]);
      },
      "a member's id without a seal": () => texts([{ name: member.id, strings: open(member.id) }]),
      "a member's words with another address": () =>
        changed(genuine, address, there.padEnd(address.length, "0").slice(0, address.length)),
      "a member's words a second time": (n) => own[n % own.length] as Buffer,
      "a member's words as a goodbye": () => withoutLife(genuine),
      "the words of one who left": (n) => ofGone[n % ofGone.length] as Buffer,
      "a goodbye under another secret": () =>
        texts([{ name: "x", strings: sealedBye(wrong, member.id) }]),
      "a goodbye without a seal": () =>
        texts([{ name: member.id, ttl: 0, strings: open(member.id) }]),
      "a packet that is too large": () =>
        Buffer.concat([genuine, Buffer.alloc(1_501 - genuine.length)]),
      "a seal and nothing before it": () =>
        texts([{ name: "x", strings: ["v=2", genuine.toString("latin1").slice(-47)] }]),
      "names by the dozen": () =>
        texts(
          Array.from({ length: FLOOD_NAMES }, () => {
            const name = stranger().slice(0, 8);
            return { name, strings: ["v=2", `id=${name}`] };
          }),
        ),
    };
    for (const [what, forged] of Object.entries(attacks)) {
      const [before, peers] = [dropped(victim), victim.peers().length];
      for (let n = 0; n < TRIES; n++) await forger.send(forged(n));
      // Each is known to have arrived, and to be thrown away.
      await until(
        `${what}: all are dropped`,
        () => dropped(victim) - before >= TRIES,
        () => `${dropped(victim) - before} of ${TRIES}: ${JSON.stringify(victim.counters())}`,
      );
      for (let n = 0; n < TRIES; n++) tally.check(trapped === 0, () => `${what}: it was believed`);
      tally.check(victim.peers().length <= peers, () => `${what}: the victim has a new peer`);
      tally.check(sees(victim, member) && sees(member, victim), () => `${what}: a link is gone`);
    }
    // A goodbye that is a pointer alone says nothing that is counted: what matters is that nobody goes.
    const secrets = rig.security("spy").meshSecrets;
    const names = new RecordSeal("shop", () => secrets).names;
    for (let n = 0; n < TRIES; n++) await forger.send(pointerGoodbye(names.instance(member.id)));
    tally.check(sees(victim, member), () => "a pointer's goodbye was believed");

    // To somebody new whose clock is past their end, all of it is old.
    const lateClock = { ...systemClock(), wallMs: () => Date.now() + 600_000 };
    const late = await rig.node("late", "tcp", { discovery: [mdns(discovery)], clock: lateClock });
    const all = [...own, ...ofGone];
    for (let n = 0; n < TRIES; n++) await forger.send(all[n % all.length] as Buffer);
    await until(
      "what is past its end is dropped",
      () => (late.counters()["discovery.stale"] ?? 0) >= TRIES,
      () => JSON.stringify(late.counters()),
    );
    for (let n = 0; n < TRIES; n++)
      tally.check(late.peers().length === 0, () => "a recorded announcement was believed");

    await flooded(tally, rig, { port, trap: there, victim, log });
    tally.check(trapped === 0, () => `${trapped} connections to where the forger points`);
    tally.check(sees(victim, member), () => "a link is gone after the flood");
    trap.close();
    await forger.close();
    return tally.outcome;
  },
};

const STRANGERS = [new Uint8Array(randomBytes(32))];
const ANYBODY = {
  mesh: "shop",
  service: "thief",
  nodeId: "",
  epoch: 2_000_000_000,
  addresses: [],
  loopbackOnly: true,
};

/** Ten thousand names a second, and questions as many, from a process of its own. */
const flooded = async (
  tally: Tally,
  rig: SecuredRig,
  {
    port,
    trap,
    victim,
    log,
  }: {
    readonly port: number;
    readonly trap: string;
    readonly victim: MeshNode;
    readonly log: (line: string) => void;
  },
): Promise<void> => {
  const given = { port, trap, perSecond: FLOOD_PER_S, forMs: FLOOD_MS, names: FLOOD_NAMES };
  const before = dropped(victim);
  const child = fork(FLOOD, [JSON.stringify(given)], { stdio: "ignore" });
  const sent = new Promise<number>((resolve) =>
    child.once("message", (count) => resolve(Number(count))),
  );
  const ended = once(child, "exit");
  await until(
    "the flood arrives",
    () => dropped(victim) - before > FLOOD_PER_S / 4,
    () => `${dropped(victim) - before}`,
  );
  const [cpu, atMs] = [process.cpuUsage(), performance.now()];
  const calm = sent.then(() => {
    const { user, system } = process.cpuUsage(cpu);
    return (user + system) / 1_000 / (performance.now() - atMs);
  });
  const startMs = performance.now();
  const newcomer = await rig.node("newcomer", "tcp", { discovery: [mdns({ port })] });
  await until(
    "the newcomer is linked",
    () => newcomer.peers().some(({ nodeId }) => nodeId === victim.id),
    () => JSON.stringify([newcomer.counters(), victim.counters()]),
  );
  const foundMs = performance.now() - startMs;
  const share = await calm;
  const count = await sent;
  tally.tried += count;
  tally.check(foundMs < FOUND_MS_MAX, () => `a member was found after ${foundMs.toFixed(0)} ms`);
  tally.check(share < CPU_SHARE_MAX, () => `the flood takes ${share.toFixed(2)} of a processor`);
  log(
    `mdns: ${count} packets of a flood; a member found after ${foundMs.toFixed(0)} ms; ${(100 * share).toFixed(1)} % of a processor for four nodes`,
  );
  await ended;
};
