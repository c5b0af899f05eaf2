/**
 * Options of subscribe(), messages(), handle() and reply(): checked, completed and frozen.
 *
 * Some follow from others: competing consumers have no order, an instance's own copy never moves, a
 * command waits for its group by nature. What contradicts is refused instead of silently bent.
 */
import type { RetryPolicy } from "../core/retry-schedule.ts";
import type { Distribution, HeaderFilter, Role, Start } from "../wire/declare.ts";
import { FIXED_BOUNDS, SUBSCRIBE_BOUNDS } from "./bounds.ts";
import { fitsBytes, isHeaderName, isName, NAME_RULE } from "./names.ts";
import type { RetryOptions } from "./node-options.ts";
import { OptionReader, show } from "./option-reader.ts";
import {
  type BreakerOptions,
  FLOW_OPTIONS,
  type FlowRules,
  type RateOptions,
  readFlow,
} from "./read-flow.ts";
import { readRetry } from "./read-retry.ts";

export type SubscribeOptions = {
  /**
   * Members of one group share the messages. Default: the node's service. `false`, for events only:
   * every instance gets a copy of its own.
   */
  readonly group?: string | false;
  /**
   * Whether the backlog waits while all members are away. Default false; handle() is always
   * durable, reply() never.
   */
  readonly durable?: boolean;
  /**
   * "key" (default): each key has one owner among the members. "any": competing consumers, no
   * order.
   */
  readonly distribution?: "key" | "any";
  /**
   * "key" (default): one at a time and in order inside a key. "none": neither; implied by "any".
   */
  readonly order?: "key" | "none";
  /**
   * "move" (default): keys of a dead member go to another. "wait": they wait for their owner; then
   * ctx.state exists. Without a group ("false") nothing can move.
   */
  readonly failover?: "move" | "wait";
  /**
   * "continue" (default): a dead letter leaves a gap. "hold": its key stops until it is replayed or
   * discarded.
   */
  readonly onDead?: "continue" | "hold";
  /** "new" (default), "earliest" still retained, or a point in time. For events. */
  readonly from?: "new" | "earliest" | Date;
  /**
   * Handlers running at once, 1 to 65,536; default 16, or `prefetch` if that is less. More helps
   * when handlers wait for others.
   */
  readonly concurrency?: number;
  /**
   * Messages received ahead, 1 to 65,536, not below `concurrency`; default 256, or 2 x concurrency
   * if that is more. Less spreads a burst more evenly, more hides longer round trips.
   */
  readonly prefetch?: number;
  /**
   * And their bytes, 1 KiB up to the node's limits.nodePrefetchBytes; default 8 MiB, or that limit
   * if less. At-most-once messages have 65,536 messages and 16 MiB of their own; more than that
   * raises their bytes too.
   */
  readonly prefetchBytes?: number;
  /**
   * When an attempt has failed, 1 to 2,147,483,647 ms; default 30,000: ctx.signal aborts and ctx is
   * revoked.
   */
  readonly timeoutMs?: number;
  /**
   * How long after it the key waits for the handler to return, 0 to 2,147,483,647 ms or Infinity;
   * default: timeoutMs. Then the next attempt may run beside it.
   */
  readonly abandonMs?: number;
  /** Share of the keys compared with other members, 1 to 1,000; default 1. */
  readonly weight?: number;
  /** Default: the node's `retry`; each part on its own. */
  readonly retry?: RetryOptions;
  /**
   * Starts no handler for a while when too many fail. Default false: none; true: with its defaults.
   * Of this instance alone.
   */
  readonly breaker?: boolean | BreakerOptions;
  /** How often a handler starts. Default: as often as it can. Of this instance alone. */
  readonly rate?: RateOptions;
  /**
   * Only events that have each of these headers (at most 16) with this value. Runs at the producer.
   */
  readonly filter?: { readonly headers?: Readonly<Record<string, string>> };
  /** Stops waiting for confirmations when it fires before they came. */
  readonly signal?: AbortSignal;
};

export type SubscribeContext = {
  readonly role: Role;
  /** The default group. */
  readonly service: string;
  /** The node's. */
  readonly retry: RetryPolicy;
  /** The node's limit. */
  readonly nodePrefetchBytes: number;
};

