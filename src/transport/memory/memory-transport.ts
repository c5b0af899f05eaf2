/**
 * The transport inside one process: "mem://host:port" names on a `MemoryNetwork` that the transports of a
 * test, a simulation or one node (its link to itself) share.
 *
 * Problem: a simulation must replay exactly, and a node's link to itself must cost next to nothing.
 * Approach: bytes are handed over, not copied, at the end of the turn in which they were sent; nothing
 * here knows of time but the clock of the context, so a virtual clock decides everything.
 *
 * Invariants:
 * - frames arrive in order, never in the turn of their `send`, and before the close that followed them;
 * - one delivery is scheduled per direction at a time, and takes what was there when it began;
 * - two nodes that answer one another endlessly still let timers run: every 1,024th delivery of a
 *   direction goes through a timer of 0 ms.
 */
import { MeshError } from "../../errors.ts";
import type {
  Connection,
  ConnectionEvents,
  Listener,
  ListenOptions,
  Transport,
  TransportContext,
} from "../../ports/transport.ts";

const SCHEME = "mem";
const DELIVERIES_PER_TIMER = 1024;
const FIRST_FREE_PORT = 49_152;

/** The names in use. Transports that share one can reach one another. */
export class MemoryNetwork {
  readonly #listeners = new Map<string, MemoryListener>();

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
      if (!this.#listeners.has(formatAddress({ host, port }))) return port;
    }
    throw new MeshError("ADDRESS_IN_USE", `every dynamic port of ${SCHEME}://${host} is in use`);
  }
}

export function memoryTransport(network: MemoryNetwork): Transport {
  return new MemoryTransport(network);
}

class MemoryTransport implements Transport {
  readonly scheme = SCHEME;
  readonly preference = 100;
  readonly #network: MemoryNetwork;
  readonly #listeners = new Set<MemoryListener>();
  readonly #dialed = new Set<MemoryConnection>();
  #context: TransportContext | undefined;
  #stopped = false;

