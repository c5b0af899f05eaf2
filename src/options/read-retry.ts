/** `retry` of a node or a subscription. */
import type { RetryPolicy } from "../core/retry-schedule.ts";
import { NODE_BOUNDS } from "./bounds.ts";
import type { OptionReader } from "./option-reader.ts";

/** What is not given is taken from `defaults`. */
export const readRetry = (section: OptionReader, defaults: RetryPolicy): RetryPolicy => {
  const attempts = NODE_BOUNDS["retry.attempts"];
  const retry = Object.freeze({
    attempts: section.integer("attempts", attempts, defaults.attempts),
    baseMs: section.integer("baseMs", NODE_BOUNDS["retry.baseMs"], defaults.baseMs),
    capMs: section.integer("capMs", NODE_BOUNDS["retry.capMs"], defaults.capMs),
  });
  if (retry.capMs < retry.baseMs) {
    section.fail("capMs", `is ${retry.capMs}, must be at least retry.baseMs ${retry.baseMs}`);
  }
  return retry;
};
