/** What a member's ownership is asked with, and what it answers. */

export type StepInput = {
  readonly nowMs: number;
  readonly wallMs: number;
  /** This node's lease is good: somebody heard it lately. */
  readonly leaseValid: boolean;
  /** Since when some other node is linked; undefined when none is. */
  readonly metSinceMs: number | undefined;
  /** Nothing of the moving shard runs here, and every settle of it has left. */
  readonly isDrained: (shard: number) => boolean;
};

export type Step = {
  /** Shards whose register is another now: others are to hear of it. */
  readonly changed: number[];
  /** Claims that became firm, apart from `changed`. */
  readonly confirmed: number[];
  readonly taken: number[];
  /** Begin to move: nothing new starts, what waits goes back. */
  readonly moving: number[];
  readonly released: number[];
  /** When to ask again if nothing happens before. */
  nextMs: number;
};

export const emptyStep = (): Step => ({
  changed: [],
  confirmed: [],
  taken: [],
  moving: [],
  released: [],
  nextMs: Infinity,
});
