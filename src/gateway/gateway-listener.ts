/**
 * Where clients come in: a plain TCP listener that hands its sockets to one gRPC server.
 *
 * Problem and approach are those of the gRPC transport's listener: a gRPC server counts no sockets and waits
 * for ever for those that open no call, so the sockets are ours, to count, to limit and to cut off.
 *
 * Bounds: `clientsMax` sockets, then newcomers are closed at once; `callsMax` calls at a time on each, more wait
 * at the client, as HTTP/2 has it; a socket that opens no call within `handshakeMs` is closed; one that does not
 * answer a ping within half of `keepaliveMs` is gone.
 */
import { createServer, type Server as NetServer, type Socket } from "node:net";
import { type ConnectionInjector, Server, ServerCredentials } from "@grpc/grpc-js";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import { listenError } from "../transport/listen-error.ts";
import { listenOn } from "../transport/listen-on.ts";
import { GatewayClient } from "./gateway-client.ts";
import type { ResolvedGatewayOptions } from "./gateway-options.ts";

const SCHEME = "grpc";
/** How long clients have to read the end of their calls. */
const CLOSE_MS = 500;

export class GatewayListener {
  readonly server: Server;
  readonly #options: ResolvedGatewayOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #net: NetServer;
  readonly #injector: ConnectionInjector;
  /** By "address:port" of the client, as gRPC names it. */
  readonly #clients = new Map<string, GatewayClient>();
  /** Connections that were one too many. */
  refused = 0;

  constructor(options: ResolvedGatewayOptions, clock: Clock, logger: Logger) {
    this.#options = options;
    this.#clock = clock;
    this.#logger = logger;
    const { limits, keepaliveMs } = options;
    this.server = new Server({
      "grpc.max_receive_message_length": limits.messageBytesMax,
      "grpc.max_send_message_length": -1,
      "grpc.max_concurrent_streams": limits.callsMax,
      "grpc.keepalive_time_ms": keepaliveMs,
      "grpc.keepalive_timeout_ms": Math.ceil(keepaliveMs / 2),
      "grpc.enable_channelz": 0,
    });
    this.#injector = this.server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#net = createServer({ noDelay: true }, (socket) => this.#connected(socket));
    this.#net.maxConnections = limits.clientsMax;
    this.#net.on("drop", () => this.refused++);
  }

  get clients(): number {
    return this.#clients.size;
  }

  /** @returns the address. @throws MeshError ADDRESS_IN_USE, INVALID_OPTIONS */
  async bind(): Promise<string> {
    const { host, port } = this.#options.listen;
    try {
      return await listenOn(this.#net, SCHEME, { host, port }, this.#logger);
    } catch (error) {
      this.#injector.destroy();
      this.server.forceShutdown();
      throw listenError(error, `${host}:${port}`);
    }
  }

  /** Whose call it is, which is noted; undefined: its socket has closed meanwhile, and so has the call. */
  greeted(peer: string): GatewayClient | undefined {
    const client = this.#clients.get(peer);
    if (client !== undefined) client.isGreeted = true;
    return client;
  }

  /** No client comes in any more. */
  refuse(): void {
    this.#net.close();
  }

  /** Ends in order what it can, and cuts the rest. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#net.close(() => resolve()));
    const cut = (): void => {
      for (const client of this.#clients.values()) client.cut();
    };
    const deadline = this.#clock.setTimer(CLOSE_MS, cut);
    this.server.tryShutdown(() => {});
    await closed;
    this.#clock.clearTimer(deadline);
    this.#injector.destroy();
    this.server.forceShutdown();
  }

  #connected(socket: Socket): void {
    const { remoteAddress = "unknown", remotePort = 0 } = socket;
    const name = `${remoteAddress}:${remotePort}`;
    const { givenBytesMax, saidBytesMax } = this.#options.limits;
    const client = new GatewayClient(name, socket, { givenBytesMax, saidBytesMax });
    this.#clients.set(name, client);
    const timer = this.#clock.setTimer(this.#options.handshakeMs, () => {
      if (!client.isGreeted) client.cut();
    });
    socket.on("error", () => {}); // its close says it
    socket.once("close", () => {
      this.#clock.clearTimer(timer);
      this.#clients.delete(name);
    });
    this.#injector.injectConnection(socket);
  }
}
