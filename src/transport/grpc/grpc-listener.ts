/**
 * The accepting side: a plain TCP listener that hands its sockets to one gRPC server.
 *
 * Problem: a gRPC server says neither which error kept it from binding nor which socket a call came by, and
 * waits for peers that never open a call. Approach: the sockets are ours (`ConnectionInjector`), so that
 * they can be counted, limited, and cut off. With keys, a socket carries TLS (tls-channel.ts) before the server has it.
 *
 * Bounds: `connectionsMax` sockets, then newcomers are closed at once; as many links, then calls are refused
 * with RESOURCE_EXHAUSTED; both counted. CALLS_MAX calls at a time on one socket. A socket without a call is
 * closed after `handshakeTimeoutMs`, and counted as malformed if it said anything and never opened one.
 */
import { createServer, type Server as NetServer, type Socket } from "node:net";
import {
  type ConnectionInjector,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  status,
} from "@grpc/grpc-js";
import type { Timer } from "../../ports/clock.ts";
import type { Channel, Connection, Listener, TransportContext } from "../../ports/transport.ts";
import { formatHostPort } from "../host-port.ts";
import { listenOn } from "../listen-on.ts";
import { TlsAcceptor } from "../tls-channel.ts";
import { type Call, GrpcConnection } from "./grpc-connection.ts";
import { CLOSE_MS, HTTP2, messageLimits, SCHEME, serviceOf } from "./link-call.ts";

export type ListenLimits = {
  readonly connectionsMax: number;
  readonly handshakeTimeoutMs: number;
};

/** What a socket carries. */
type Carrier = {
  readonly socket: Socket;
  readonly remote: string;
  readonly channel: Channel | undefined;
  calls: number;
  isGreeted: boolean;
  timer: Timer | undefined;
};

type ServerCall = ServerDuplexStream<Buffer, Buffer>;

/** Of one socket: a link needs one, a client that shares its channel a few. */
const CALLS_MAX = 16;

export class GrpcListener implements Listener {
  readonly #context: TransportContext;
  readonly #limits: ListenLimits;
  readonly #accept: (connection: Connection) => void;
  readonly #net: NetServer;
  readonly #acceptor: TlsAcceptor | undefined;
  readonly #grpc: Server;
  readonly #injector: ConnectionInjector;
  /** By "address:port" of the peer, as gRPC names it. */
  readonly #carriers = new Map<string, Carrier>();
  readonly #connections = new Set<GrpcConnection>();
  #address = "";
  #closing: Promise<void> | undefined;

  constructor(
    path: string,
    context: TransportContext,
    limits: ListenLimits,
    accept: (connection: Connection) => void,
  ) {
    this.#context = context;
    this.#limits = limits;
    this.#accept = accept;
    const { security } = context;
    this.#acceptor =
      security &&
      new TlsAcceptor(context, security, HTTP2, (socket, channel) =>
        this.#connected(socket, channel),
      );
    this.#net = createServer({ noDelay: true }, (socket) => {
      if (this.#acceptor === undefined) this.#connected(socket, undefined);
      else this.#acceptor.take(socket);
    });
    this.#net.on("drop", () => context.count("transport.refused"));
    this.#grpc = new Server({
      ...messageLimits(context.frameBytesMax),
      "grpc.max_concurrent_streams": CALLS_MAX,
    });
    this.#grpc.addService(serviceOf(path), { open: (call: ServerCall) => this.#opened(call) });
    this.#injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure());
  }

  get address(): string {
    return this.#address;
  }

  /** @throws the system's error */
  async bind(host: string, port: number): Promise<void> {
    const server = this.#net;
    server.maxConnections = this.#limits.connectionsMax;
    this.#address = await listenOn(server, SCHEME, { host, port }, this.#context.logger);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#net.close(() => resolve()));
    this.#acceptor?.close();
    const open = [...this.#connections];
    for (const connection of open) connection.close();
    for (const { socket, calls } of this.#carriers.values()) if (calls === 0) socket.destroy();
    await Promise.all(open.map(({ gone }) => gone));
    // What was sent last may be on its way: the peer closes when it has it.
    const { clock } = this.#context;
    const deadline = clock.setTimer(CLOSE_MS, () => {
      for (const { socket } of this.#carriers.values()) socket.destroy();
    });
    await closed;
    clock.clearTimer(deadline);
    this.#injector.destroy();
    this.#grpc.forceShutdown();
  }

  #connected(socket: Socket, channel: Channel | undefined): void {
    const { remoteAddress = "unknown", remotePort = 0 } = socket;
    const remote = formatHostPort(SCHEME, { host: remoteAddress, port: remotePort });
    const rest = { calls: 0, isGreeted: false, timer: undefined };
    const carrier: Carrier = { socket, remote, channel, ...rest };
    const key = `${remoteAddress}:${remotePort}`;
    this.#carriers.set(key, carrier);
    socket.on("error", () => {}); // its close says it
    socket.once("close", () => {
      this.#carriers.delete(key);
      this.#unlimited(carrier);
      if (!carrier.isGreeted && socket.bytesRead > 0) this.#context.count("transport.malformed");
    });
    this.#limited(carrier);
    this.#injector.injectConnection(socket);
  }

  #opened(stream: ServerCall): void {
    const carrier = this.#carriers.get(stream.getPeer());
    if (carrier === undefined) return; // its socket has closed meanwhile, which ends the call
    carrier.isGreeted = true;
    if (this.#closing !== undefined || this.#connections.size >= this.#limits.connectionsMax) {
      this.#context.count("transport.refused");
      stream.emit("error", { code: status.RESOURCE_EXHAUSTED, details: "too many connections" });
      return;
    }
    carrier.calls++;
    this.#unlimited(carrier);
    stream.sendMetadata(new Metadata()); // the dialler's sign that the call is up
    const connection = new GrpcConnection(callOf(stream, carrier), this.#context);
    this.#connections.add(connection);
    void connection.gone.then(() => {
      this.#connections.delete(connection);
      if (--carrier.calls === 0) this.#limited(carrier);
    });
    try {
      this.#accept(connection);
    } catch (error) {
      this.#context.logger.error("accept threw", { address: this.#address, error });
      connection.close();
    }
  }

  /** A socket that carries no call has so long to open one. */
  #limited(carrier: Carrier): void {
    const { handshakeTimeoutMs } = this.#limits;
    const expire = (): void => void carrier.socket.destroy();
    if (!carrier.socket.destroyed) {
      carrier.timer = this.#context.clock.setTimer(handshakeTimeoutMs, expire);
    }
  }

  #unlimited(carrier: Carrier): void {
    if (carrier.timer !== undefined) this.#context.clock.clearTimer(carrier.timer);
    carrier.timer = undefined;
  }
}

/** grpc-js says "cancelled" at every end of a call, an orderly one too. */
const callOf = (stream: ServerCall, { socket, remote, channel }: Carrier): Call => ({
  stream,
  remote,
  channel,
  closed: new Promise((resolve) => void stream.once("cancelled", () => resolve())),
  onOver: (over) => void stream.once("cancelled", () => over(undefined)),
  onHalfClosed: (halfClosed) => void stream.once("end", halfClosed),
  cut: () => void socket.destroy(),
});
