/** All scenarios, and which one a seed draws. */
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import type { Scenario } from "./scenario.ts";
import { bornApart } from "./scenarios/born-apart.ts";
import { clonedFolder } from "./scenarios/cloned-folder.ts";
import { cutPair } from "./scenarios/cut-pair.ts";
import { deadLetterReplay } from "./scenarios/dead-letter-replay.ts";
import { earlyPublish } from "./scenarios/early-publish.ts";
import { failedSyncInFlight } from "./scenarios/failed-sync-in-flight.ts";
import { forgottenReturn } from "./scenarios/forgotten-return.ts";
import { fullCycle } from "./scenarios/full-cycle.ts";
import { linkBlip } from "./scenarios/link-blip.ts";
import { memberLeaves } from "./scenarios/member-leaves.ts";
import { moveAfterCommit } from "./scenarios/move-after-commit.ts";
import { restoredFolder } from "./scenarios/restored-folder.ts";
import { rollingUpgrade } from "./scenarios/rolling-upgrade.ts";
import { shardNeighbours } from "./scenarios/shard-neighbours.ts";

export const SCENARIOS: readonly Scenario[] = [
  moveAfterCommit,
  shardNeighbours,
  linkBlip,
  deadLetterReplay,
  earlyPublish,
  bornApart,
  clonedFolder,
  restoredFolder,
  failedSyncInFlight,
  forgottenReturn,
  rollingUpgrade,
  cutPair,
  fullCycle,
  memberLeaves,
];

/** What a seed without a scenario is called, and the word that forbids one. */
export const NO_SCENARIO = "none";
/** The share of seeds that draw one. */
const SHARE = 0.4;

/** The counter of a scenario in "coverage". */
export const coverOf = (name: string): string => `scenario.${name}`;

export const isScenario = (name: string): boolean => SCENARIOS.some((one) => one.name === name);

/**
 * The scenario of a seed: the one that is forced, or what the seed draws. Its randomness starts from the
 * seed and not from the world's, so that seeds without a scenario do what they did before there were any.
 */
export const scenarioOf = (
  seed: number,
  forced: string | undefined,
): { readonly scenario: Scenario | undefined; readonly random: SeededRandom } => {
  const random = new SeededRandom(seed, "scenario");
  const isDrawn = random.chance(SHARE);
  const drawn = random.pick(SCENARIOS);
  if (forced === undefined) return { scenario: isDrawn ? drawn : undefined, random };
  return { scenario: SCENARIOS.find(({ name }) => name === forced), random };
};
