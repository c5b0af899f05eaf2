/**
 * Where clients come in: a plain TCP listener that hands its sockets to one gRPC server.
 *
 * Problem and approach are those of the gRPC transport's listener: a gRPC server counts no sockets and waits
 * for ever for those that open no call, so the sockets are ours, to count, to limit and to cut off.
 *
 * With keys a socket carries TLS (tls-channel.ts) before the server has it, and its client is who its certificate says; one
 * that is revoked, or has ended, is cut off.
 *
 * Bounds: `clientsMax` sockets, then newcomers are closed at once; `callsMax` calls at a time on each, more wait
 * at the client, as HTTP/2 has it; a socket that opens no call within `handshakeMs` is closed; one that does not
 * answer a ping within half of `keepaliveMs` is gone.
 */
import { createServer, type Server as NetServer, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { type ConnectionInjector, Server, ServerCredentials } from "@grpc/grpc-js";
import type { Clock, Timer } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import { isRefusal, type Security } from "../ports/security.ts";
import { listenError } from "../transport/listen-error.ts";
import { listenOn } from "../transport/listen-on.ts";
import { TlsAcceptor } from "../transport/tls-channel.ts";
import { ClientRights, identityOf } from "./client-rights.ts";
import { GatewayClient } from "./gateway-client.ts";
import type { ResolvedGatewayOptions } from "./gateway-options.ts";

const SCHEME = "grpc";
/** How long clients have to read the end of their calls. */
const CLOSE_MS = 500;
/** A certificate that has ended is noticed within this. */
const SWEEP_MS = 1_000;

export class GatewayListener {
  readonly server: Server;
  readonly #options: ResolvedGatewayOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #net: NetServer;
  readonly #security: Security | undefined;
  readonly #acceptor: TlsAcceptor | undefined;
  #unlisten: () => void = () => {};
  #sweepTimer: Timer | undefined;
  readonly #injector: ConnectionInjector;
  /** By "address:port" of the client, as gRPC names it. */
  readonly #clients = new Map<string, GatewayClient>();
  /** Connections that were one too many. */
  refused = 0;

  constructor(
    options: ResolvedGatewayOptions,
    security: Security | undefined,
    clock: Clock,
    logger: Logger,
  ) {
    this.#options = options;
    this.#security = security;
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
    const count = (name: string): void => {
      if (name === "transport.malformed") this.refused++;
    };
    const context = { clock, logger, count, frameBytesMax: limits.messageBytesMax };
    this.#acceptor =
      security &&
      new TlsAcceptor(context, security, "h2", (socket) => this.#secured(security, socket));
    this.#net = createServer({ noDelay: true }, (socket) => {
      if (this.#acceptor === undefined) this.#connected(socket, undefined);
      else this.#acceptor.take(socket);
    });
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
      this.#follow();
      return await listenOn(this.#net, SCHEME, { host, port }, this.#logger);
    } catch (error) {
      this.#unfollow();
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
    this.#unfollow();
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

  #secured(security: Security, socket: TLSSocket): void {
    const who = identityOf(socket, security, this.#clock.wallMs());
    if (!isRefusal(who)) {
      this.#connected(socket, new ClientRights(security, who));
      return;
    }
    this.refused++;
    const subject = `${socket.remoteAddress}:${socket.remotePort}`;
    security.audit({ who: undefined, action: "join", subject, allowed: false, why: who.message });
    socket.on("error", () => {});
    socket.destroy();
  }

  /** Looks at the clients' certificates at each change, and now and then for those that have ended. */
  #follow(): void {
    if (this.#security === undefined) return;
    this.#unlisten = this.#security.onChange(() => this.#judge());
    this.#sweepLater();
  }

  #sweepLater(): void {
    this.#sweepTimer = this.#clock.setTimer(SWEEP_MS, () => {
      this.#judge();
      this.#sweepLater();
    });
  }

  #unfollow(): void {
    this.#unlisten();
    this.#acceptor?.close();
    if (this.#sweepTimer !== undefined) this.#clock.clearTimer(this.#sweepTimer);
  }

  #judge(): void {
    for (const client of this.#clients.values()) {
      const refusal = client.rights?.refused(this.#clock.wallMs());
      if (refusal === undefined) continue;
      const { who } = client.rights ?? {};
      const record = { who, action: "join", subject: client.name, allowed: false } as const;
      this.#security?.audit({ ...record, why: refusal.message });
      client.cut();
    }
  }

  #connected(socket: Socket, rights: ClientRights | undefined): void {
    const { remoteAddress = "unknown", remotePort = 0 } = socket;
    const name = `${remoteAddress}:${remotePort}`;
    const { givenBytesMax, saidBytesMax } = this.#options.limits;
    const client = new GatewayClient(name, socket, { givenBytesMax, saidBytesMax }, rights);
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
