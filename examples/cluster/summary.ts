/** The end of a run in words. */
import type { RunOptions } from "./arguments.ts";
import type { Outcome } from "./run-cluster.ts";

export const summaryOf = (options: RunOptions, outcome: Outcome, proven: boolean): string[] => {
  const { orders, seed, kill } = options;
  const { completed, compensated, lost, duplicateEffects, outOfOrder, ledger } = outcome;
  const { killed, seconds, effects, handlings, handlerRepeats, problems, diagnosis } = outcome;
  const victim = killed === "" ? "nobody was killed" : `${killed} was killed and came back`;
  const { accepted, acked, dead, expired, abandoned, damaged, pending } = ledger;
  return [
    "",
    `${orders} orders in ${seconds} s, seed ${seed}; ${victim}`,
    `  completed ${completed}, compensated ${compensated}`,
    `  lost ${lost}, doubled ${duplicateEffects}, out of order ${outOfOrder}` +
      ` (judged on ${effects} recorded events and ${handlings} accepted handlings)`,
    `  handlers started again: ${handlerRepeats} times (retries, and what the kill interrupted)`,
    `  ledger: ${accepted} accepted = ${acked} acked + ${dead} dead + ${expired} expired` +
      ` + ${abandoned} abandoned + ${damaged} damaged + ${pending} pending`,
    ...problems.map((problem) => `  ! ${problem}`),
    ...diagnosis.map((line) => `  ? ${line}`),
    proven
      ? "PROVEN: nothing was lost, doubled or out of order."
      : `NOT PROVEN. Again with: npm start -- --orders ${orders} --seed ${seed} --kill ${kill}`,
  ];
};
