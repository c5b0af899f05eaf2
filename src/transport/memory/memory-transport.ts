/**
 * The transport inside one process: "mem://host:port" names on a `MemoryNetwork` that the transports of a
 * test share, or "inproc://process:port" names that all nodes of a process share (inproc-transport.ts).
 *
 * Problem: a test must replay exactly, and nodes of one process need no socket between them.
 * Approach: bytes are handed over, not copied, at the end of the turn in which they were sent; nothing
 * here knows of time but the clock of the context, so a virtual clock decides everything.
 *
 * Invariants:
 * - an address has one listener at a time, and is free again when that listener has closed;
 * - a stopped transport has closed its listeners and every connection it dialled or accepted.
 */
import { MeshError } from "../../errors.ts";
import type {
  Connection,
  Listener,
  ListenOptions,
  Transport,
  TransportContext,
} from "../../ports/transport.ts";
import { assertBindable } from "../host-port.ts";
import { MemoryConnection } from "./memory-connection.ts";

const FIRST_FREE_PORT = 49_152;

/** Of the transports on one network. */
export type MemoryNames = {
  readonly scheme: string;
  readonly preference: number;
  /** In place of the host that is listened on. */
  readonly host?: string;
  /** After so many deliveries of a direction, timers and sockets have their turn. */
  readonly deliveriesAtOnce: number;
};

const IN_TESTS: MemoryNames = { scheme: "mem", preference: 100, deliveriesAtOnce: 1_024 };

/** The names in use. Transports that share one can reach one another. */
export class MemoryNetwork {
  readonly #listeners = new Map<string, MemoryListener>();
  readonly names: MemoryNames;

  constructor(names: MemoryNames = IN_TESTS) {
    this.names = names;
  }

  /** @internal The address of a host's port. */
  addressOf({ host, port }: ListenOptions): string {
    return `${this.names.scheme}://${this.names.host ?? host}:${port}`;
  }

  /** @internal */
  find(address: string): MemoryListener | undefined {
    return this.#listeners.get(address);
  }

  /** @internal */
  add(listener: MemoryListener): void {
    this.#listeners.set(listener.address, listener);
  }

  /** @internal */
  remove(listener: MemoryListener): void {
    this.#listeners.delete(listener.address);
  }

  /** @internal Lowest free port of the dynamic range. */
  freePort(host: string): number {
    for (let port = FIRST_FREE_PORT; port <= 65_535; port += 1) {
      if (!this.#listeners.has(this.addressOf({ host, port }))) return port;
    }
    const wanted = this.addressOf({ host, port: 0 });
    throw new MeshError("ADDRESS_IN_USE", `every dynamic port of ${wanted} is in use`);
  }
}

export function memoryTransport(network: MemoryNetwork): Transport {
  return new MemoryTransport(network);
}

class MemoryTransport implements Transport {
  readonly scheme: string;
  readonly preference: number;
  readonly #network: MemoryNetwork;
  readonly #listeners = new Set<MemoryListener>();
  readonly #dialed = new Set<MemoryConnection>();
  #context: TransportContext | undefined;
  #stopped = false;

  constructor(network: MemoryNetwork) {
    this.#network = network;
    this.scheme = network.names.scheme;
    this.preference = network.names.preference;
  }

  /** Names of another process lead nowhere. */
  reaches(address: string): boolean {
    const { scheme, host } = this.#network.names;
    return host === undefined || address.startsWith(`${scheme}://${host}:`);
  }

  async start(context: TransportContext): Promise<void> {
    this.#context = context;
  }

  async listen(
    options: ListenOptions,
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    const context = this.#running();
    const { host, port } = options;
    assertBindable(options, this.#network.addressOf(options));
    const real = port === 0 ? this.#network.freePort(host) : port;
    const address = this.#network.addressOf({ host, port: real });
    if (this.#network.find(address) !== undefined) {
      throw new MeshError("ADDRESS_IN_USE", `address ${address} is in use`);
    }
    const listener = new MemoryListener(address, context, accept, () => {
      this.#network.remove(listener);
      this.#listeners.delete(listener);
    });
    this.#network.add(listener);
    this.#listeners.add(listener);
    return listener;
  }

  dial(address: string, options: { timeoutMs: number; signal?: AbortSignal }): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const context = this.#running();
      const { scheme, deliveriesAtOnce } = this.#network.names;
      if (!address.startsWith(`${scheme}://`) || !/:\/\/.+:\d{1,5}$/.test(address)) {
        const text = JSON.stringify(address.slice(0, 300));
        const form = `${scheme}://host:port`;
        throw new MeshError("INVALID_OPTIONS", `address ${text} is not of the form ${form}`);
      }
      context.clock.endOfTurn(() => {
        const listener = this.#network.find(address);
        if (this.#stopped) reject(stopped());
        else if (options.signal?.aborted)
          reject(new MeshError("ABORTED", `the dial of ${address} was aborted`));
        else if (listener === undefined || options.timeoutMs <= 0)
          reject(
            new MeshError("PEER_LOST", `nobody listens on ${address}`, {
              details: { refused: listener === undefined },
            }),
          );
        else resolve(this.#connect(listener, context, deliveriesAtOnce));
      });
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const connection of this.#dialed) connection.close();
    await Promise.all([...this.#listeners].map((listener) => listener.close()));
  }

  #connect(
    listener: MemoryListener,
    context: TransportContext,
    deliveriesAtOnce: number,
  ): Connection {
    const near: MemoryConnection = new MemoryConnection(
      listener.address,
      context,
      deliveriesAtOnce,
      () => this.#dialed.delete(near),
    );
    this.#dialed.add(near);
    listener.accept(near, deliveriesAtOnce);
    return near;
  }

  #running(): TransportContext {
    if (this.#context === undefined || this.#stopped) throw stopped();
    return this.#context;
  }
}

class MemoryListener implements Listener {
  readonly address: string;
  readonly #context: TransportContext;
  readonly #accept: (connection: Connection) => void;
  readonly #remove: () => void;
  readonly #connections = new Set<MemoryConnection>();
  #accepted = 0;

  constructor(
    address: string,
    context: TransportContext,
    accept: (connection: Connection) => void,
    remove: () => void,
  ) {
    this.address = address;
    this.#context = context;
    this.#accept = accept;
    this.#remove = remove;
  }

  accept(near: MemoryConnection, deliveriesAtOnce: number): void {
    this.#accepted += 1;
    const remote = `peer ${this.#accepted} of ${this.address}`;
    const far: MemoryConnection = new MemoryConnection(
      remote,
      this.#context,
      deliveriesAtOnce,
      () => this.#connections.delete(far),
    );
    this.#connections.add(far);
    near.pair(far);
    far.pair(near);
    try {
      this.#accept(far);
    } catch (error) {
      this.#context.logger.error("accept threw", { address: this.address, error });
      far.close();
    }
  }

  async close(): Promise<void> {
    this.#remove();
    for (const connection of this.#connections) connection.close();
  }
}

function stopped(): MeshError {
  return new MeshError("STOPPED", "the memory transport is not running");
}
