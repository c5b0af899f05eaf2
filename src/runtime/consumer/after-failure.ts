/** What a failure makes of a message: tried again, ended, or given back untried. */
import {
  isExhausted,
  jitterFraction,
  type RetryPolicy,
  retryDelayMs,
} from "../../core/retry-schedule.ts";
import type { Job } from "./job.ts";
import type { NackReason } from "./nack-of.ts";
import { describeError, outcomeOf } from "./outcome.ts";

/** How the message goes on after this failure, which is counted in it unless it is no attempt. */
export const afterFailure = (job: Job, error: unknown, retry: RetryPolicy): NackReason => {
  const outcome = outcomeOf(error);
  if (outcome.type === "defer") {
    return { outcome: "return", delayMs: outcome.delayMs, reason: "deferred" };
  }
  job.attempts++;
  const { name: errorName, message: errorMessage } = describeError(error);
  const told = { errorName, errorMessage };
  if (outcome.type === "dead") {
    return { outcome: "dead", delayMs: 0, reason: outcome.reason, ...told };
  }
  if (isExhausted(retry, job.attempts)) {
    return { outcome: "dead", delayMs: 0, reason: `${job.attempts} attempts failed`, ...told };
  }
  const fraction = jitterFraction(job.seq ^ job.epoch, job.attempts);
  const delayMs = outcome.delayMs ?? retryDelayMs(retry, job.attempts, fraction);
  return { outcome: "retry", delayMs, reason: "", ...told };
};

/**
 * The message goes back although its handler has not returned; only a time-out that had passed before is an
 * attempt. Undefined: it went back before.
 */
export const surrender = (job: Job): NackReason | undefined => {
  if (job.surrendered) return undefined;
  job.surrendered = true;
  if (job.state !== "revoked") return { outcome: "return", delayMs: 0, reason: "" };
  job.attempts++;
  return { outcome: "retry", delayMs: 0, reason: "" };
};
