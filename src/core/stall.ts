/**
 * Whether a peer's process lives while its event loop does not turn.
 *
 * Problem: a link that is silent may belong to a process that is gone, to one that cannot be reached, or to one
 * that is busy with a single long computation; only the last one keeps its work. Approach: its heartbeat,
 * which runs beside the loop, says when the loop turned last; so does every frame heard on the link. The
 * later of the two counts.
 *
 * Invariant: a peer whose heartbeat was not heard for `patienceMs`, or said last that its loop turns, is never "stalled".
 * Source: DESIGN sections 8 and 9.
 */

export type StallLimits = {
  /** A loop that has not turned for longer is stalled. */
  readonly leaseMs: number;
  /** And after this it counts as gone. */
  readonly stalledMaxMs: number;
  /** An answer that is older proves nothing. */
  readonly patienceMs: number;
};

/**
 * "unknown": nothing is heard of the process. "turning": it lives and works. "stalled": it lives and its loop
 * is blocked. "overdue": it has been blocked for too long.
 */
export type StallVerdict = "unknown" | "turning" | "stalled" | "overdue";

/** Beats from one question to the next to a peer that is heard on its link as well. */
export const EASED_BEATS = 4;

/** Others wait so many leases for the holder of one, who counts on one. */
export const LEASES_WAITED = 1.1;

/** `linkSilentMs`: the age of the last frame of its link, Infinity without one. */
export const judgeStall = (
  pulse: { readonly silentMs: number; readonly lagMs: number } | undefined,
  linkSilentMs: number,
  { leaseMs, stalledMaxMs, patienceMs }: StallLimits,
): StallVerdict => {
  if (pulse === undefined || pulse.silentMs > patienceMs) return "unknown";
  const blockedMs = Math.min(pulse.silentMs + pulse.lagMs, linkSilentMs);
  if (blockedMs <= leaseMs) return "turning";
  if (pulse.lagMs === 0) return "unknown"; // it turned when it was heard last: nothing says that it is blocked
  return blockedMs <= stalledMaxMs ? "stalled" : "overdue";
};