export type ResolvedSubscribeOptions = {
  readonly role: Role;
  /** False: this instance alone. */
  readonly group: string | false;
  readonly durable: boolean;
  readonly distribution: Distribution;
  readonly order: "key" | "none";
  readonly failover: "move" | "wait";
  readonly onDead: "continue" | "hold";
  readonly start: Start;
  /** Milliseconds since 1970 for start "time", else 0. */
  readonly startTimeMs: number;
  readonly concurrency: number;
  readonly prefetch: number;
  readonly prefetchBytes: number;
  readonly timeoutMs: number;
  readonly abandonMs: number;
  readonly weight: number;
  readonly retry: RetryPolicy;
  readonly filter: readonly HeaderFilter[];
  /** Whether ctx.state exists: messages cannot move to another member. */
  readonly stateful: boolean;
  readonly signal: AbortSignal | undefined;
} & FlowRules;

const EVERY_ROLE = [
  "group",
  "concurrency",
  "prefetch",
  "prefetchBytes",
  "timeoutMs",
  "abandonMs",
  "weight",
  "signal",
  ...FLOW_OPTIONS,
];
const JOURNALED = [
  "durable",
  "distribution",
  "order",
  "failover",
  "onDead",
  "retry.attempts",
  "retry.baseMs",
  "retry.capMs",
];
const KNOWN: Readonly<Record<Role, readonly string[]>> = Object.freeze({
  events: [...EVERY_ROLE, ...JOURNALED, "from", "filter.headers"],
  commands: [...EVERY_ROLE, ...JOURNALED],
  queries: EVERY_ROLE,
});
const CALLS: Readonly<Record<Role, string>> = Object.freeze({
  events: "subscribe()",
  commands: "handle()",
  queries: "reply()",
});

/** @throws MeshError INVALID_OPTIONS (details.problems: [{ option, message }]) */
export const resolveSubscribeOptions = (
  input: unknown,
  context: SubscribeContext,
): ResolvedSubscribeOptions => {
  const { role } = context;
  const reader = new OptionReader(CALLS[role], input, KNOWN[role]);
  const group = readGroup(reader, context);
  const timeoutMs = reader.integer("timeoutMs", SUBSCRIBE_BOUNDS.timeoutMs);
  const resolved = Object.freeze({
    role,
    group,
    durable: readDurable(reader, role),
    ...(role === "queries" ? UNORDERED : readOrder(reader, group)),
    ...(role === "events" ? readStart(reader) : START_NEW),
    ...readWindow(reader, context.nodePrefetchBytes),
    timeoutMs,
    abandonMs: reader.integer("abandonMs", SUBSCRIBE_BOUNDS.abandonMs, timeoutMs),
    weight: reader.integer("weight", SUBSCRIBE_BOUNDS.weight),
    retry: role === "queries" ? context.retry : readRetry(reader.section("retry"), context.retry),
    ...readFlow(reader),
    filter: role === "events" ? readFilter(reader.section("filter")) : NO_FILTER,
    signal: reader.signal(),
  });
  reader.finish();
  return resolved;
};

type Order = Pick<
  ResolvedSubscribeOptions,
  "distribution" | "order" | "failover" | "onDead" | "stateful"
>;
type StartOf = Pick<ResolvedSubscribeOptions, "start" | "startTimeMs">;
type Window = Pick<ResolvedSubscribeOptions, "concurrency" | "prefetch" | "prefetchBytes">;

/** Requests go to one live member, once. */
const UNORDERED: Order = Object.freeze({
  distribution: "any",
  order: "none",
  failover: "move",
  onDead: "continue",
  stateful: false,
});
const START_NEW: StartOf = Object.freeze({ start: "new", startTimeMs: 0 });
const NO_FILTER: readonly HeaderFilter[] = Object.freeze([]);

const readGroup = (reader: OptionReader, { role, service }: SubscribeContext): string | false => {
  if (reader.raw("group") !== false) {
    const or = role === "events" ? ", or false" : "";
    return reader.text("group", isName, NAME_RULE + or) ?? service;
  }
  if (role === "events") return false;
  reader.fail("group", `is false, must be a name: exactly one group serves ${CALLS[role]}`);
  return service;
};

