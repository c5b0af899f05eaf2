/**
 * What transports have in common from their start to their stop: whether they run, and what they hold.
 *
 * Invariants: nothing is held after `stop`, which resolves when all that was held is gone; what is bound while the
 * transport stops is closed, not handed out.
 */
import { MeshError } from "../errors.ts";
import type { Listener, TransportContext } from "../ports/transport.ts";
import { Dials } from "./dials.ts";

/** A connection that was dialled. */
type Dialled = { readonly gone: Promise<void>; close(): void };

export class TransportLife {
  readonly dials: Dials = new Dials();
  readonly #name: string;
  readonly #listeners = new Set<Listener>();
  readonly #connections = new Set<Dialled>();
  #context: TransportContext | undefined;
  #stopping: Promise<void> | undefined;

  /** `name` is for errors. */
  constructor(name: string) {
    this.#name = name;
  }

  start(context: TransportContext): void {
    this.#context = context;
  }

  /** @throws MeshError STOPPED before `start` and after `stop` */
  get context(): TransportContext {
    if (this.#context === undefined || this.#stopping !== undefined) throw this.#stopped();
    return this.#context;
  }

  /** Holds a listener that is bound. @throws MeshError STOPPED, and closes it, when the transport stopped meanwhile */
  async listens<L extends Listener>(listener: L): Promise<L> {
    if (this.#stopping !== undefined) {
      await listener.close();
      throw this.#stopped();
    }
    this.#listeners.add(listener);
    return listener;
  }

  /** Holds a connection until it is gone. */
  holds<C extends Dialled>(connection: C): C {
    this.#connections.add(connection);
    void connection.gone.then(() => this.#connections.delete(connection));
    return connection;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.dials.stop(this.#stopped());
    const connections = [...this.#connections];
    for (const connection of connections) connection.close();
    await Promise.all([
      ...connections.map(({ gone }) => gone),
      ...[...this.#listeners].map((listener) => listener.close()),
    ]);
    this.#listeners.clear();
  }

  #stopped(): MeshError {
    return new MeshError("STOPPED", `the ${this.#name} transport is not running`);
  }
}
