/** From an Open to the options of `subscribe`, `handle` and `reply`, which check them. */
import { MeshError } from "../errors.ts";
import { SUBSCRIBE_BOUNDS } from "../options/bounds.ts";
import type { SubscribeOptions } from "../options/subscribe-options.ts";
import type { Headers, Open } from "./gateway-protocol.ts";

export type ListenRole = "events" | "commands" | "queries";

/** How long a message waits for a stream that can take it, before it goes back. */
export const WAIT_MS = 10_000;
/** The gateway limits a delivery's time itself, from when it was given; the node's limit comes after that. */
const MARGIN_MS = 5_000;
const TIMER_MS_MAX = 2_147_483_647;
const CONCURRENCY = 256;
const TIMEOUT_MS = 30_000;
const CREDIT = 16;

/** How a listening is opened: streams that share one must have it alike. */
export type Opening = {
  readonly role: ListenRole;
  readonly pattern: string;
  readonly group: string;
  readonly accepts: readonly [min: number, max: number];
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly options: SubscribeOptions;
};

/** @throws MeshError INVALID_OPTIONS */
export const openingOf = (
  role: ListenRole,
  open: Open,
  service: string,
  prefetchBytesMax: number,
): Opening => {
  const { pattern = "", versionMin = 0, versionMax = 0 } = open;
  const group = open.group ? open.group : service;
  const concurrency = open.concurrency ? open.concurrency : CONCURRENCY;
  const timeoutMs = open.timeoutMs ? open.timeoutMs : TIMEOUT_MS;
  const nodeTimeoutMs = Math.min(timeoutMs + WAIT_MS + MARGIN_MS, TIMER_MS_MAX);
  return {
    ...{ role, pattern, group, accepts: [versionMin, versionMax], concurrency, timeoutMs },
    options: {
      ...{ group, concurrency, timeoutMs: nodeTimeoutMs },
      ...(open.durable ? { durable: true } : {}),
      ...distributionOf(open.distribution),
      ...(open.failoverWait ? { failover: "wait" } : {}),
      ...(open.holdOnDead ? { onDead: "hold" } : {}),
      ...(open.earliest ? { from: "earliest" } : {}),
      ...(open.fromTimeMs === undefined ? {} : { from: new Date(open.fromTimeMs) }),
      ...(open.prefetch ? { prefetch: open.prefetch } : {}),
      ...prefetchOf(open.prefetchBytes, prefetchBytesMax),
      ...(open.weight ? { weight: open.weight } : {}),
      ...retryOf(open.retry),
      ...(Object.keys(open.filterHeaders).length > 0
        ? { filter: { headers: sorted(open.filterHeaders) } }
        : {}),
    },
  };
};

/** @throws MeshError INVALID_OPTIONS */
export const creditOf = (credit: number | undefined, creditMax: number): number => {
  if (credit === undefined) return Math.min(CREDIT, creditMax);
  if (credit <= creditMax) return credit;
  const message = `credit is ${credit}, must be at most limits.creditMax ${creditMax}`;
  throw new MeshError("INVALID_OPTIONS", message);
};

/** @throws MeshError SUBSCRIPTION_MISMATCH unless both are opened alike */
export const checkAlike = (standing: Opening, opening: Opening): void => {
  if (JSON.stringify(standing) === JSON.stringify(opening)) return;
  const { group, pattern } = opening;
  const said = `"${pattern}" in group "${group}" is open at this gateway with other options`;
  throw new MeshError("SUBSCRIPTION_MISMATCH", `${said}: open it alike, or use another group`);
};

/** The node's default, unless the gateway allows less. */
const prefetchOf = (asked: number | undefined, max: number): { prefetchBytes?: number } => {
  if (!asked) return max < SUBSCRIBE_BOUNDS.prefetchBytes.default ? { prefetchBytes: max } : {};
  if (asked <= max) return { prefetchBytes: asked };
  const said = `prefetch_bytes is ${asked}, must be at most limits.prefetchBytesMax ${max}`;
  throw new MeshError("INVALID_OPTIONS", said);
};

/** Maps come in any order. */
const sorted = (headers: Headers): Headers =>
  Object.fromEntries(Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1)));

const distributionOf = (distribution: number | undefined): { distribution?: "any" } => {
  if (distribution === undefined || distribution === 0) return {};
  if (distribution === 1) return { distribution: "any" };
  throw new MeshError("INVALID_OPTIONS", `distribution ${distribution} is none that is known`);
};

const retryOf = (retry: Open["retry"]): Pick<SubscribeOptions, "retry"> => {
  if (retry === undefined || retry === null) return {};
  const { attempts, baseMs, capMs } = retry;
  return {
    retry: {
      ...(attempts ? { attempts } : {}),
      ...(baseMs === undefined ? {} : { baseMs }),
      ...(capMs === undefined ? {} : { capMs }),
    },
  };
};
