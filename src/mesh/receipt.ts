/** What `publish` and `send` give: the message is accepted, synced to this node's disk. */
import { messageId, type NodeId } from "../core/ids.ts";
import type { Position } from "../core/position.ts";

export class Receipt {
  readonly #nodeId: string;
  readonly #givenId: string | undefined;
  /** Position in the journal of this node. */
  readonly position: Position;
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
    this.position = { epoch, seq };
    this.duplicate = duplicate;
  }

  /** The message's id: node and position, unless the caller gave one. */
  get id(): string {
    const { epoch, seq } = this.position;
    return this.#givenId ?? messageId(this.#nodeId as NodeId, epoch, seq);
  }

  toJSON(): { id: string; position: Position; duplicate: boolean } {
    return { id: this.id, position: this.position, duplicate: this.duplicate };
  }
}
