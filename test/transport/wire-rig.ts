/** What the tests of transports over sockets share: a harness, peers in other processes, bare sockets, all ended with the test. */
import { strict as assert } from "node:assert";
import type { EventEmitter } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, beforeEach } from "vitest";
import { MeshError } from "../../src/errors.ts";
import type { Listener, Transport } from "../../src/ports/transport.ts";
import { PeerProcesses } from "./peer-process.ts";
import { DEADLINE_MS, Harness, numbered, type Recorder } from "./transport-harness.ts";

export type Listening = {
  readonly listener: Listener;
  readonly accepted: Recorder[];
  count(name: string): number;
  /** It still accepts, and carries frames. */
  goesOn(): Promise<void>;
};

export class WireRig<Options extends object> {
  /** What peers in other processes are told to listen with. */
  readonly scheme: string;
  /** Of the transports that a test makes. */
  options: Partial<Options> = {};
  harness: Harness;
  peers = new PeerProcesses();
  readonly #cleanups: (() => void)[] = [];

  constructor(scheme: string, create: (options: Partial<Options>) => Transport) {
    this.scheme = scheme;
    const made = () => new Harness(() => create(this.options), "127.0.0.1", DEADLINE_MS);
    this.harness = made();
    beforeEach(() => {
      this.options = {};
      this.peers = new PeerProcesses();
      this.harness = made();
    });
    afterEach(async () => {
      for (const cleanup of this.#cleanups.splice(0)) cleanup();
      this.peers.kill();
      await this.harness.stop();
      for (const recorder of this.harness.recorders) assert.deepEqual(recorder.breaches, []);
    });
  }

  ends(cleanup: () => void): void {
    this.#cleanups.push(cleanup);
  }

  async listening(): Promise<Listening> {
    const { harness } = this;
    const server = await harness.node();
    const { listener, accepted } = await harness.listen(server);
    const goesOn = async (): Promise<void> => {
      const pair = await harness.connect(await harness.node(), listener.address, accepted);
      pair.dialed.connection.send(numbered(1, 10));
      await pair.accepted.until("frame", () => pair.accepted.received === 1, DEADLINE_MS);
    };
    const count = (name: string): number => server.context.counts.get(name) ?? 0;
    return { listener, accepted, count, goesOn };
  }

  /** Dials a peer that listens in another process. */
  async dial(line: string): Promise<Recorder> {
    return this.harness.dial(await this.harness.node(), line);
  }

  /** A bare TCP client. */
  bareClient(address: string): { socket: Socket; closed: Promise<void> } {
    const socket = connect(portOf(address), "127.0.0.1");
    socket.on("error", () => {});
    socket.resume();
    this.ends(() => socket.destroy());
    return { socket, closed: closeOf(socket) };
  }
}

/** Not events.once(): that rejects when a socket is reset, which is a close as well. */
export const closeOf = (emitter: EventEmitter): Promise<void> =>
  new Promise((resolve) => emitter.once("close", () => resolve()));

export const portOf = (address: string): number => Number(address.split(":").at(-1));

export const lostBy = async (recorder: Recorder): Promise<void> => {
  await recorder.until("closed", () => recorder.closes.length > 0, DEADLINE_MS);
  assert.ok(MeshError.is(recorder.closes[0], "PEER_LOST"));
};

export const leftBy = async (recorder: Recorder): Promise<void> => {
  await recorder.until("closed", () => recorder.closes.length > 0, DEADLINE_MS);
  assert.equal(recorder.closes[0], undefined);
};

export const echoes = async (recorder: Recorder, text: string): Promise<void> => {
  const before = recorder.received;
  recorder.connection.send(Buffer.from(text));
  await recorder.until("echo", () => recorder.received > before, DEADLINE_MS);
  assert.equal(Buffer.from(recorder.frames.at(-1) as Uint8Array).toString(), text);
};
