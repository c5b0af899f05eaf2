/**
 * One connection over ZeroMQ, the same on both sides; what differs (a DEALER of its own, or one peer of a
 * shared ROUTER) is behind `ConnectionSide`.
 *
 * Problem: libzmq sockets have no notion of a connection: they reconnect, queue and forget by themselves.
 * Approach: each message of one part is a frame; an empty message is the *close marker*. `close()` sends
 * what waits and then the marker; the other side answers (a ROUTER with a marker, a DEALER by closing its
 * socket), so the closing side knows that everything arrived and no socket ever needs to linger.
 *
 * States: open -> closing (we sent or will send the marker; what arrives is dropped) -> ended, or
 * open -> ended (the peer closed or was lost). `#leave` and `#end` are the only places that change it.
 *
 * Invariants: `closed` is reported exactly once, no event follows it; an ended connection sends nothing
 * more than its marker.
 */
import { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import type {
  Channel,
  Connection,
  ConnectionEvents,
  TransportContext,
} from "../../ports/transport.ts";
import { type OutboxTarget, ZeromqOutbox } from "./zeromq-outbox.ts";

/** What the two kinds of socket do differently. */
export type ConnectionSide = {
  /** See OutboxTarget. */
  attempt(frame: Uint8Array): Promise<void>;
  blocked(): void;
  resumed(): void;
  /** The events are there: frames may be delivered. */
  opened(): void;
  /** Frees what belongs to this connection alone. May be called more than once. */
  release(): void;
  /** True when the peer waits for our marker before it frees its socket. */
  readonly answersMarker: boolean;
};

/** How long `close()` waits for a peer that does not read, then gives up. The port promises it. */
export const CLOSE_MS = 500;

const MARKER = new Uint8Array(0);

export class ZeromqConnection implements Connection {
  readonly remote: string;
  readonly channel: Channel | undefined;
  readonly #context: TransportContext;
  readonly #side: ConnectionSide;
  readonly #outbox: ZeromqOutbox;
  #state: "open" | "closing" | "ended" = "open";
  #events: ConnectionEvents | undefined;
  /** Set while `closed` has still to be reported. */
  #report: { readonly reason: MeshError | undefined } | undefined;
  #deadline: Timer | undefined;

  /** @param peerKey the key that the peer must have, where this side knows it */
  constructor(
    remote: string,
    context: TransportContext,
    side: ConnectionSide,
    peerKey?: Uint8Array | undefined,
  ) {
    this.remote = remote;
    const ownKey = context.security?.self.curveKey;
    this.channel = ownKey && { kind: "curve", ownKey, peerKey };
    this.#context = context;
    this.#side = side;
    this.#outbox = new ZeromqOutbox(this.#target());
  }

  get bufferedBytes(): number {
    return this.#state === "open" ? this.#outbox.bufferedBytes : 0;
  }

  get isEnded(): boolean {
    return this.#state === "ended";
  }

  open(events: ConnectionEvents): void {
    this.#events = events;
    if (this.#report !== undefined) this.#context.clock.endOfTurn(() => this.#flushReport());
    this.#side.opened();
  }

  send(frame: Uint8Array): void {
    if (this.#state !== "open") return;
    const { frameBytesMax } = this.#context;
    if (frame.length > 0 && frame.length <= frameBytesMax) {
      this.#outbox.push(frame);
      return;
    }
    this.#context.count("transport.badFrame");
    this.#leave(
      frame.length === 0
        ? new MeshError("INVALID_OPTIONS", "frame of 0 B cannot be sent, the smallest is 1 B")
        : new MeshError(
            "PAYLOAD_TOO_LARGE",
            `frame ${frame.length} B exceeds frameBytesMax ${frameBytesMax}`,
          ),
    );
  }

  close(): void {
    if (this.#state === "open") this.#leave(undefined);
  }

  /** One message from the peer, without any routing id. */
  received(bytes: Uint8Array): void {
    if (bytes.length === 0) {
      this.#peerClosed();
    } else if (this.#state === "open") {
      try {
        this.#events?.frame(bytes);
      } catch (error) {
        this.#context.logger.error("receiver of frames threw", { remote: this.remote, error });
        this.#leave(new MeshError("PEER_LOST", "the receiver of frames threw", { cause: error }));
      }
    } else {
      this.#context.count("transport.discarded");
    }
  }

  /** The peer broke the rules: nothing more is read from it, nothing more sent but the marker. */
  malformed(what: string): void {
    this.#context.count("transport.malformed");
    if (this.#state !== "open") return;
    this.#outbox.clear();
    this.#leave(
      new MeshError("PEER_LOST", `${this.remote} sent ${what}; the connection was closed`),
    );
  }

  /** The connection below is gone, without a goodbye. */
  lost(cause?: unknown): void {
    if (this.#state === "ended") this.#forgetMarker();
    const reason =
      this.#state === "open"
        ? new MeshError("PEER_LOST", `the connection with ${this.remote} was lost`, { cause })
        : undefined;
    this.#end(reason);
  }

  /** There may be room again in libzmq. */
  retry(): void {
    this.#outbox.retry();
  }

  #peerClosed(): void {
    const answer = this.#state === "open" && this.#side.answersMarker;
    this.#end(undefined, answer);
  }

  /** open -> closing: what waits is sent, then the marker; the user hears `closed` at the turn's end. */
  #leave(reason: MeshError | undefined): void {
    this.#state = "closing";
    this.#outbox.push(MARKER);
    this.#deadline = this.#context.clock.setTimer(CLOSE_MS, () => this.#end(undefined));
    this.#report = { reason };
    this.#context.clock.endOfTurn(() => this.#flushReport());
  }

  /** Any state -> ended. */
  #end(reason: MeshError | undefined, answer = false): void {
    if (this.#state === "ended") return;
    const wasOpen = this.#state === "open";
    this.#state = "ended";
    if (this.#deadline !== undefined) this.#context.clock.clearTimer(this.#deadline);
    if (this.#outbox.clear() > 0) this.#context.count("transport.discarded");
    this.#side.release();
    if (answer) {
      this.#outbox.push(MARKER);
      this.#deadline = this.#context.clock.setTimer(CLOSE_MS, () => this.#forgetMarker());
    }
    if (!wasOpen) return;
    this.#report = { reason };
    this.#flushReport();
  }

  /** The peer has gone, or waits no longer for the marker that answers its own. */
  #forgetMarker(): void {
    if (this.#deadline !== undefined) this.#context.clock.clearTimer(this.#deadline);
    this.#outbox.clear();
  }

  #flushReport(): void {
    const report = this.#report;
    if (report === undefined || this.#events === undefined) return;
    this.#report = undefined;
    try {
      if (report.reason === undefined) this.#events.closed();
      else this.#events.closed(report.reason);
    } catch (error) {
      this.#context.logger.error("receiver of closed threw", { remote: this.remote, error });
    }
  }

  #target(): OutboxTarget {
    return {
      attempt: (frame) => this.#side.attempt(frame),
      blocked: (first) => {
        if (first && this.#state !== "ended") this.#context.count("transport.highWater");
        this.#side.blocked();
      },
      resumed: () => this.#side.resumed(),
      failed: (error) => this.lost(error),
      drained: () => {
        if (this.#state === "open") this.#events?.drained();
      },
    };
  }
}
