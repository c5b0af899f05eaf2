/** What a declaration makes of a subscription, and which of two declarations counts. */
import { assertPattern } from "../../core/subject.ts";
import type { SubscriptionRecord } from "../../wire/declare.ts";
import type { HybridTime } from "../../wire/hybrid-time.ts";
import type { Definition } from "./subscription-rows.ts";

/** A peer's words become names of rows here: they hold what they must, and no more. */
export const wrongIn = ({ group, pattern }: SubscriptionRecord): string | undefined => {
  if (!GROUP.test(group)) return "a group is 1 to 255 characters without spaces";
  try {
    assertPattern(pattern);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

const GROUP = /^[^\s\0]{1,255}$/;

export const definitionOf = (id: string, record: SubscriptionRecord): Definition => ({
  id,
  role: record.role === "commands" ? "commands" : "events",
  group: record.group,
  pattern: record.pattern,
  durable: record.durable,
  birthTime: record.birthTime,
  birthCreator: record.birthCreator,
  distribution: record.distribution,
  failoverMove: record.failoverMove,
  holdOnDead: record.holdOnDead,
  filter: record.filter,
  definedTime: record.definedTime,
  start: record.start,
  startTimeMs: record.startTimeMs,
});

/** As other nodes hear of it. */
export const recordOf = (definition: Definition): SubscriptionRecord => {
  const { id: _, signed: __, start = "new", startTimeMs = 0, ...rest } = definition;
  return { ...rest, start, startTimeMs, index: 0, weight: 0, versionMin: 0, versionMax: 0 };
};

/** Of two claims the older holds. */
export const isOlder = (record: Birth, than: Birth): boolean => {
  if (isLater(than.birthTime, record.birthTime)) return true;
  if (isLater(record.birthTime, than.birthTime)) return false;
  return record.birthCreator < than.birthCreator;
};

type Birth = Pick<Definition, "birthTime" | "birthCreator">;

export const isLater = (a: HybridTime, b: HybridTime): boolean =>
  a.ms > b.ms || (a.ms === b.ms && a.counter > b.counter);

export const laterOf = (a: HybridTime, b: HybridTime): HybridTime => (isLater(b, a) ? b : a);
