/**
 * What the peer of a link says that it listens to, kept as said: also what was refused here, and what versions of a
 * contract its handlers read, which nobody needs to deliver.
 *
 * Bound: `recordsMax` of a link, names of NAME_MAX; more is not kept, as it is not served.
 */
import type { DeclareFrame, SubscriptionRecord } from "../../wire/declare.ts";

export type PeerDeclaration = Pick<
  SubscriptionRecord,
  "role" | "group" | "pattern" | "versionMin" | "versionMax"
>;

const NAME_MAX = 255;

export class PeerDeclarations {
  readonly #declared = new Map<number, PeerDeclaration>();
  #isHeard = false;

  heard({ add, remove, complete }: DeclareFrame, recordsMax: number): void {
    if (complete) this.#isHeard = true;
    for (const { index, role, group, pattern, versionMin, versionMax } of add) {
      if (group.length > NAME_MAX || pattern.length > NAME_MAX) continue;
      if (!this.#declared.has(index) && this.#declared.size >= recordsMax) continue;
      this.#declared.set(index, { role, group, pattern, versionMin, versionMax });
    }
    for (const index of remove) this.#declared.delete(index);
  }

  /** Undefined before the peer has said all of it once. */
  get all(): Iterable<PeerDeclaration> | undefined {
    return this.#isHeard ? this.#declared.values() : undefined;
  }
}
