/** Who takes part in commits. */
import type { MeshError } from "../../errors.ts";

/** Somebody whose rows are written late, once per batch, or again after a failure. */
export interface CommitOwner {
  /** Adds its rows with `write`. Called once per batch it was dirty in, right before the batch leaves. */
  flush(): void;
  /** The outcome of a batch it was flushed into (or failed to be). Runs before the batch's waiters. */
  committed?(error: MeshError | undefined): void;
}

export type DurableCallback = (error: MeshError | undefined) => void;