  constructor(network: MemoryNetwork) {
    this.#network = network;
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
    if (host === "" || !Number.isInteger(port) || port < 0 || port > 65_535) {
      const at = formatAddress(options);
      throw new MeshError("INVALID_OPTIONS", `cannot listen on ${at}: host or port is invalid`);
    }
    const real = port === 0 ? this.#network.freePort(host) : port;
    const address = formatAddress({ host, port: real });
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
      if (!/^mem:\/\/.+:\d{1,5}$/.test(address)) {
        const text = JSON.stringify(address.slice(0, 300));
        throw new MeshError(
          "INVALID_OPTIONS",
          `address ${text} is not of the form mem://host:port`,
        );
      }
      context.clock.endOfTurn(() => {
        const listener = this.#network.find(address);
        if (this.#stopped) reject(stopped());
        else if (options.signal?.aborted)
          reject(new MeshError("ABORTED", `the dial of ${address} was aborted`));
        else if (listener === undefined || options.timeoutMs <= 0)
          reject(new MeshError("PEER_LOST", `nobody listens on ${address}`));
        else resolve(this.#connect(listener, context));
      });
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const connection of this.#dialed) connection.close();
    await Promise.all([...this.#listeners].map((listener) => listener.close()));
  }

  #connect(listener: MemoryListener, context: TransportContext): Connection {
    const near: MemoryConnection = new MemoryConnection(listener.address, context, () =>
      this.#dialed.delete(near),
    );
    this.#dialed.add(near);
    listener.accept(near);
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

  accept(near: MemoryConnection): void {
    this.#accepted += 1;
    const remote = `peer ${this.#accepted} of ${this.address}`;
    const far: MemoryConnection = new MemoryConnection(remote, this.#context, () =>
      this.#connections.delete(far),
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

/** The end of a direction: what follows the last frame. */
type Ending = { readonly reason: MeshError | undefined };

class MemoryConnection implements Connection {
  readonly remote: string;
  readonly #context: TransportContext;
  readonly #ended: () => void;
  #peer: MemoryConnection | undefined;
  #events: ConnectionEvents | undefined;
  /** Frames on their way to this side. */
  #arriving: Uint8Array[] = [];
  #ending: Ending | undefined;
  #scheduled = false;
  #deliveries = 0;
  /** Bytes sent by this side that the peer has not been given. */
  #unread = 0;
  #open = true;
  #reported = false;

  constructor(remote: string, context: TransportContext, ended: () => void) {
    this.remote = remote;
    this.#context = context;
    this.#ended = ended;
  }

  get bufferedBytes(): number {
    return this.#open ? this.#unread : 0;
  }

  /** Joins the two ends, before either is handed to a user. */
  pair(peer: MemoryConnection): void {
    this.#peer = peer;
  }

  open(events: ConnectionEvents): void {
    this.#events = events;
    if (this.#arriving.length > 0 || this.#ending !== undefined) this.#schedule();
  }

  send(frame: Uint8Array): void {
    const peer = this.#peer;
    if (!this.#open || peer === undefined) return;
    const bytesMax = this.#context.frameBytesMax;
    if (frame.length === 0) {
      this.#context.count("transport.badFrame");
      const message = "frame of 0 B cannot be sent, the smallest is 1 B";
      this.#close(new MeshError("INVALID_OPTIONS", message));
    } else if (frame.length > bytesMax) {
      this.#context.count("transport.badFrame");
      const message = `frame ${frame.length} B exceeds frameBytesMax ${bytesMax}`;
      this.#close(new MeshError("PAYLOAD_TOO_LARGE", message));
    } else {
      this.#unread += frame.length;
      peer.#arriving.push(frame);
      peer.#schedule();
    }
  }

  close(): void {
    if (this.#open) this.#close(undefined);
  }

  /** The peer hears `closed` after the frames on their way; this side at the end of the turn. */
  #close(reason: MeshError | undefined): void {
    this.#open = false;
    this.#arriving = [];
    this.#ending = { reason };
    this.#schedule();
    this.#peer?.#endAfterFrames();
  }

  #endAfterFrames(): void {
    if (this.#ending !== undefined) return;
    this.#ending = { reason: undefined };
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#events === undefined || this.#reported) return;
    this.#scheduled = true;
    this.#deliveries += 1;
    const { clock } = this.#context;
    if (this.#deliveries % DELIVERIES_PER_TIMER === 0) clock.setTimer(0, this.#deliver);
    else clock.endOfTurn(this.#deliver);
  }

  readonly #deliver = (): void => {
    this.#scheduled = false;
    const events = this.#events;
    if (events === undefined || this.#reported) return;
    const frames = this.#arriving;
    const ending = this.#ending;
    this.#arriving = [];
    for (const frame of frames) {
      if (!this.#open) break;
      this.#give(events, frame);
    }
    if (this.#ending === undefined) this.#peer?.#taken(frames);
    else if (this.#ending === ending) this.#finish(events, ending as Ending);
    else this.#schedule();
  };

  #give(events: ConnectionEvents, frame: Uint8Array): void {
    const bytesMax = this.#context.frameBytesMax;
    if (frame.length > bytesMax) {
      this.#context.count("transport.malformed");
      const message = `frame ${frame.length} B exceeds frameBytesMax ${bytesMax}`;
      this.#close(new MeshError("PEER_LOST", `${this.remote} sent a ${message}`));
      return;
    }
    try {
      events.frame(frame);
    } catch (error) {
      this.#context.logger.error("receiver of frames threw", { remote: this.remote, error });
      this.#close(new MeshError("PEER_LOST", "the receiver of frames threw", { cause: error }));
    }
  }

  #taken(frames: readonly Uint8Array[]): void {
    if (frames.length === 0) return;
    for (const frame of frames) this.#unread -= frame.length;
    if (this.#unread === 0 && this.#open) this.#events?.drained();
  }

  #finish(events: ConnectionEvents, ending: Ending): void {
    this.#open = false;
    this.#reported = true;
    this.#ended();
    try {
      if (ending.reason === undefined) events.closed();
      else events.closed(ending.reason);
    } catch (error) {
      this.#context.logger.error("receiver of closed threw", { remote: this.remote, error });
    }
  }
}

function formatAddress(at: { readonly host: string; readonly port: number }): string {
  return `${SCHEME}://${at.host}:${at.port}`;
}

function stopped(): MeshError {
  return new MeshError("STOPPED", "the memory transport is not running");
}
