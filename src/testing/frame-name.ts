/** The type of a frame, for traces and for choosing which frames may misbehave. */
import { decodeFrame } from "../wire/frames.ts";

export const frameName = (frame: Uint8Array): string => {
  try {
    return decodeFrame(frame).type;
  } catch {
    return "malformed";
  }
};

/**
 * What heals when it is lost, doubled or overtaken: deliveries by Resync, credit by the heartbeat, verdicts
 * by asking. Other frames rely on the transport's promise.
 */
const HEALS = new Set(["batch", "credit", "accepted"]);

export const isFragile = (frame: Uint8Array): boolean => HEALS.has(frameName(frame));
