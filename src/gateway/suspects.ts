/**
 * What becomes of a message whose client vanished with it.
 *
 * Problem: it must go to another client at once, and no attempt may count against it: its client may have died
 * of anything. But a message that kills every client that handles it would go round for ever. Approach, as
 * between nodes: a message that was out at `DEATHS` deaths is *suspect*. It is given to a client that has
 * nothing else, and gets nothing else meanwhile; a death then is an attempt of it.
 *
 * Known for all listenings of a gateway, by name, as a listening ends with its last client. Bound: `KNOWN_MAX`; the oldest is forgotten, and its deaths with it.
 */
import { MeshError } from "../errors.ts";
import { Deferred } from "../runtime/consumer/outcome.ts";

const DEATHS = 2;
const KNOWN_MAX = 4_096;

export class Suspects {
  readonly #deaths = new Map<string, number>();

  has(id: string | undefined): boolean {
    return id !== undefined && (this.#deaths.get(id) ?? 0) >= DEATHS;
  }

  /** The client died with the message: what its handling ends with. */
  died(id: string | undefined, wasAlone: boolean): Error {
    if (id !== undefined) {
      const deaths = (this.#deaths.get(id) ?? 0) + 1;
      this.#deaths.delete(id); // the latest stands last
      this.#deaths.set(id, deaths);
    }
    if (this.#deaths.size > KNOWN_MAX) {
      const [oldest] = this.#deaths.keys();
      this.#deaths.delete(oldest as string);
    }
    if (!wasAlone) return new Deferred(0, "its client vanished");
    return new MeshError("PEER_LOST", "its client vanished while it had this message alone");
  }

  /** Somebody survived it. */
  clear(id: string | undefined): void {
    if (id !== undefined) this.#deaths.delete(id);
  }
}
