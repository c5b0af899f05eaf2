/**
 * Systems side by side: all are open at once and take turns, round by round, so that whatever else the
 * machine does meets all of them alike. Ratios are made inside a round; the median over rounds counts.
 */
import type { Bench } from "./bench.ts";
import type { Row } from "./row.ts";
import { median, rounded } from "./statistics.ts";

export type Figures = Readonly<Record<string, number>>;

/** An open pair of processes. */
export type Pair = {
  round(round: number, warmUp: boolean): Promise<Figures>;
  close(): Promise<void>;
};

export type Contender = {
  readonly system: string;
  readonly codec?: "json";
  /** The others are compared with it; so they are with each "raw-" system. */
  readonly isBaseline?: boolean;
  /** Settings worth knowing, for the row. */
  readonly settings?: Readonly<Record<string, number | string>>;
  open(): Promise<Pair>;
};

export type Comparison = {
  readonly scenario: string;
  readonly payloadBytes: number;
  readonly rounds: number;
  readonly contenders: readonly Contender[];
  /** Figures that are summed over rounds; of the others the median counts. */
  readonly summed: readonly string[];
  /** The figure that is compared with the raw systems, or other baselines. */
  readonly compared: string;
};

type Entrant = {
  readonly contender: Contender;
  readonly rounds: Figures[];
  pair: Pair | undefined;
  failed: string | undefined;
};

export const compare = async (bench: Bench, comparison: Comparison): Promise<Row[]> => {
  const { scenario, rounds, contenders } = comparison;
  const entrants: Entrant[] = contenders.map((contender) => ({
    contender,
    rounds: [],
    pair: undefined,
    failed: undefined,
  }));
  for (const entrant of entrants) {
    await attempt(entrant, async () => {
      entrant.pair = await entrant.contender.open();
      await entrant.pair.round(0, true);
    });
  }
  for (let round = 1; round <= rounds; round++) {
    for (let turn = 0; turn < entrants.length; turn++) {
      // Each goes first, second... in turn.
      const entrant = entrants[(turn + round) % entrants.length] as Entrant;
      await attempt(entrant, async () => {
        const figures = await (entrant.pair as Pair).round(round, false);
        entrant.rounds.push(figures);
        const shown = Object.entries(figures).map(
          ([name, value]) => `${name}=${rounded(value, 1)}`,
        );
        bench.progress(`${scenario} ${entrant.contender.system} ${round}: ${shown.join(" ")}`);
      });
    }
  }
  for (const { pair } of entrants) await pair?.close();
  return entrants.map((entrant) => rowOf(comparison, entrant, entrants));
};

const attempt = async (entrant: Entrant, work: () => Promise<void>): Promise<void> => {
  if (entrant.failed !== undefined) return;
  try {
    await work();
  } catch (error) {
    entrant.failed = error instanceof Error ? error.message : String(error);
  }
};

const rowOf = (comparison: Comparison, entrant: Entrant, entrants: readonly Entrant[]): Row => {
  const { scenario, payloadBytes, summed, compared } = comparison;
  const { contender, rounds, failed } = entrant;
  const figures: Record<string, number> = {};
  for (const name of Object.keys(rounds[0] ?? {})) {
    const values = rounds.map((figure) => figure[name] as number);
    figures[name] = summed.includes(name)
      ? values.reduce((sum, value) => sum + value, 0)
      : rounded(median(values), 1);
  }
  for (const other of entrants) {
    const { system, isBaseline = system.startsWith("raw-") } = other.contender;
    if (!isBaseline || system === contender.system) continue;
    const ratios = rounds.flatMap((figure, round) => {
      const theirs = other.rounds[round]?.[compared];
      return theirs === undefined ? [] : [(figure[compared] as number) / theirs];
    });
    if (ratios.length > 0) figures[ratioName(system)] = rounded(median(ratios), 3);
  }
  const { system, codec, settings } = contender;
  return {
    scenario,
    system,
    payloadBytes,
    ...(codec === undefined ? {} : { codec }),
    ...figures,
    rounds: rounds.length,
    ...settings,
    ...(failed === undefined ? {} : { failed }),
  };
};

/** "raw-zeromq" -> "ratioToRawZeromq" */
const ratioName = (system: string): string =>
  `ratioTo${system
    .split("-")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("")}`;
