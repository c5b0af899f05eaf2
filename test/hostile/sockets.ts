/** Connections that claim too much, or say nothing: they cost what the limits say, and nobody else waits for them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { PREAMBLE } from "../../src/transport/stream/frame-reader.ts";
import { tlsDialOptions } from "../../src/transport/tls-channel.ts";
import { type HostileCase, Tally } from "./hostile-case.ts";
import { ask, told } from "./others.ts";
import { type Scheme, SecuredRig } from "./secured-rig.ts";

const STUCK = 1_000;
const HOLDER = ".build/test/hostile/stuck-sockets.js";
const ASK_MS = 1_000;
const RSS_GROWTH_MAX = 64 * 2 ** 20;
/** Well below the time that a greeting has, after which it would be cut anyway. */
const WAITED_MS_MAX = 4_000;
/** Measured again so often before it counts: the machine is not ours alone. */
const MEASURES = 8;

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
      await ask(asker, sleep(ASK_MS)); // warm
      const port = portOf(victim.addresses[0] as string);
      let best = Number.POSITIVE_INFINITY;
      for (let measure = 0; measure < MEASURES && best > 2; measure++) {
        const calm = await ask(asker, sleep(ASK_MS));
        const stuck = spawn(
          process.execPath,
          [HOLDER, `${port}`, `${STUCK}`, beginning.toString("hex")],
          {
            stdio: ["pipe", "pipe", "inherit"],
          },
        );
        const coming = await ask(asker, once(stuck.stdout, "data"));
        const pressed = await ask(asker, sleep(ASK_MS));
        const late = await rig.node(`late-${measure}`, scheme, { peers: [victim] });
        tally.check(late.peers().length > 0, () => `${said}: nobody new gets in`);
        const gone = once(stuck, "exit");
        stuck.stdin.end();
        await gone;
        const failed = coming.failed + pressed.failed;
        tally.check(failed === 0, () => `${said}: ${failed} asks of others failed`);
        best = Math.min(best, pressed.p99 / calm.p99, pressed.workP99 / calm.workP99);
        log(`${STUCK} sockets that come, and say ${said}: ${told(calm, coming)}`);
        log(`${STUCK} sockets stuck after ${said}: ${told(calm, pressed)}`);
        tally.tried += STUCK;
      }
      tally.check(best <= 2, () => `${said}: p99 grew ${best.toFixed(1)} times`);
    }
    return tally.outcome;
  },
};
