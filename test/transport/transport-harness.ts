/**
 * What the transport suites run in: transports with counters and the process's own time, and recorders that know
 * what a connection's events must never do. Waiting is always for a condition, with a deadline.
 */
import type { MeshError } from "../../src/errors.ts";
import type { Security } from "../../src/ports/security.ts";
import type {
  Connection,
  ConnectionEvents,
  Listener,
  Transport,
  TransportContext,
} from "../../src/ports/transport.ts";
import { ownClock } from "../own-clock.ts";

/** Ends a wait that would be in vain. */
export const DEADLINE_MS = 60_000;
export const FRAME_BYTES_MAX = 1 << 20;

export type TestContext = TransportContext & { readonly counts: Map<string, number> };

export function testContext(
  frameBytesMax = FRAME_BYTES_MAX,
  clock = ownClock,
  security?: Security,
): TestContext {
  const counts = new Map<string, number>();
  const ignore = () => {};
  return {
    clock,
    logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    frameBytesMax,
    security,
    counts,
    count: (name) => void counts.set(name, (counts.get(name) ?? 0) + 1),
  };
}

/** Records the events of one connection and notes each breach of the port's promises. */
export class Recorder implements ConnectionEvents {
  readonly connection: Connection;
  readonly frames: Uint8Array[] = [];
  readonly closes: (MeshError | undefined)[] = [];
  readonly breaches: string[] = [];
  drains = 0;
  onFrame: ((bytes: Uint8Array) => void) | undefined;
  /** When false, frames are counted but not kept. */
  keep = true;
  received = 0;
  readonly #waiting = new Set<() => void>();

  constructor(connection: Connection) {
    this.connection = connection;
    connection.open(this);
  }

  frame(bytes: Uint8Array): void {
    if (this.closes.length > 0) this.breaches.push("frame after closed");
    if (bytes.length === 0) this.breaches.push("empty frame");
    this.received += 1;
    if (this.keep) this.frames.push(bytes);
    this.onFrame?.(bytes);
    this.#wake();
  }

  drained(): void {
    if (this.closes.length > 0) this.breaches.push("drained after closed");
    if (this.connection.bufferedBytes !== 0) this.breaches.push("drained with bytes buffered");
    this.drains += 1;
    this.#wake();
  }

  closed(reason?: MeshError): void {
    if (this.closes.length > 0) this.breaches.push("closed twice");
    this.closes.push(reason);
    this.#wake();
  }

  /** Waits until the condition holds; looked at after each event. */
  until(what: string, condition: () => boolean, deadlineMs: number): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const done = (error?: Error) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        if (error === undefined) resolve();
        else reject(error);
      };
      const look = () => {
        if (condition()) done();
      };
      const state = () => `${this.received} frames, ${this.closes.length} closes`;
      const timer = setTimeout(
        () => done(new Error(`not within ${deadlineMs} ms: ${what} (${state()})`)),
        deadlineMs,
      );
      this.#waiting.add(look);
    });
  }

  #wake(): void {
    for (const look of [...this.#waiting]) look();
  }
}

export type TestNode = {
  readonly transport: Transport;
  readonly context: TestContext;
};

export type Pair = { readonly dialed: Recorder; readonly accepted: Recorder };

/** The transports of one case, stopped when it ends. */
export class Harness {
  readonly deadlineMs: number;
  readonly host: string;
  readonly #create: (address?: string) => Transport;
  readonly #security: Security | undefined;
  readonly #nodes: TestNode[] = [];
  readonly recorders: Recorder[] = [];

  /** @param create makes a transport that will listen at the address, where that is not a matter of its port */
  constructor(
    create: (address?: string) => Transport,
    host: string,
    deadlineMs: number,
    security?: Security,
  ) {
    this.#create = create;
    this.#security = security;
    this.host = host;
    this.deadlineMs = deadlineMs;
  }

  async node(
    frameBytesMax = FRAME_BYTES_MAX,
    security = this.#security,
    address?: string,
  ): Promise<TestNode> {
    const context = testContext(frameBytesMax, ownClock, security);
    const node = { transport: this.#create(address), context };
    this.#nodes.push(node);
    await node.transport.start(node.context);
    return node;
  }

  /** A listener and the recorders of what it accepts, in order. */
  async listen(node: TestNode, port = 0): Promise<{ listener: Listener; accepted: Recorder[] }> {
    const accepted: Recorder[] = [];
    const listener = await node.transport.listen({ host: this.host, port }, (connection) => {
      accepted.push(this.record(connection));
    });
    return { listener, accepted };
  }

  /** A node of its own that listens there; undefined: anywhere. */
  async listenAt(address?: string): Promise<{
    server: TestNode;
    listener: Listener;
    accepted: Recorder[];
  }> {
    const server = await this.node(FRAME_BYTES_MAX, this.#security, address);
    const port = address === undefined ? 0 : Number(/:(\d+)(?:\?|$)/.exec(address)?.[1] ?? 0);
    return { server, ...(await this.listen(server, port)) };
  }

  async dial(node: TestNode, address: string): Promise<Recorder> {
    const connection = await node.transport.dial(address, { timeoutMs: this.deadlineMs });
    return this.record(connection);
  }

  record(connection: Connection): Recorder {
    const recorder = new Recorder(connection);
    this.recorders.push(recorder);
    return recorder;
  }

  /** Two nodes and one connection between them, which carried one frame each way. */
  async pair(dialerMax = FRAME_BYTES_MAX, listenerMax = FRAME_BYTES_MAX): Promise<Pair> {
    const server = await this.node(listenerMax);
    const client = await this.node(dialerMax);
    const { listener, accepted } = await this.listen(server);
    return this.connect(client, listener.address, accepted);
  }

  async connect(client: TestNode, address: string, accepted: Recorder[]): Promise<Pair> {
    const before = accepted.length;
    const dialed = await this.dial(client, address);
    await this.poll("the listener accepted", () => accepted.length > before);
    const pair = { dialed, accepted: accepted[before] as Recorder };
    return pair;
  }

  /** For conditions that no recorder announces. */
  async poll(what: string, condition: () => boolean): Promise<void> {
    const endMs = performance.now() + this.deadlineMs;
    while (!condition()) {
      if (performance.now() > endMs) throw new Error(`not within ${this.deadlineMs} ms: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.transport.stop()));
  }
}

/** A frame that says which one it is, and that is recognisable to its last byte. */
export function numbered(number: number, bytes: number): Uint8Array {
  const frame = new Uint8Array(bytes).fill(number & 0xff);
  if (bytes >= 4) new DataView(frame.buffer).setUint32(0, number);
  return frame;
}

export function numberOf(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset, frame.byteLength).getUint32(0);
}

/** Sends `count` numbered frames, stopping while more than `bufferedMax` bytes wait. */
export async function sendMany(
  from: Recorder,
  count: number,
  bytes: number,
  deadlineMs: number,
  bufferedMax = 256 * 1024,
): Promise<void> {
  for (let number = 0; number < count; number += 1) {
    from.connection.send(numbered(number, bytes));
    if (from.connection.bufferedBytes <= bufferedMax) continue;
    await from.until("drained", () => from.connection.bufferedBytes === 0, deadlineMs);
  }
}
