/**
 * A transport of which a connection is one bidirectional gRPC call, of whatever service: that of links, or another
 * that speaks in frames.
 *
 * Bounds: `connectionsMax` of a listener; `handshakeTimeoutMs` for a socket that opens no call; what waits to
 * be sent is `bufferedBytes`, the caller's to watch; what was received and not yet read is HTTP/2's window.
 */
import type {
  Connection,
  Listener,
  ListenOptions,
  Transport,
  TransportContext,
} from "../../ports/transport.ts";
import type { DialOptions } from "../dials.ts";
import { assertBindable, formatHostPort, parseHostPort } from "../host-port.ts";
import { assertNoKnownFaults } from "../known-faults.ts";
import { listenError } from "../listen-error.ts";
import { TransportLife } from "../transport-life.ts";
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
  readonly #life = new TransportLife("gRPC");

  /** `path` names the call: "/package.Service/Method". `port` is where it listens unless told otherwise. */
  constructor(path: string, port: number, limits: ListenLimits) {
    this.#path = path;
    this.#port = port;
    this.#limits = limits;
  }

  async start(context: TransportContext): Promise<void> {
    assertNoKnownFaults(["@grpc/grpc-js"]);
    this.#life.start(context);
  }

  async listen(
    options: ListenOptions,
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    const { context } = this.#life;
    const { host } = options;
    const port = options.port === 0 ? this.#port : options.port;
    const wanted = formatHostPort(SCHEME, { host, port });
    assertBindable({ host, port }, wanted);
    const listener = new GrpcListener(this.#path, context, this.#limits, accept);
    try {
      await listener.bind(host, port);
    } catch (error) {
      await listener.close();
      throw listenError(error, wanted);
    }
    return this.#life.listens(listener);
  }

  async dial(address: string, options: DialOptions): Promise<Connection> {
    const { context } = this.#life;
    const dial = new GrpcDial(this.#path, address, parseHostPort(SCHEME, address), context);
    await this.#life.dials.within(context.clock, options, dial);
    return this.#life.holds(new GrpcConnection(dial, context));
  }

  stop(): Promise<void> {
    return this.#life.stop();
  }
}
