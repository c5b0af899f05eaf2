/**
 * One connection: one bidirectional gRPC call, seen from either side.
 *
 * Problem: the end of a call does not say whether the peer meant to leave, and grpc-js closes what it holds
 * only when the peer takes part. Approach: an empty message is the *close marker*, after which a side sends
 * nothing more; the socket below is ours to destroy when time is up (grpc-dial.ts, grpc-listener.ts).
 *
 * States: open -> closing (marker sent or on its way; what arrives is dropped, so that the peer is never
 * reset while it still reads) -> ended, or open -> ended (the peer closed or was lost).
 *
 * Invariants: `closed` is reported exactly once, no event follows it; `bufferedBytes` is what HTTP/2 flow
 * control and the kernel have not taken; a call is over CLOSE_MS after its connection closed, whatever the
 * peer does, or CLOSE_MAX_MS if the peer reads all the while: grpc-js writes one message a turn of the event
 * loop, so that many small frames take longer than their bytes.
 */
import { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import type {
  Channel,
  Connection,
  ConnectionEvents,
  TransportContext,
} from "../../ports/transport.ts";
import { CLOSE_MAX_MS, CLOSE_MS, MARKER } from "./link-call.ts";

/** A call of either side. */
export type Call = {
  readonly stream: {
    on(event: "data", arrived: (bytes: Buffer) => void): unknown;
    write(bytes: Buffer, taken?: () => void): boolean;
    end(): unknown;
  };
  readonly remote: string;
  readonly channel: Channel | undefined;
  /** Resolves when nothing of it is left. */
  readonly closed: Promise<void>;
  /** Calls back once, when the call is over and all that came of it was handed over. */
  onOver(over: (cause: Error | undefined) => void): void;
  /** Calls back when the peer sends no more and the call goes on; not called where that is its end. */
  onHalfClosed(halfClosed: () => void): void;
  /** Ends it at once, and the socket below with it. */
  cut(): void;
};

export class GrpcConnection implements Connection {
  readonly remote: string;
  readonly channel: Channel | undefined;
  /** Resolves when nothing of it is left. */
  readonly gone: Promise<void>;
  readonly #call: Call;
  readonly #context: TransportContext;
  #state: "open" | "closing" | "ended" = "open";
  #isOver = false;
  #events: ConnectionEvents | undefined;
  #report: { readonly reason: MeshError | undefined } | undefined;
  #deadline: Timer | undefined;
  #unsent = 0;
  #closeByMs = 0;

  constructor(call: Call, context: TransportContext) {
    this.#call = call;
    this.#context = context;
    this.remote = call.remote;
    this.channel = call.channel;
    this.gone = call.closed;
    call.onOver((cause) => this.#over(cause));
    call.onHalfClosed(() => this.#end(this.#lost(undefined)));
  }

  get bufferedBytes(): number {
    return this.#state === "open" ? this.#unsent : 0;
  }

  open(events: ConnectionEvents): void {
    this.#events = events;
    if (this.#report !== undefined) this.#context.clock.endOfTurn(() => this.#flushReport());
    this.#call.stream.on("data", (bytes: Buffer) => this.#arrived(bytes));
  }

  send(frame: Uint8Array): void {
    if (this.#state !== "open") return;
    const { frameBytesMax } = this.#context;
    const bytes = frame.length;
    if (bytes > 0 && bytes <= frameBytesMax) {
      this.#unsent += bytes;
      this.#call.stream.write(asBuffer(frame), () => this.#taken(bytes));
      return;
    }
    this.#context.count("transport.badFrame");
    this.#leave(
      bytes === 0
        ? new MeshError("INVALID_OPTIONS", "frame of 0 B cannot be sent, the smallest is 1 B")
        : new MeshError(
            "PAYLOAD_TOO_LARGE",
            `frame ${bytes} B exceeds frameBytesMax ${frameBytesMax}`,
          ),
    );
  }

  close(): void {
    if (this.#state === "open") this.#leave(undefined);
  }

  // --- inside --------------------------------------------------------------------------------

  #arrived(bytes: Buffer): void {
    if (this.#state !== "open") return;
    if (bytes.length === 0) {
      this.#end(undefined);
      return;
    }
    try {
      this.#events?.frame(bytes);
    } catch (error) {
      this.#context.logger.error("receiver of frames threw", { remote: this.remote, error });
      this.#leave(new MeshError("PEER_LOST", "the receiver of frames threw", { cause: error }));
    }
  }

  #taken(bytes: number): void {
    this.#unsent -= bytes;
    if (this.#unsent === 0 && this.#state === "open") this.#events?.drained();
  }

  /** open -> closing: what waits is sent, then the marker; the user hears `closed` at the turn's end. */
  #leave(reason: MeshError | undefined): void {
    this.#state = "closing";
    this.#call.stream.write(MARKER);
    this.#call.stream.end();
    this.#limit();
    this.#report = { reason };
    this.#context.clock.endOfTurn(() => this.#flushReport());
  }

  /** open -> ended: the peer has closed, or is lost. What waits is of no use to it. */
  #end(reason: MeshError | undefined): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    if (!this.#isOver) {
      this.#call.stream.end();
      this.#limit();
    }
    this.#report = { reason };
    this.#flushReport();
  }

  /** The call ends by then, or is cut off. */
  #limit(): void {
    const { clock } = this.#context;
    if (this.#closeByMs === 0) this.#closeByMs = clock.monotonicMs() + CLOSE_MAX_MS;
    const unsent = this.#unsent;
    this.#deadline = clock.setTimer(CLOSE_MS, () => {
      const isRead = this.#unsent < unsent && clock.monotonicMs() + CLOSE_MS <= this.#closeByMs;
      if (this.#state === "closing" && isRead) {
        this.#limit();
        return;
      }
      if (this.#state === "closing" && this.#unsent > 0) this.#context.count("transport.discarded");
      this.#call.cut();
    });
  }

  #over(cause: Error | undefined): void {
    this.#isOver = true;
    if (this.#deadline !== undefined) this.#context.clock.clearTimer(this.#deadline);
    this.#end(this.#lost(cause));
    this.#state = "ended";
  }

  #lost(cause: Error | undefined): MeshError {
    const message = `the connection with ${this.remote} was lost`;
    return new MeshError("PEER_LOST", message, cause === undefined ? {} : { cause });
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
}

/** The same bytes as grpc-js wants them. */
const asBuffer = (frame: Uint8Array): Buffer =>
  Buffer.isBuffer(frame) ? frame : Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
