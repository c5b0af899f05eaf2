/**
 * The transport over gRPC: "grpc://host:port".
 *
 * Problem: where only HTTP/2 passes (a proxy, an ingress, a service mesh), and for clients generated from
 * link.proto, plain sockets are of no use. Approach: the frames of every other transport, one gRPC message
 * each, over one bidirectional call for each connection; never a call for each message.
 *
 * This file holds the options and the start and stop of the whole; what makes
 * connections out of calls is in grpc-connection.ts, grpc-dial.ts and grpc-listener.ts.
 *
 * Bounds: `connectionsMax` of a listener; `handshakeTimeoutMs` for a socket that opens no call; what waits to
 * be sent is `bufferedBytes`, the caller's to watch; what was received and not yet read is HTTP/2's window.
 */
import { MeshError } from "../../errors.ts";
import type {
  Connection,
  Listener,
  ListenOptions,
  Transport,
  TransportContext,
} from "../../ports/transport.ts";
import { type DialOptions, Dials } from "../dials.ts";
import { formatHostPort, parseHostPort } from "../host-port.ts";
import { listenError } from "../listen-error.ts";
import { GrpcConnection } from "./grpc-connection.ts";
import { GrpcDial } from "./grpc-dial.ts";
import { GrpcListener, type ListenLimits } from "./grpc-listener.ts";
import { SCHEME } from "./link-call.ts";

export type GrpcOptions = {
  /** Port to listen on; 0 to 65,535. Default 0: a free one. `listen.port` of a node is another transport's. */
  readonly port?: number;
  /** Connections a listener accepts at a time; 1 to 65,535. Default 4,096. */
  readonly connectionsMax?: number;
  /** Milliseconds a socket may be without a call; 100 to 60,000. Default 5,000. */
  readonly handshakeTimeoutMs?: number;
};

const CONNECTIONS_MAX = 4_096;
const HANDSHAKE_TIMEOUT_MS = 5_000;

/** @throws MeshError INVALID_OPTIONS */
export function grpc(options: GrpcOptions = {}): Transport {
  const {
    port = 0,
    connectionsMax = CONNECTIONS_MAX,
    handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS,
  } = options;
  const problems: string[] = [];
  for (const [name, value, min, max] of [
    ["port", port, 0, 65_535],
    ["connectionsMax", connectionsMax, 1, 65_535],
    ["handshakeTimeoutMs", handshakeTimeoutMs, 100, 60_000],
  ] as const) {
    if (Number.isInteger(value) && value >= min && value <= max) continue;
    problems.push(`grpc.${name} ${String(value)} is not a whole number of ${min}..${max}`);
  }
  if (problems.length > 0) throw new MeshError("INVALID_OPTIONS", problems.join("; "));
  return new GrpcTransport(port, { connectionsMax, handshakeTimeoutMs });
}

class GrpcTransport implements Transport {
  readonly scheme = SCHEME;
  readonly preference = 55;
  readonly #port: number;
  readonly #limits: ListenLimits;
  readonly #listeners = new Set<GrpcListener>();
  readonly #connections = new Set<GrpcConnection>();
  readonly #dials = new Dials();
  #context: TransportContext | undefined;
  #stopping: Promise<void> | undefined;

  constructor(port: number, limits: ListenLimits) {
    this.#port = port;
    this.#limits = limits;
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
    const listener = new GrpcListener(context, this.#limits, accept);
    try {
      await listener.bind(host, port);
    } catch (error) {
      await listener.close();
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
    const dial = new GrpcDial(address, parseHostPort(SCHEME, address), context);
    await this.#dials.within(context.clock, options, dial);
    const connection = new GrpcConnection(dial, context);
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

const stopped = (): MeshError => new MeshError("STOPPED", "the gRPC transport is not running");
