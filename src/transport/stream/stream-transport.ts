/**
 * The transport over plain TCP sockets: "tcp://host:port".
 *
 * Problem: ZeroMQ's I/O thread costs two hops between threads each way, which a request feels. Approach: the
 * same frames over `node:net`, on the event loop itself; each dial is one socket, each accepted socket one
 * connection. What makes connections out of sockets is in stream-connection.ts.
 *
 * A node with keys speaks TLS (tls-channel.ts) under the same frames.
 *
 * Bounds: `connectionsMax` of a listener, then newcomers are closed at once and counted; what the kernel
 * buffers is the system's; what waits for it is `bufferedBytes`, the caller's to watch.
 */
import { connect, createServer, isIPv6, type Server, type Socket } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { MeshError } from "../../errors.ts";
import type {
  Channel,
  Connection,
  Listener,
  ListenOptions,
  Transport,
  TransportContext,
} from "../../ports/transport.ts";
import { type DialOptions, Dials } from "../dials.ts";
import { formatHostPort, parseHostPort } from "../host-port.ts";
import { listenError } from "../listen-error.ts";
import { listenOn } from "../listen-on.ts";
import { notReached } from "../not-reached.ts";
import { secured, TlsAcceptor, tlsDialOptions } from "../tls-channel.ts";
import { StreamConnection } from "./stream-connection.ts";

export type StreamOptions = {
  /** Port to listen on; 0 to 65,535. Default 0: a free one. `listen.port` of a node is another transport's. */
  readonly port?: number;
  /** Connections a listener accepts at a time; 1 to 65,535. Default 4,096. */
  readonly connectionsMax?: number;
};

const SCHEME = "tcp";
const CONNECTIONS_MAX = 4_096;

/** @throws MeshError INVALID_OPTIONS */
export function stream(options: StreamOptions = {}): Transport {
  const { port = 0, connectionsMax = CONNECTIONS_MAX } = options;
  const problems: string[] = [];
  for (const [name, value, min] of [
    ["port", port, 0],
    ["connectionsMax", connectionsMax, 1],
  ] as const) {
    if (Number.isInteger(value) && value >= min && value <= 65_535) continue;
    problems.push(`stream.${name} ${String(value)} is not a whole number of ${min}..65535`);
  }
  if (problems.length > 0) throw new MeshError("INVALID_OPTIONS", problems.join("; "));
  return new StreamTransport(port, connectionsMax);
}

class StreamTransport implements Transport {
  readonly scheme = SCHEME;
  readonly preference = 60;
  readonly #port: number;
  readonly #connectionsMax: number;
  readonly #listeners = new Set<StreamListener>();
  readonly #connections = new Set<StreamConnection>();
  readonly #dials = new Dials();
  #context: TransportContext | undefined;
  #stopping: Promise<void> | undefined;

  constructor(port: number, connectionsMax: number) {
    this.#port = port;
    this.#connectionsMax = connectionsMax;
  }

  async start(context: TransportContext): Promise<void> {
    this.#context = context;
  }

  async listen(
    options: ListenOptions,
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    const context = this.#running();
    const { host } = options;
    const port = options.port === 0 ? this.#port : options.port;
    const wanted = formatHostPort(SCHEME, { host, port });
    if (host === "" || !Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new MeshError("INVALID_OPTIONS", `cannot listen on ${wanted}: host or port is invalid`);
    }
    const listener = new StreamListener(context, accept);
    try {
      await listener.bind(host, port, this.#connectionsMax);
    } catch (error) {
      throw listenError(error, wanted);
    }
    if (this.#stopping !== undefined) {
      await listener.close();
      throw stopped();
    }
    this.#listeners.add(listener);
    return listener;
  }

  async dial(address: string, options: DialOptions): Promise<Connection> {
    const context = this.#running();
    const { socket, open } = dialled(address, context);
    let channel: Channel | undefined;
    await this.#dials.within(context.clock, options, {
      remote: address,
      open: async () => {
        channel = await open();
      },
      cut: () => {
        socket.on("error", () => {});
        socket.destroy();
      },
    });
    const connection = new StreamConnection(socket, address, context, channel);
    this.#connections.add(connection);
    void connection.gone.then(() => this.#connections.delete(connection));
    return connection;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#dials.stop(stopped());
    const connections = [...this.#connections];
    for (const connection of connections) connection.close();
    await Promise.all([
      ...connections.map(({ gone }) => gone),
      ...[...this.#listeners].map((listener) => listener.close()),
    ]);
    this.#listeners.clear();
  }

  #running(): TransportContext {
    if (this.#context === undefined || this.#stopping !== undefined) throw stopped();
    return this.#context;
  }
}

class StreamListener implements Listener {
  readonly #context: TransportContext;
  readonly #server: Server;
  readonly #connections = new Set<StreamConnection>();
  readonly #acceptor: TlsAcceptor | undefined;
  #address = "";
  #closing: Promise<void> | undefined;

  constructor(context: TransportContext, accept: (connection: Connection) => void) {
    this.#context = context;
    const { security } = context;
    this.#acceptor =
      security &&
      new TlsAcceptor(context, security, undefined, (socket, channel) =>
        this.#accepted(socket, accept, channel),
      );
    this.#server = createServer({ noDelay: true }, (socket) => {
      if (this.#acceptor === undefined) this.#accepted(socket, accept, undefined);
      else this.#acceptor.take(socket);
    });
    this.#server.on("drop", () => context.count("transport.refused"));
  }

  get address(): string {
    return this.#address;
  }

  /** @throws the system's error */
  async bind(host: string, port: number, connectionsMax: number): Promise<void> {
    const server = this.#server;
    server.maxConnections = connectionsMax;
    this.#address = await listenOn(server, SCHEME, { host, port }, this.#context.logger);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#acceptor?.close();
    for (const connection of this.#connections) connection.close();
    await closed;
  }

  #accepted(
    socket: Socket,
    accept: (connection: Connection) => void,
    channel: Channel | undefined,
  ): void {
    const { remoteAddress = "unknown", remotePort = 0 } = socket;
    const host = isIPv6(remoteAddress) ? `[${remoteAddress}]` : remoteAddress;
    const remote = `${SCHEME}://${host}:${remotePort}`;
    const connection = new StreamConnection(socket, remote, this.#context, channel);
    this.#connections.add(connection);
    void connection.gone.then(() => this.#connections.delete(connection));
    try {
      accept(connection);
    } catch (error) {
      this.#context.logger.error("accept threw", { address: this.#address, error });
      connection.close();
    }
  }
}

type Dialled = { readonly socket: Socket; open(): Promise<Channel | undefined> };

const dialled = (address: string, { security }: TransportContext): Dialled => {
  const at = parseHostPort(SCHEME, address);
  if (security === undefined) {
    const socket = connect({ ...at, noDelay: true });
    return { socket, open: () => connected(socket, address).then(() => undefined) };
  }
  const socket = tlsConnect({ ...at, ...tlsDialOptions(security) });
  socket.setNoDelay(true);
  return { socket, open: () => secured(socket, security, address) };
};

const connected = (socket: Socket, address: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const failed = (cause: Error): void => reject(notReached(address, cause));
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.removeListener("error", failed);
      resolve();
    });
  });

const stopped = (): MeshError => new MeshError("STOPPED", "the stream transport is not running");
