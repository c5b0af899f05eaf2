/**
 * The accepting side: one ROUTER socket shared by all peers that dial in.
 *
 * A ROUTER names each peer by a routing id that it invents (a zero byte and a 32-bit counter) and never
 * gives twice. The first message of a peer is `[id, ""]`, the last `[id, gone]` (see zeromq-sockets.ts);
 * between them lie its frames. libzmq cannot cut off a single peer: a connection closed here stays in the
 * map, its frames dropped and counted, until libzmq reports it gone.
 *
 * Fairness: each peer has its own outbox. One that is at its high-water mark is offered its frame again
 * by a timer with backoff (or when it is heard of) and delays nobody.
 *
 * Refused: peers that chose their own routing id, and peers beyond `connectionsMax`. They get the close
 * marker; what they send is dropped and counted.
 */
import { randomUUID } from "node:crypto";
import type { Router } from "zeromq";
import type { Timer } from "../../ports/clock.ts";
import type { Connection, Listener, TransportContext } from "../../ports/transport.ts";
import { ownAddresses } from "./own-addresses.ts";
import { ZapDomain, zapHandler } from "./zap-handler.ts";
import { fromTcpEndpoint, withCurveKey } from "./zeromq-address.ts";
import { CLOSE_MS, ZeromqConnection } from "./zeromq-connection.ts";
import {
  type GoneMessage,
  ListenSocket,
  readSocket,
  type SocketLimits,
  watchSocket,
} from "./zeromq-sockets.ts";

export type ListenPlan = {
  /** "tcp://127.0.0.1:0" */
  readonly tcp: string;
  readonly limits: SocketLimits;
  readonly connectionsMax: number;
  readonly context: TransportContext;
  readonly accept: (connection: Connection) => void;
};

/** How long a gone message may lag behind the monitor before a disconnect counts as a refusal. */
const TALLY_MS = 100;
const RETRY_MIN_MS = 1;
const RETRY_MAX_MS = 16;
const MARKER = Buffer.alloc(0);

export class ZeromqListener implements Listener {
  readonly #plan: ListenPlan;
  readonly #socket: Router;
  readonly #gone: GoneMessage;
  readonly #released: Promise<void>;
  readonly #zap: ZapDomain | undefined;
  readonly #peers = new Map<number, ZeromqConnection>();
  readonly #blocked = new Set<ZeromqConnection>();
  readonly #tally = { disconnects: 0, failedHandshakes: 0, gone: 0, refusals: 0 };
  #address = "";
  #retryTimer: Timer | undefined;
  #retryMs = RETRY_MIN_MS;
  #closing: Promise<void> | undefined;
  #whenEmpty: (() => void) | undefined;

  /** @throws the error of zeromq.js */
  static async bind(plan: ListenPlan): Promise<ZeromqListener> {
    const isSecure = plan.context.security !== undefined;
    const zap = isSecure ? new ZapDomain(`meshbus-${randomUUID()}`, plan.context) : undefined;
    if (zap !== undefined) await zapHandler.enter(zap); // before anybody can come
    const listener = new ZeromqListener(plan, zap);
    try {
      await listener.#socket.bind(plan.tcp);
    } catch (error) {
      await listener.close();
      throw error;
    }
    listener.#start();
    return listener;
  }

