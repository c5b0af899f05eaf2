/**
 * The loss ledger: what was accepted is what was settled and what is pending, and agrees with what the
 * journal holds for a subscription that was there from the first message on. Where nothing fails, what ended
 * well is acked: it did not expire under its handler.
 */
import type { History, Violation } from "../history.ts";
import { concerns, isOwed, kept, runsByPlace } from "./facts.ts";

export const checkLedger = (history: History): Violation[] => {
  const violations: Violation[] = [];
  const records = kept(history);
  const handled = history.isCalm && history.isWhole ? handledPlainly(history) : undefined;
  for (const counts of history.ledgers) {
    const { node, subscription, accepted, acked, dead, expired, abandoned, damaged, pending } =
      counts;
    const say = (message: string): void => {
      violations.push({
        check: "ledger",
        message: `n${node} "${subscription}": ${message}: ${JSON.stringify(counts)}`,
      });
    };
    if (accepted !== acked + dead + expired + abandoned + damaged + pending) say("does not add up");
    if (pending < 0) say("more was settled than accepted");
    if (!history.isQuiet || history.bitFlips > 0) continue;
    if (damaged > 0) say("counts damage where nothing was damaged");
    const known = history.known.get(subscription);
    if (known?.durable !== true) continue;
    const plain = handled?.get(`n${node} ${subscription}`) ?? 0;
    if (acked < plain) say(`${plain} ended well`);
    const concerned = records.filter((record) => record.node === node && concerns(known, record));
    const owed = concerned.filter((record) => isOwed(known, record));
    // A journal at its limit had let the oldest go before the subscription was heard of.
    if (accepted < owed.length && !history.mayOverflow) say(`${owed.length} are owed`);
    if (accepted > concerned.length) say(`only ${concerned.length} are in the journal`);
  }
  return violations;
};

/** Messages that ended well, by producer and subscription. What a handler sends may find no room. */
const handledPlainly = (history: History): Map<string, number> => {
  const handled = new Map<string, number>();
  for (const runs of runsByPlace(history).values()) {
    const run = runs.find(({ outcome, sent }) => outcome === "ok" && sent.length === 0);
    if (run === undefined) continue;
    const name = `n${run.producer} ${run.subscription}`;
    handled.set(name, (handled.get(name) ?? 0) + 1);
  }
  return handled;
};
