/**
 * A transport over sockets of `node:net`: TCP, or files of this host.
 *
 * Problem: ZeroMQ's I/O thread costs two hops between threads each way, which a request feels. Approach: the
 * same frames over plain sockets, on the event loop itself; each dial is one socket, each accepted socket one
 * connection. What makes connections out of sockets is in stream-connection.ts; where they lead is the medium's.
 *
 * Bounds: `connectionsMax` of a listener, then newcomers are closed at once and counted; what the kernel
 * buffers is the system's; what waits for it is `bufferedBytes`, the caller's to watch.
 */
import { createServer, type Server, type Socket } from "node:net";
import type {
  Channel,
  Connection,
  Listener,
  ListenOptions,
  Transport,
  TransportContext,
} from "../../ports/transport.ts";
import type { DialOptions } from "../dials.ts";
import { notReached } from "../not-reached.ts";
import { TlsAcceptor } from "../tls-channel.ts";
import { TransportLife } from "../transport-life.ts";
import { FrameReader } from "./frame-reader.ts";
import { SendRooms } from "./send-rooms.ts";
import { acceptedInto } from "./socket-reads.ts";
import { StreamConnection } from "./stream-connection.ts";

/** A socket that connects, and how to wait until it has. */
export type Dialled = { readonly socket: Socket; open(): Promise<Channel | undefined> };

/** What kind of sockets. */
export type Medium = {
  readonly scheme: string;
  readonly preference: number;
  /** With keys, TLS is spoken. Otherwise nobody but this user can reach it. */
  readonly hasTls: boolean;
  /** Binds the server; returns the address that peers dial. @throws MeshError */
  bind(server: Server, options: ListenOptions, context: TransportContext): Promise<string>;
  /** What is not TLS is read into the reader. @throws MeshError INVALID_OPTIONS */
  dial(address: string, context: TransportContext, reader: FrameReader): Dialled;
  /** Where an accepted socket comes from. */
  remoteOf(socket: Socket): string;
  /** Whether an address of this scheme may lead anywhere from here. */
  reaches(address: string): boolean;
};

export class SocketTransport implements Transport {
  readonly scheme: string;
  readonly preference: number;
  readonly #medium: Medium;
  readonly #connectionsMax: number;
  readonly #life: TransportLife;
  readonly #rooms = new SendRooms();

  constructor(medium: Medium, connectionsMax: number) {
    this.#medium = medium;
    this.scheme = medium.scheme;
    this.preference = medium.preference;
    this.#life = new TransportLife(medium.scheme);
    this.#connectionsMax = connectionsMax;
  }

  reaches(address: string): boolean {
    return this.#medium.reaches(address);
  }

  async start(context: TransportContext): Promise<void> {
    this.#life.start(context);
  }

  async listen(
    options: ListenOptions,
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    const listener = new SocketListener(this.#medium, this.#life.context, this.#rooms, accept);
    await listener.bind(options, this.#connectionsMax);
    return this.#life.listens(listener);
  }

  async dial(address: string, options: DialOptions): Promise<Connection> {
    const { context } = this.#life;
    const reader = new FrameReader(context.frameBytesMax);
    const { socket, open } = this.#medium.dial(address, context, reader);
    const channel = await this.#life.dials.within(context.clock, options, {
      remote: address,
      open,
      cut: () => {
        socket.on("error", () => {});
        socket.destroy();
      },
    });
    const parts = { reader, rooms: this.#rooms, channel };
    return this.#life.holds(new StreamConnection(socket, address, context, parts));
  }

  stop(): Promise<void> {
    return this.#life.stop();
  }
}

class SocketListener implements Listener {
  readonly #medium: Medium;
  readonly #context: TransportContext;
  readonly #rooms: SendRooms;
  readonly #server: Server;
  readonly #connections = new Set<StreamConnection>();
  readonly #acceptor: TlsAcceptor | undefined;
  #address = "";
  #closing: Promise<void> | undefined;

  constructor(
    medium: Medium,
    context: TransportContext,
    rooms: SendRooms,
    accept: (connection: Connection) => void,
  ) {
    this.#medium = medium;
    this.#context = context;
    this.#rooms = rooms;
    const security = medium.hasTls ? context.security : undefined;
    this.#acceptor =
      security &&
      new TlsAcceptor(context, security, undefined, (socket, channel) =>
        this.#accepted(socket, accept, channel),
      );
    const pauseOnConnect = security === undefined;
    this.#server = createServer({ noDelay: true, pauseOnConnect }, (socket) => {
      if (this.#acceptor === undefined) this.#accepted(socket, accept, undefined);
      else this.#acceptor.take(socket);
    });
    this.#server.on("drop", () => context.count("transport.refused"));
  }

  get address(): string {
    return this.#address;
  }

  /** @throws MeshError ADDRESS_IN_USE, INVALID_OPTIONS */
  async bind(options: ListenOptions, connectionsMax: number): Promise<void> {
    this.#server.maxConnections = connectionsMax;
    this.#address = await this.#medium.bind(this.#server, options, this.#context);
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
    accepted: Socket,
    accept: (connection: Connection) => void,
    channel: Channel | undefined,
  ): void {
    const reader = new FrameReader(this.#context.frameBytesMax);
    const socket = channel === undefined ? acceptedInto(reader, accepted) : accepted;
    const remote = this.#medium.remoteOf(socket);
    const parts = { reader, rooms: this.#rooms, channel };
    const connection = new StreamConnection(socket, remote, this.#context, parts);
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

/** Resolves when it is. @throws MeshError PEER_LOST */
export const connected = (socket: Socket, address: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const failed = (cause: Error): void => reject(notReached(address, cause));
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.removeListener("error", failed);
      resolve();
    });
  });