  private constructor(plan: ListenPlan, zap: ZapDomain | undefined) {
    const { security } = plan.context;
    const curve = security && zap && { ...security.curve, domain: zap.name };
    const { socket, gone } = ListenSocket.create(plan.limits, curve);
    this.#zap = zap;
    this.#plan = plan;
    this.#socket = socket;
    this.#gone = gone;
    this.#released = watchSocket(socket.events, (event) => this.#monitored(event.type)).catch(
      (error) => plan.context.logger.error("zeromq monitor failed", { error }),
    );
  }

  get address(): string {
    return this.#address;
  }

  get alsoAt(): readonly string[] {
    return ownAddresses(this.#address);
  }

  #start(): void {
    const address = fromTcpEndpoint(this.#socket.lastEndpoint as string);
    const key = this.#plan.context.security?.self.curveKey;
    this.#address = key === undefined ? address : withCurveKey(address, key);
    readSocket(this.#socket, (parts) => this.#received(parts)).catch((error) => {
      this.#plan.context.logger.error("zeromq listener failed", { address: this.address, error });
      for (const peer of this.#peers.values()) peer.lost(error);
      void this.close();
    });
  }

  /**
   * Counts connections that libzmq ended before they were one: a failed handshake, announced or not. The
   * latter is a disconnect that no gone message explains, once that had time to arrive.
   */
  #monitored(type: string): void {
    const { context } = this.#plan;
    if (type.startsWith("handshake:error")) {
      this.#tally.failedHandshakes += 1;
      context.count("transport.malformed");
    } else if (type === "disconnect") {
      const disconnects = ++this.#tally.disconnects;
      // The immediate lets sockets be read first where the timer comes late.
      context.clock.setTimer(TALLY_MS, () => setImmediate(() => this.#countRefusals(disconnects)));
    }
  }

  #countRefusals(disconnects: number): void {
    const { failedHandshakes, gone } = this.#tally;
    while (this.#tally.refusals < disconnects - failedHandshakes - gone) {
      this.#tally.refusals += 1;
      this.#plan.context.count("transport.malformed");
    }
  }

  /** Closes every accepted connection in order, then the socket, and waits until the port is free. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const peer of this.#peers.values()) peer.close();
    if (this.#peers.size > 0) await this.#untilEmpty();
    for (const peer of this.#peers.values()) peer.lost();
    this.#peers.clear();
    const { clock } = this.#plan.context;
    if (this.#retryTimer !== undefined) clock.clearTimer(this.#retryTimer);
    this.#socket.close();
    await this.#released;
    if (this.#zap !== undefined) await zapHandler.leave(this.#zap);
  }

  #untilEmpty(): Promise<void> {
    const { clock } = this.#plan.context;
    return new Promise((resolve) => {
      const timer = clock.setTimer(CLOSE_MS, resolve);
      this.#whenEmpty = () => {
        clock.clearTimer(timer);
        resolve();
      };
    });
  }

  #received(parts: Buffer[]): void {
    const id = parts[0] as Buffer;
    const bytes = parts[1] as Buffer;
    const isGone = bytes !== undefined && this.#gone.matches(bytes);
    if (isGone) this.#tally.gone += 1;
    if (id.length !== 5 || id[0] !== 0) {
      if (!isGone) this.#refuse(id, bytes);
      return;
    }
    const key = id.readUInt32BE(1);
    const connection = this.#peers.get(key);
    if (connection === undefined) {
      if (parts.length === 2 && bytes.length === 0) this.#connected(key, id);
      else if (!isGone) this.#plan.context.count("transport.discarded");
      return;
    }
    if (parts.length !== 2) {
      connection.malformed(`a message of ${parts.length - 1} parts instead of 1`);
    } else if (isGone) {
      this.#disconnected(key, connection);
    } else if (connection.isEnded) {
      this.#plan.context.count("transport.discarded"); // a close marker, too
    } else {
      if (this.#blocked.size > 0 && this.#blocked.has(connection)) this.#retrySoon();
      connection.received(bytes);
    }
  }

  #connected(key: number, id: Buffer): void {
    if (this.#closing !== undefined || this.#peers.size >= this.#plan.connectionsMax) {
      this.#plan.context.count("transport.refused");
      this.#goodbye(id);
      return;
    }
    const { context } = this.#plan;
    const remote = `peer ${key} of ${this.address}`;
    const connection: ZeromqConnection = new ZeromqConnection(remote, context, {
      answersMarker: true,
      attempt: (frame) => this.#socket.send([id, frame as Buffer]),
      blocked: () => this.#waitForRoom(connection),
      resumed: () => {
        this.#blocked.delete(connection);
        this.#retryMs = RETRY_MIN_MS;
      },
      opened: () => {},
      release: () => this.#blocked.delete(connection),
    });
    this.#peers.set(key, connection);
    try {
      this.#plan.accept(connection);
    } catch (error) {
      context.logger.error("accept threw", { address: this.address, error });
      connection.close();
    }
  }

  #disconnected(key: number, connection: ZeromqConnection): void {
    this.#peers.delete(key);
    connection.lost();
    if (this.#peers.size === 0) this.#whenEmpty?.();
  }

  #refuse(id: Buffer, bytes: Buffer | undefined): void {
    this.#plan.context.count("transport.malformed");
    if (bytes?.length === 0) this.#goodbye(id);
  }

  #goodbye(id: Buffer): void {
    this.#socket.send([id, MARKER]).catch(() => this.#plan.context.count("transport.discarded"));
  }

  #waitForRoom(connection: ZeromqConnection): void {
    this.#blocked.add(connection);
    if (this.#retryTimer !== undefined) return;
    this.#retryTimer = this.#plan.context.clock.setTimer(this.#retryMs, () => this.#retryAll());
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
  }

  /** The peer reads, so there may be room soon: forget the backoff. */
  #retrySoon(): void {
    if (this.#retryTimer === undefined || this.#retryMs <= RETRY_MIN_MS * 2) return;
    const { clock } = this.#plan.context;
    clock.clearTimer(this.#retryTimer);
    this.#retryMs = RETRY_MIN_MS;
    this.#retryTimer = clock.setTimer(this.#retryMs, () => this.#retryAll());
  }

  #retryAll(): void {
    this.#retryTimer = undefined;
    const blocked = [...this.#blocked];
    this.#blocked.clear();
    for (const connection of blocked) connection.retry();
  }
}
