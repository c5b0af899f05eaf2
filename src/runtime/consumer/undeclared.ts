/**
 * A subscription that an earlier life of this node declared and this one does not, while output of its handlers
 * is held: its producer is asked, and answered, by its name.
 */
import type { Position } from "../../core/position.ts";
import type { Link } from "../link/link.ts";

export class Undeclared {
  readonly #link: Link;
  readonly #name: string;

  constructor(link: Link, name: string) {
    this.#link = link;
    this.#name = name;
  }

  get closed(): boolean {
    return !this.#link.isUp;
  }

  ask(positions: readonly Position[]): void {
    this.#send(positions, []);
  }

  released(position: Position): void {
    this.#send([], [position]);
  }

  #send(positions: readonly Position[], released: readonly Position[]): void {
    const { session } = this.#link;
    this.#link.send({
      type: "ask",
      session,
      subscription: 0,
      name: this.#name,
      positions,
      released,
    });
  }
}
