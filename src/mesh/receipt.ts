/** What `publish` and `send` give: the message is accepted, synced to this node's disk. */
import { messageId, type NodeId } from "../core/ids.ts";
import type { Position } from "../core/position.ts";

export class Receipt {
  readonly #nodeId: string;
  readonly #epoch: number;
  readonly #seq: number;
  readonly #givenId: string | undefined;
  /** True when the idempotency key was seen before: this is the first call's receipt. */
  readonly duplicate: boolean;

  constructor(
    nodeId: string,
    epoch: number,
    seq: number,
    givenId: string | undefined,
    duplicate = false,
  ) {
    this.#nodeId = nodeId;
    this.#givenId = givenId;
    this.#epoch = epoch;
    this.#seq = seq;
    this.duplicate = duplicate;
  }

  /** Position in the journal of this node. */
  get position(): Position {
    return { epoch: this.#epoch, seq: this.#seq };
  }

  /** The message's id: node and position, unless the caller gave one. */
  get id(): string {
    return this.#givenId ?? messageId(this.#nodeId as NodeId, this.#epoch, this.#seq);
  }

  toJSON(): { id: string; position: Position; duplicate: boolean } {
    return { id: this.id, position: this.position, duplicate: this.duplicate };
  }
}
