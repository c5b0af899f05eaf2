/** How a handler ended that was told to stop: a time-out is an attempt, a message that went back is none. */
import { MeshError } from "../errors.ts";
import type { RunOutcome } from "./history.ts";

export const lateOutcome = (signal: AbortSignal): RunOutcome => {
  const reason: unknown = signal.reason;
  return MeshError.is(reason) && reason.code === "PEER_LOST" ? "surrendered" : "revoked";
};
