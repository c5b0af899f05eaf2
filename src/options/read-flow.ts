/** `breaker` and `rate` of a subscription. */
import type { BreakerPolicy } from "../core/circuit-breaker.ts";
import type { RatePolicy } from "../core/rate-limiter.ts";
import { SUBSCRIBE_BOUNDS } from "./bounds.ts";
import { type OptionReader, show } from "./option-reader.ts";

export type BreakerOptions = {
  /** Opens when of the handler's ends in the window this share failed, 0.01 to 1; default 0.5. */
  readonly failureShare?: number;
  /** And not before so many ends, 1 to 1,000,000; default 20. */
  readonly minimum?: number;
  /** How far back ends count, 100 ms to a day; default 60,000. */
  readonly windowMs?: number;
  /** How long it stays open, 1 ms to a day; default 10,000; doubled each time a probe fails. */
  readonly openMs?: number;
  /** And the most that becomes; default 60,000, or `openMs` if that is more. */
  readonly openMsMax?: number;
  /** Messages that must succeed, one after the other, before it closes, 1 to 1,000; default 1. */
  readonly probes?: number;
  /**
   * Whether what the handler threw is a failure of what it depends on. Default: everything but
   * `Unrecoverable` and `ctx.deadLetter()`. What is none counts neither way. A time-out always is one.
   */
  readonly isFailure?: (error: unknown) => boolean;
};

export type RateOptions = {
  /** Handlers started in a second, 0.001 to 1,000,000. */
  readonly perSecond?: number;
  /**
   * Of those, how many may start at once after a quiet time, 1 to 1,000,000; default: a tenth of a
   * second's, at least 1.
   */
  readonly burst?: number;
};

export type BreakerRules = BreakerPolicy & {
  readonly isFailure: ((error: unknown) => boolean) | undefined;
};

export type FlowRules = {
  /** Undefined: none. */
  readonly breaker: BreakerRules | undefined;
  /** Undefined: none. */
  readonly rate: RatePolicy | undefined;
};

/** Names of these options, for the reader of all. */
export const FLOW_OPTIONS: readonly string[] = [
  "breaker.failureShare",
  "breaker.minimum",
  "breaker.windowMs",
  "breaker.openMs",
  "breaker.openMsMax",
  "breaker.probes",
  "breaker.isFailure",
  "rate.perSecond",
  "rate.burst",
];

export const readFlow = (reader: OptionReader): FlowRules => ({
  breaker: readBreaker(reader),
  rate: readRate(reader),
});

const readBreaker = (reader: OptionReader): BreakerRules | undefined => {
  const given = reader.raw("breaker");
  if (given === undefined || given === false) return undefined;
  if (given !== true && (typeof given !== "object" || given === null || Array.isArray(given))) {
    reader.fail("breaker", `is ${show(given)}, must be true, false or an object`);
    return undefined;
  }
  const section = reader.section("breaker", given === true ? {} : given);
  const bounds = SUBSCRIBE_BOUNDS;
  const openMs = section.integer("openMs", bounds["breaker.openMs"]);
  const mostMs = Math.max(openMs, bounds["breaker.openMsMax"].default);
  const openMsMax = section.integer("openMsMax", bounds["breaker.openMsMax"], mostMs);
  if (openMsMax < openMs) {
    section.fail("openMsMax", `is ${openMsMax}, must be at least breaker.openMs ${openMs}`);
  }
  return Object.freeze({
    failureShare: section.number("failureShare", bounds["breaker.failureShare"]),
    minimum: section.integer("minimum", bounds["breaker.minimum"]),
    windowMs: section.integer("windowMs", bounds["breaker.windowMs"]),
    openMs,
    openMsMax,
    probes: section.integer("probes", bounds["breaker.probes"]),
    isFailure: readIsFailure(section),
  });
};

const readIsFailure = (section: OptionReader): BreakerRules["isFailure"] => {
  const given = section.raw("isFailure");
  if (given === undefined || typeof given === "function") return given as BreakerRules["isFailure"];
  section.fail("isFailure", `is ${show(given)}, must be a function`);
  return undefined;
};

const readRate = (reader: OptionReader): RatePolicy | undefined => {
  if (reader.raw("rate") === undefined) return undefined;
  const section = reader.section("rate");
  const perSecond = section.number("perSecond", SUBSCRIBE_BOUNDS["rate.perSecond"]);
  const tenth = Math.max(1, Math.ceil(Math.min(perSecond, 10_000_000) / 10));
  const burst = section.integer("burst", SUBSCRIBE_BOUNDS["rate.burst"], tenth);
  return perSecond === Number.POSITIVE_INFINITY ? undefined : Object.freeze({ perSecond, burst });
};
