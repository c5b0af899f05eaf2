/** What members say to each other about membership; one shape for all, so that it stays fast to handle. */
import type { Claim } from "./claim.ts";

export const SWIM_KINDS = ["news", "ping", "ack", "nack", "relay", "digest", "rows"] as const;

/**
 * "news": claims and nothing else. "ping": answer. "ack": I do, or whom you asked me to try does. "nack":
 * I live, and whom you asked me to try does not answer. "relay": try `target` for me. "digest": these are my
 * buckets. "rows": claims of buckets that differ; `wanted` are those I want from you.
 */
export type SwimKind = (typeof SWIM_KINDS)[number];

export type SwimMessage = {
  readonly kind: SwimKind;
  /** Of a probe; its ack or nack repeats it. 0: nobody waits for the answer. */
  readonly number: number;
  readonly target: string;
  /** Into how many buckets the sender parts its table; a power of two. */
  readonly buckets: number;
  /** The bucket that `hashes` begins with. */
  readonly first: number;
  readonly hashes: readonly number[];
  readonly wanted: readonly number[];
  readonly claims: readonly Claim[];
};

const NO_NUMBERS: readonly number[] = Object.freeze([]);

/** Spelled out instead of spread over defaults: messages are made often. */
export const swimMessage = (
  kind: SwimKind,
  parts: Partial<SwimMessage>,
  claims: readonly Claim[],
): SwimMessage => ({
  kind,
  number: parts.number ?? 0,
  target: parts.target ?? "",
  buckets: parts.buckets ?? 0,
  first: parts.first ?? 0,
  hashes: parts.hashes ?? NO_NUMBERS,
  wanted: parts.wanted ?? NO_NUMBERS,
  claims,
});
