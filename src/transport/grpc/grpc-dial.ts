/**
 * The dialling side: a gRPC channel of its own for each link, used for one call and closed with it.
 *
 * Problem: grpc-js neither gives up a TCP connect nor destroys a socket whose peer has stopped answering, so
 * each dial of a dead host would leave one behind. Approach: a plain connect first, which is ours to abort,
 * shows that the host answers and what its address is; the channel's own socket is taken note of where
 * credentials wrap it in TLS, if the node has keys, and destroyed when the call is over and has not taken it along.
 */
import { connect, type Socket } from "node:net";
import {
  CallCredentials,
  ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type StatusObject,
  status,
} from "@grpc/grpc-js";
import { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import type { Channel, TransportContext } from "../../ports/transport.ts";
import { bracketHost, type HostPort } from "../host-port.ts";
import { notReached } from "../not-reached.ts";
import { secureOver } from "../tls-channel.ts";
import type { Call } from "./grpc-connection.ts";
import { asBytes, CLOSE_MS, dialOptions, HTTP2 } from "./link-call.ts";

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;
type SecureSocket = Awaited<ReturnType<SecureConnector["connect"]>>;

/** One dial: its sockets, channel and call. */
export class GrpcDial implements Call {
  readonly remote: string;
  readonly closed: Promise<void>;
  readonly #path: string;
  readonly #at: HostPort;
  readonly #context: TransportContext;
  readonly #sockets = new Set<Socket>();
  #client: Client | undefined;
  #stream: ClientDuplexStream<Buffer, Buffer> | undefined;
  #status: Promise<StatusObject> | undefined;
  #channel: Channel | undefined;
  /** Why TLS failed: gRPC says only that the channel is down. */
  #insecure: Error | undefined;
  #isCut = false;
  #isOver = false;
  #vanish: () => void = () => {};
  #timer: Timer | undefined;

  constructor(path: string, address: string, at: HostPort, context: TransportContext) {
    this.#path = path;
    this.remote = address;
    this.#at = at;
    this.#context = context;
    this.closed = new Promise((resolve) => {
      this.#vanish = resolve;
    });
  }

  get stream(): ClientDuplexStream<Buffer, Buffer> {
    if (this.#stream === undefined) throw new Error("the dial has no call yet");
    return this.#stream;
  }

  get channel(): Channel | undefined {
    return this.#channel;
  }

  /** Resolves when the peer has answered the call. @throws why it did not; then nothing of it stays */
  async open(): Promise<void> {
    try {
      const target = await this.#probe();
      if (this.#isCut) throw lost(this.remote, undefined);
      await this.#call(target);
    } catch (error) {
      this.cut();
      throw error;
    }
  }

  onOver(over: (cause: Error | undefined) => void): void {
    const { stream } = this;
    void this.#status?.then((ended) => {
      const end = (): void => {
        this.#release();
        over(ended.code === status.OK ? undefined : statusError(ended));
      };
      if (stream.readableEnded) end();
      else stream.once("end", end);
    });
  }

  /** A server's half-close is the status, and the end. */
  onHalfClosed(): void {}

  cut(): void {
    this.#isCut = true;
    this.#stream?.cancel();
    this.#client?.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** A plain connect. @returns the target for gRPC: the address that answered */
  #probe(): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#at);
      this.#keep(socket);
      socket.once("error", (cause) => reject(notReached(this.remote, cause)));
      socket.once("close", () => reject(lost(this.remote, undefined)));
      socket.once("connect", () => {
        const { remoteAddress = this.#at.host, remoteFamily } = socket;
        const family = remoteFamily === "IPv6" ? "ipv6" : "ipv4";
        resolve(`${family}:${bracketHost(remoteAddress)}:${this.#at.port}`);
        socket.destroy();
      });
    });
  }

  #call(target: string): Promise<void> {
    const isSecure = this.#context.security !== undefined;
    const credentials = new NotedSockets(isSecure, (socket) => this.#secure(socket));
    const client = new Client(target, credentials, dialOptions(this.#context.frameBytesMax));
    this.#client = client;
    const stream = client.makeBidiStreamRequest(this.#path, asBytes, asBytes);
    this.#stream = stream;
    stream.on("error", () => {}); // every end has a status, which says the same
    const ended = new Promise<StatusObject>((resolve) => void stream.once("status", resolve));
    this.#status = ended;
    return new Promise((resolve, reject) => {
      stream.once("metadata", () => resolve());
      void ended.then((end) => reject(this.#insecure ?? lost(this.remote, statusError(end))));
    });
  }

  async #secure(socket: Socket): Promise<SecureSocket> {
    this.#keep(socket);
    const { security } = this.#context;
    if (security === undefined) return { socket, secure: false };
    try {
      const over = await secureOver(socket, security, this.remote, HTTP2);
      over.socket.on("error", () => {}); // the session's end says it
      this.#channel = over.channel;
      return { socket: over.socket, secure: true };
    } catch (error) {
      this.#insecure = error as Error;
      this.cut(); // gRPC would try again
      throw error;
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      if (this.#isOver && this.#sockets.size === 0) this.#vanish();
      if (this.#timer !== undefined) this.#context.clock.clearTimer(this.#timer);
      this.#timer = undefined;
    });
    if (this.#isCut) socket.destroy();
  }

  /** The call is over: the socket ends in order, or is destroyed. */
  #release(): void {
    this.#isOver = true;
    this.#client?.close();
    if (this.#sockets.size === 0) {
      this.#vanish();
      return;
    }
    this.#timer = this.#context.clock.setTimer(CLOSE_MS, () => this.cut());
  }
}

/** Takes note of each socket that a channel connects, and secures it if the node has keys. */
class NotedSockets extends ChannelCredentials {
  readonly #isSecureChannel: boolean;
  readonly #note: (socket: Socket) => Promise<SecureSocket>;

  constructor(isSecure: boolean, note: (socket: Socket) => Promise<SecureSocket>) {
    super();
    this.#isSecureChannel = isSecure;
    this.#note = note;
  }

  override _isSecure(): boolean {
    return this.#isSecureChannel;
  }

  override _equals(other: ChannelCredentials): boolean {
    return other === this;
  }

  override _createSecureConnector(): SecureConnector {
    return {
      connect: (socket) => this.#note(socket),
      waitForReady: async () => {},
      getCallCredentials: () => CallCredentials.createEmpty(),
      destroy: () => {},
    };
  }
}

const statusError = ({ code, details }: StatusObject): Error =>
  new Error(`gRPC status ${code}: ${details}`);

const lost = (address: string, cause: Error | undefined): MeshError =>
  new MeshError("PEER_LOST", `${address} cannot be reached`, cause === undefined ? {} : { cause });
