/** Transports whose listeners a test closes and opens again while the node runs. */
import { MeshError } from "../../src/errors.ts";
import type {
  Connection,
  Listener,
  ListenOptions,
  Transport,
  TransportContext,
} from "../../src/ports/transport.ts";

export class ClosableTransport implements Transport {
  readonly scheme: string;
  readonly preference: number;
  readonly #inner: Transport;
  #listener: Listener | undefined;
  #accept: (connection: Connection) => void = () => {};
  #at: ListenOptions = { host: "", port: 0 };

  constructor(inner: Transport) {
    this.#inner = inner;
    this.scheme = inner.scheme;
    this.preference = inner.preference;
  }

  start(context: TransportContext): Promise<void> {
    return this.#inner.start(context);
  }

  async listen(
    options: ListenOptions,
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    const listener = await this.#inner.listen(options, accept);
    this.#listener = listener;
    this.#accept = accept;
    const port = Number(listener.address.slice(listener.address.lastIndexOf(":") + 1));
    this.#at = { host: options.host, port };
    const { address, alsoAt = [] } = listener;
    return { address, alsoAt, close: async () => this.#listener?.close() };
  }

  dial(address: string, options: { timeoutMs: number; signal?: AbortSignal }): Promise<Connection> {
    return this.#inner.dial(address, options);
  }

  stop(): Promise<void> {
    return this.#inner.stop();
  }

  async closeListener(): Promise<void> {
    if (this.#listener === undefined) throw new MeshError("STOPPED", "nothing listens");
    await this.#listener.close();
  }

  async openListener(): Promise<void> {
    this.#listener = await this.#inner.listen(this.#at, this.#accept);
  }
}