const readDurable = (reader: OptionReader, role: Role): boolean => {
  if (role === "queries") return false;
  const durable = reader.flag("durable", role === "commands");
  if (role === "commands" && !durable) {
    reader.fail("durable", "is false, must be true or absent: commands wait for their group");
  }
  return durable;
};

const readOrder = (reader: OptionReader, group: string | false): Order => {
  const distribution = reader.oneOf("distribution", ["key", "any"], "key");
  const isAny = distribution === "any";
  const order = reader.oneOf("order", ["key", "none"], isAny ? "none" : "key");
  if (isAny && order === "key") {
    reader.fail("order", 'is "key", must be "none" or absent with distribution "any"');
  }
  const failover = reader.oneOf("failover", ["move", "wait"], group === false ? "wait" : "move");
  if (group === false && failover === "move") {
    reader.fail("failover", 'is "move", must be "wait" or absent with group false');
  }
  if (group !== false && isAny && failover === "wait") {
    reader.fail("failover", 'is "wait", must be "move" or absent with distribution "any"');
  }
  const onDead = reader.oneOf("onDead", ["continue", "hold"], "continue");
  if (onDead === "hold" && order === "none") {
    reader.fail("onDead", 'is "hold", must be "continue" or absent without order by key');
  }
  return { distribution, order, failover, onDead, stateful: failover === "wait" };
};

const readStart = (reader: OptionReader): StartOf => {
  const from = reader.raw("from");
  if (from === undefined || from === "new") return START_NEW;
  if (from === "earliest") return { start: "earliest", startTimeMs: 0 };
  if (from instanceof Date && from.getTime() >= 0) {
    return { start: "time", startTimeMs: from.getTime() };
  }
  const shown = from instanceof Date ? `the date ${String(from.getTime())}` : show(from);
  reader.fail("from", `is ${shown}, must be "new", "earliest" or a Date from 1970 on`);
  return START_NEW;
};

const readWindow = (reader: OptionReader, nodePrefetchBytes: number): Window => {
  const bounds = SUBSCRIBE_BOUNDS;
  const isGiven = reader.raw("prefetch") !== undefined;
  const asked = isGiven ? reader.integer("prefetch", bounds.prefetch) : bounds.prefetch.default;
  const fallback = Math.min(bounds.concurrency.default, asked);
  const concurrency = reader.integer("concurrency", bounds.concurrency, fallback);
  const doubled = Math.min(2 * concurrency, bounds.prefetch.max);
  const prefetch = isGiven ? asked : Math.max(asked, doubled);
  if (prefetch < concurrency) {
    reader.fail("prefetch", `is ${prefetch}, must be at least concurrency ${concurrency}`);
  }
  const bytesDefault = Math.min(bounds.prefetchBytes.default, nodePrefetchBytes);
  const prefetchBytes = reader.integer("prefetchBytes", bounds.prefetchBytes, bytesDefault);
  if (prefetchBytes > nodePrefetchBytes) {
    const rule = `limits.nodePrefetchBytes ${nodePrefetchBytes}`;
    reader.fail("prefetchBytes", `is ${prefetchBytes}, must be at most ${rule}`);
  }
  return { concurrency, prefetch, prefetchBytes };
};

const readFilter = (section: OptionReader): readonly HeaderFilter[] => {
  const given = section.raw("headers");
  if (given === undefined) return NO_FILTER;
  const isRecord = typeof given === "object" && given !== null && !Array.isArray(given);
  const entries = isRecord ? Object.entries(given) : [];
  const max = FIXED_BOUNDS.filterHeadersMax;
  if (!isRecord || entries.length > max) {
    const found = isRecord ? `has ${entries.length} headers` : `is ${show(given)}`;
    section.fail("headers", `${found}, must be an object of at most ${max} texts by header name`);
    return NO_FILTER;
  }
  const valueBytesMax = FIXED_BOUNDS.headerValueBytesMax;
  for (const [name, value] of entries) {
    if (!isHeaderName(name)) section.fail("headers", `has the name ${show(name)}, not a header's`);
    if (typeof value === "string" && fitsBytes(value, valueBytesMax)) continue;
    const rule = `must be text of at most ${valueBytesMax} B`;
    section.fail(`headers[${show(name)}]`, `is ${show(value)}, ${rule}`);
  }
  return Object.freeze(entries.map(([name, value]) => Object.freeze({ name, value })));
};
