/** Connections that claim too much, or say nothing: they cost what the limits say, and nobody else waits for them. */
import { connect as connectPlain, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import { PREAMBLE } from "../../src/transport/stream/frame-reader.ts";
import { tlsDialOptions } from "../../src/transport/tls-channel.ts";
import { until } from "../integration/until.ts";
import { type HostileCase, Tally } from "./hostile-case.ts";
import { type Scheme, SecuredRig } from "./secured-rig.ts";

const STUCK = 1_000;
const ASKS = 400;
const RSS_GROWTH_MAX = 64 * 2 ** 20;
/** Well below the time that a greeting has, after which it would be cut anyway. */
const WAITED_MS_MAX = 4_000;
/** Measured again so often before it counts: the machine is not ours alone. */
const MEASURES = 5;

const portOf = (address: string): number => Number(/:(\d+)(?:\?|$)/.exec(address)?.[1]);

export const OVERSIZE: HostileCase = {
  name: "oversize",
  async run({ log }) {
    const tally = new Tally(log);
    await using rig = new SecuredRig();
    const victim = await rig.node("victim", "tcp");
    const thief = rig.security("thief");
    const port = portOf(victim.addresses[0] as string);
    const before = process.memoryUsage().rss;
    for (const claimed of [0x7fffffff, 0xffffffff, 0x00ffffff, 1 << 21]) {
      for (let n = 0; n < 10; n++) {
        const socket = connectTls({ port, host: "127.0.0.1", ...tlsDialOptions(thief) });
        socket.on("error", () => {});
        const closed = new Promise<void>((resolve) => void socket.once("close", () => resolve()));
        await new Promise<void>((resolve) => void socket.once("secureConnect", () => resolve()));
        const header = Buffer.alloc(4);
        header.writeUInt32BE(claimed);
        socket.write(PREAMBLE);
        socket.write(Buffer.concat([header, Buffer.alloc(1_024)]));
        const startMs = performance.now();
        socket.resume();
        await closed;
        tally.check(
          performance.now() - startMs < WAITED_MS_MAX,
          () => `${claimed} B were waited for`,
        );
      }
    }
    const grown = process.memoryUsage().rss - before;
    tally.check(grown < RSS_GROWTH_MAX, () => `memory grew by ${grown} B`);
    return tally.outcome;
  },
};

/** The time that 99 of a hundred requests take no longer than. */
const p99 = async (asker: MeshNode): Promise<number> => {
  const times: number[] = [];
  for (let n = 0; n < ASKS; n++) {
    const startMs = performance.now();
    await asker.request("sum", { n }, { timeoutMs: 10_000 });
    times.push(performance.now() - startMs);
  }
  times.sort((a, b) => a - b);
  return times[Math.floor(times.length * 0.99)] as number;
};

/** A whole ClientHello, which the server has to answer with a signature. */
const clientHello = (): Promise<Buffer> =>
  new Promise((resolve) => {
    const write = (bytes: Buffer, _: string, done: () => void): void => {
      resolve(bytes);
      done();
    };
    const socket = new Duplex({ read: () => {}, write });
    connectTls({ socket, minVersion: "TLSv1.3" }).on("error", () => {});
  });

/** What a stuck socket says, and nothing more. */
const BEGINNINGS: Readonly<Record<string, readonly [Scheme, () => Buffer | Promise<Buffer>]>> = {
  "the head of a TLS record": ["tcp", () => Buffer.from("1603010200", "hex")],
  "a ClientHello": ["tcp", clientHello],
  "the first byte of ZMTP": ["zmq", () => Buffer.from("ff", "hex")],
};

export const STUCK_SOCKETS: HostileCase = {
  name: "stuck-sockets",
  async run({ log }) {
    const tally = new Tally(log);
    for (const [said, [scheme, make]] of Object.entries(BEGINNINGS)) {
      const beginning = await make();
      await using rig = new SecuredRig();
      const victim = await rig.node("victim", scheme);
      const asker = await rig.node("asker", scheme, { peers: [victim] });
      await victim.reply("sum", async () => 1);
      await p99(asker); // warm
      const port = portOf(victim.addresses[0] as string);
      let best = Number.POSITIVE_INFINITY;
      let connected = 0;
      for (let measure = 0; measure < MEASURES && best > 2; measure++) {
        const calm = await p99(asker);
        const stuck: Socket[] = [];
        for (let n = 0; n < STUCK; n++) {
          const socket = connectPlain(port, "127.0.0.1");
          socket.on("error", () => {});
          socket.once("connect", () => {
            connected++;
            socket.write(beginning);
          });
          stuck.push(socket);
        }
        await until(
          "they are connected",
          () => connected >= STUCK * (measure + 1),
          () => `${connected}`,
        );
        const pressed = await p99(asker);
        const late = await rig.node(`late-${measure}`, scheme, { peers: [victim] });
        tally.check(late.peers().length > 0, () => `${said}: nobody new gets in`);
        for (const socket of stuck) socket.destroy();
        best = Math.min(best, pressed / calm);
        log(
          `${scheme}: p99 ${calm.toFixed(2)} ms, ${pressed.toFixed(2)} ms with ${STUCK} sockets stuck after ${said}`,
        );
      }
      tally.check(best <= 2, () => `${said}: p99 grew ${best.toFixed(1)} times`);
      tally.tried += connected;
    }
    return tally.outcome;
  },
};
