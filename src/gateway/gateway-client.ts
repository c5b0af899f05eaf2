/** One client: a connection, with all its calls, and what it makes the gateway hold. */
import type { Socket } from "node:net";
import { ByteBudget } from "./byte-budget.ts";
import type { ClientRights } from "./client-rights.ts";

export type ClientLimits = {
  /** Bytes given to it and not settled, or not read by it. */
  readonly givenBytesMax: number;
  /** Bytes of what it says and asks, not answered yet, and of answers it has not read. */
  readonly saidBytesMax: number;
};

export class GatewayClient {
  /** "address:port". */
  readonly name: string;
  readonly given: ByteBudget;
  readonly said: ByteBudget;
  readonly #socket: Socket;
  readonly #waiting = new Set<() => void>();
  #out = 0;
  #isAlone = false;
  /** By its certificate; undefined where the gateway asks for none: it may do what the node may. */
  readonly rights: ClientRights | undefined;
  /** It has opened a call once. */
  isGreeted = false;

  constructor(name: string, socket: Socket, limits: ClientLimits, rights?: ClientRights) {
    this.name = name;
    this.#socket = socket;
    this.rights = rights;
    this.given = new ByteBudget(limits.givenBytesMax);
    this.said = new ByteBudget(limits.saidBytesMax);
  }

  /** Its connection has ended, not only a call. */
  get isGone(): boolean {
    return this.#socket.destroyed;
  }

  /** What it has it has with nothing beside. */
  get isAlone(): boolean {
    return this.#isAlone;
  }

  /**
   * Whether it may be given something more (`alone`: with nothing beside). If not, `whenFree` is called once
   * that may have changed.
   */
  mayTake(alone: boolean, whenFree: () => void): boolean {
    if (!this.#isAlone && (!alone || this.#out === 0)) return true;
    this.#waiting.add(whenFree);
    return false;
  }

  took(alone: boolean): void {
    this.#out++;
    if (alone) this.#isAlone = true;
  }

  ended(): void {
    this.#out--;
    if (this.#out > 0) return;
    this.#isAlone = false;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const tell of waiting) tell();
  }

  forget(waiting: () => void): void {
    this.#waiting.delete(waiting);
    this.given.forget(waiting);
  }

  /** Ends its connection, and so all its calls, at once. */
  cut(): void {
    this.#socket.destroy();
  }
}
