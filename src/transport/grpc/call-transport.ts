/**
 * A transport of which a connection is one bidirectional gRPC call, of whatever service: that of links, or another
 * that speaks in frames.
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
import { assertNoKnownFaults } from "../known-faults.ts";
import { listenError } from "../listen-error.ts";
import { GrpcConnection } from "./grpc-connection.ts";
import { GrpcDial } from "./grpc-dial.ts";
import { GrpcListener, type ListenLimits } from "./grpc-listener.ts";
import { SCHEME } from "./link-call.ts";

export class CallTransport implements Transport {
  readonly scheme = SCHEME;
  readonly preference = 55;
  readonly #path: string;
  readonly #port: number;
  readonly #limits: ListenLimits;
  readonly #listeners = new Set<GrpcListener>();
  readonly #connections = new Set<GrpcConnection>();
  readonly #dials = new Dials();
  #context: TransportContext | undefined;
  #stopping: Promise<void> | undefined;

  /** `path` names the call: "/package.Service/Method". `port` is where it listens unless told otherwise. */
  constructor(path: string, port: number, limits: ListenLimits) {
    this.#path = path;
    this.#port = port;
    this.#limits = limits;
  }

  async start(context: TransportContext): Promise<void> {
    assertNoKnownFaults(["@grpc/grpc-js"]);
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
    const listener = new GrpcListener(this.#path, context, this.#limits, accept);
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
    const dial = new GrpcDial(this.#path, address, parseHostPort(SCHEME, address), context);
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
