/** Long handlers of messages that other nodes produced, and when the trouble of a scenario comes to one of them. */
import type { Run } from "../../src/testing/history.ts";
import type { SeededRandom } from "../../src/testing/seeded-random.ts";
import type { Plan } from "./plan.ts";
import { PLAIN, type Stage, withSubscription } from "./scenario.ts";

const TROUBLE = 0.1;

/** @param sends how likely it is that half of the handlers send something */
export const slowHandlers = (
  plan: Plan,
  random: SeededRandom,
  { slowMs, sends }: { slowMs: number; sends: number },
): Plan => ({
  ...withSubscription(plan, {
    ...PLAIN,
    ...{ slow: 1, slowMs, concurrency: 16 },
    sends: random.chance(sends) ? 0.5 : 0,
  }),
  isCalm: false,
});

export class ForeignRuns {
  /** Those that go on now. */
  readonly now = new Set<Run>();
  readonly #stage: Stage;
  #left: number;

  /** @param timesMax trouble comes no more often */
  constructor(stage: Stage, timesMax: number) {
    this.#stage = stage;
    this.#left = timesMax;
  }

  /** A run began. @returns whether trouble comes to it */
  begins(run: Run): boolean {
    if (run.producer === run.member || run.volatile) return false;
    this.now.add(run);
    const { world, random } = this.#stage;
    if (world.isHealing || this.#left === 0 || !random.chance(TROUBLE)) return false;
    this.#left--;
    return true;
  }
}
