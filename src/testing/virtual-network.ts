/**
 * A simulated network: hosts, connections between them, and everything that can happen on the way.
 *
 * Approach: a connection is two directions of frames; each direction follows the path from host to host,
 * which says how long frames take and what goes wrong. A blocked path holds its frames, as TCP would, and
 * lets them go when it opens, unless the connection has ended by then. By default the promises of the
 * transport port hold: a frame that is lost takes its connection with it. `silentLoss`, `duplicate` and
 * `reorder` break them, for frames that `fragile` names, to show that what lies above heals.
 *
 * Invariants: frames of a direction arrive in order but for `reorder`; a side hears `closed` exactly once
 * and nothing after it; what is on the way to a dead process is gone.
 */
import { MeshError } from "../errors.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { VirtualConnection } from "./virtual-connection.ts";
import type { Carrier, NetworkHooks, Path } from "./virtual-path.ts";
import type { VirtualProcess } from "./virtual-process.ts";
import type { VirtualTime } from "./virtual-time.ts";

export const QUIET_PATH: Readonly<Path> = Object.freeze({
  delayMinMs: 0.05,
  delayMeanMs: 0.1,
  loss: 0,
  silentLoss: 0,
  duplicate: 0,
  reorder: 0,
  blocked: 0,
});

export type Accept = (connection: VirtualConnection) => void;

type Host = { isUp: boolean; nextPort: number };
type Socket = { readonly process: VirtualProcess; readonly accept: Accept };

const PORT_FIRST = 1_024;

export class VirtualNetwork implements Carrier<VirtualConnection> {
  readonly time: VirtualTime;
  readonly hooks: NetworkHooks;
  readonly #random: SeededRandom;
  readonly #hosts = new Map<string, Host>();
  readonly #sockets = new Map<string, Socket>();
  readonly #paths = new Map<string, Path>();
  readonly #connections = new Set<VirtualConnection>();

  constructor(time: VirtualTime, random: SeededRandom, hooks: NetworkHooks) {
    this.time = time;
    this.hooks = hooks;
    this.#random = random;
  }

  /** The path between two hosts, to be changed at will. */
  path(from: string, to: string): Path {
    const key = `${from}>${to}`;
    let path = this.#paths.get(key);
    if (path === undefined) {
      path = { ...QUIET_PATH };
      this.#paths.set(key, path);
    }
    return path;
  }

  block(from: string, to: string): void {
    this.path(from, to).blocked++;
  }

  /** What a blocked path held goes on. */
  unblock(from: string, to: string): void {
    const path = this.path(from, to);
    path.blocked = Math.max(0, path.blocked - 1);
    if (path.blocked > 0) return;
    for (const side of [...this.#connections]) {
      if (side.host === from && side.peerHost === to) side.release();
    }
  }

  /** Breaks every connection between two hosts; a side whose path is blocked does not hear of it. */
  reset(a: string, b: string): void {
    for (const side of [...this.#connections]) {
      if (side.host === a && side.peerHost === b) {
        this.hooks.fault("reset");
        side.break("connection reset");
        this.sendReset(side);
      }
    }
  }

  /** The process of a host has died. `powerLoss`: nobody there answers until the host is up again. */
  died(host: string, powerLoss: boolean): void {
    this.#host(host).isUp = !powerLoss;
    for (const [address, socket] of [...this.#sockets]) {
      if (!socket.process.isAlive) this.#sockets.delete(address);
    }
    for (const side of [...this.#connections]) {
      if (side.host !== host || side.process.isAlive) continue;
      if (!powerLoss) this.sendReset(side);
      this.#connections.delete(side);
    }
  }

  up(host: string): void {
    this.#host(host).isUp = true;
  }

  // --- for transports and connections --------------------------------------------------------

  /** @throws MeshError ADDRESS_IN_USE */
  listen(host: string, port: number, process: VirtualProcess, accept: Accept): string {
    const state = this.#host(host);
    const bound = port === 0 ? state.nextPort++ : port;
    const address = `sim://${host}:${bound}`;
    if (this.#sockets.get(address)?.process.isAlive === true) {
      throw new MeshError("ADDRESS_IN_USE", `${address} is in use`);
    }
    this.#sockets.set(address, { process, accept });
    return address;
  }

  unlisten(address: string): void {
    this.#sockets.delete(address);
  }

  /** Connects, or fails after the time-out; refused at once where nobody listens. */
  dial(
    from: { readonly host: string; readonly process: VirtualProcess },
    address: string,
    timeoutMs: number,
    frameBytesMax: number,
  ): Promise<VirtualConnection> {
    const to = address.slice("sim://".length).split(":")[0] as string;
    return new Promise((resolve, reject) => {
      let over = false;
      const fail = (why: string, refused = false): void => {
        if (over) return;
        over = true;
        reject(new MeshError("PEER_LOST", `${address}: ${why}`, { details: { refused } }));
      };
      from.process.post(timeoutMs, () => fail(`no answer within ${timeoutMs} ms`));
      if (this.#isCut(from.host, to)) return;
      this.time.after(this.delay(from.host, to), () => {
        const socket = this.#sockets.get(address);
        if (!this.#host(to).isUp || this.#isCut(to, from.host)) return;
        const backMs = this.delay(to, from.host);
        if (socket?.process.isAlive !== true) {
          from.process.post(backMs, () => fail("connection refused", true));
          return;
        }
        const near = new VirtualConnection(this, from.host, from.process, address, frameBytesMax);
        const origin = `sim://${from.host}:0`;
        const far = new VirtualConnection(this, to, socket.process, origin, frameBytesMax);
        near.pair(far);
        far.pair(near);
        this.#connections.add(near);
        this.#connections.add(far);
        socket.process.enter(() => socket.accept(far));
        from.process.post(backMs, () => {
          if (over) near.abandon();
          else {
            over = true;
            resolve(near);
          }
        });
      });
    });
  }

  delay(from: string, to: string): number {
    const { delayMinMs, delayMeanMs } = this.path(from, to);
    const spread = Math.max(0, delayMeanMs - delayMinMs);
    return delayMinMs + (spread === 0 ? 0 : this.#random.exponential(spread));
  }

  chance(probability: number): boolean {
    return probability > 0 && this.#random.chance(probability);
  }

  isUp(host: string): boolean {
    return this.#host(host).isUp;
  }

  forget(side: VirtualConnection): void {
    this.#connections.delete(side);
  }

  /** Tells the other side that this one is gone, if the path lets it through. */
  sendReset(side: VirtualConnection): void {
    const { peer } = side;
    if (peer === undefined || this.#isCut(side.host, side.peerHost)) return;
    this.time.after(this.delay(side.host, side.peerHost), () => peer.break("connection reset"));
  }

  #isCut(from: string, to: string): boolean {
    return this.path(from, to).blocked > 0;
  }

  #host(name: string): Host {
    let host = this.#hosts.get(name);
    if (host === undefined) {
      host = { isUp: true, nextPort: PORT_FIRST };
      this.#hosts.set(name, host);
    }
    return host;
  }
}
