/**
 * A transport that ends its own process at a given frame, so that a test can kill at any step of a
 * conversation without a switch in the code under test.
 */
import type {
  Connection,
  ConnectionEvents,
  Listener,
  ListenOptions,
  Transport,
  TransportContext,
} from "../../src/ports/transport.ts";
import { decodeFrame } from "../../src/wire/frames.ts";
import type { KillRule } from "./node-protocol.ts";

export const killItself = (): never => {
  process.kill(process.pid, "SIGKILL");
  // The signal ends the process before the call returns; this line is for the type checker.
  throw new Error("not killed");
};

export class KillingTransport implements Transport {
  readonly scheme: string;
  readonly preference: number;
  readonly #inner: Transport;
  readonly #rule: KillRule;
  #left: number;

  constructor(inner: Transport, rule: KillRule) {
    this.scheme = inner.scheme;
    this.preference = inner.preference;
    this.#inner = inner;
    this.#rule = rule;
    this.#left = rule.nth ?? 1;
  }

  start(context: TransportContext): Promise<void> {
    return this.#inner.start(context);
  }

  listen(options: ListenOptions, accept: (connection: Connection) => void): Promise<Listener> {
    return this.#inner.listen(options, (connection) => accept(this.#watched(connection)));
  }

  async dial(
    address: string,
    options: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<Connection> {
    return this.#watched(await this.#inner.dial(address, options));
  }

  stop(): Promise<void> {
    return this.#inner.stop();
  }

  #watched(connection: Connection): Connection {
    const pass = (direction: KillRule["direction"], frame: Uint8Array, on: () => void): void => {
      if (!this.#matches(direction, frame)) {
        on();
        return;
      }
      if (this.#rule.when === "after") on();
      killItself();
    };
    return {
      remote: connection.remote,
      get bufferedBytes() {
        return connection.bufferedBytes;
      },
      send: (frame) => pass("out", frame, () => connection.send(frame)),
      close: () => connection.close(),
      open: (events: ConnectionEvents) =>
        connection.open({
          frame: (bytes) => pass("in", bytes, () => events.frame(bytes)),
          drained: () => events.drained(),
          closed: (reason) => events.closed(reason),
        }),
    };
  }

  #matches(direction: KillRule["direction"], bytes: Uint8Array): boolean {
    const { direction: wanted, frame: type, having } = this.#rule;
    if (direction !== wanted) return false;
    const frame = decodeFrame(bytes);
    if (frame.type !== type) return false;
    if (having !== undefined) {
      if (frame.type !== "settle") return false;
      if (!frame.sections.some((section) => section[having].length > 0)) return false;
    }
    this.#left--;
    return this.#left === 0;
  }
}
