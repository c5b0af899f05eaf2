/**
 * Systems side by side: they take turns, round by round, so that whatever else the machine does meets all of them
 * alike. Ratios are made inside a round; the median over rounds counts.
 *
 * All are open at once, and who waits for its turn costs next to nothing. Where that counts all the same, only the
 * one whose turn it is is open (`alone`).
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Bench } from "./bench.ts";
import type { Row } from "./row.ts";
import type { Missing } from "./servers/servers.ts";
import { median, rounded, significant } from "./statistics.ts";

export type Figures = Readonly<Record<string, number>>;

/** What is measured in a turn: one row for each system and case. */
export type Case = {
  readonly payloadBytes: number;
  /** What tells this case from others of the same payload. */
  readonly level?: string;
};

/** An open pair of processes, or more of them. */
export type Pair = {
  round(round: number, warmUp: boolean, what: Case): Promise<Figures>;
  close(): Promise<void>;
};

export type Contender = {
  readonly system: string;
  readonly codec?: "json";
  readonly ack?: string;
  /** The others are compared with it; so they are with each "raw-" system. */
  readonly isBaseline?: boolean;
  /** Settings worth knowing, for the row. */
  readonly settings?: Readonly<Record<string, number | string>>;
  /** Why it cannot take part in a case. */
  lacks?(what: Case): string | undefined;
  open(): Promise<Pair | Missing>;
};

export type Comparison = {
  readonly scenario: string;
  readonly cases: readonly Case[];
  readonly rounds: number;
  /** Each is opened for its turn, and closed after it; then `open` warms it up. */
  readonly alone?: boolean;
  /** What the one before has written is on the disk before the next begins: nobody's writing counts as another's. */
  readonly synced?: boolean;
  readonly contenders: readonly Contender[];
  /** Figures that are summed over rounds; of the others the median counts. */
  readonly summed: readonly string[];
  /** The figure that is compared with the raw systems, or other baselines, and of which meshbus's ratio is told. */
  readonly compared: string;
  /** The system whose ratio to each other is told, if not "meshbus". */
  readonly subject?: string;
};

type Entrant = {
  readonly contender: Contender;
  /** By case. */
  readonly rounds: Map<Case, Figures[]>;
  pair: Pair | undefined;
  failed: string | undefined;
  missing: string | undefined;
};

export const compare = async (bench: Bench, comparison: Comparison): Promise<Row[]> => {
  const { cases, contenders } = comparison;
  const entrants = contenders.map((contender): Entrant => {
    const byCase = new Map(cases.map((what) => [what, [] as Figures[]]));
    return { contender, rounds: byCase, pair: undefined, failed: undefined, missing: undefined };
  });
  await (comparison.alone === true ? alone : together)(bench, comparison, entrants);
  return cases.flatMap((what) =>
    entrants.map((entrant) => rowOf(comparison, what, entrant, entrants)),
  );
};

/** Each goes first, second... in turn, and behind another one each round: what one leaves behind does not always meet the same. */
const inTurn = (entrants: readonly Entrant[], round: number): Entrant[] => {
  const { length } = entrants;
  const steps = entrants.map((_, at) => at).filter((step) => divisorOf(step, length) === 1);
  const step = steps[round % steps.length] ?? 1;
  return entrants.map((_, turn) => entrants[(turn * step + round) % length] as Entrant);
};

/** The greatest common one. */
const divisorOf = (one: number, other: number): number =>
  other === 0 ? one : divisorOf(other, one % other);

const together = async (
  bench: Bench,
  comparison: Comparison,
  entrants: readonly Entrant[],
): Promise<void> => {
  const { cases, rounds } = comparison;
  for (const entrant of entrants) await open(bench, comparison, entrant);
  for (let round = 1; round <= rounds; round++) {
    for (const what of cases) {
      for (const entrant of inTurn(entrants, round)) {
        await attempt(entrant, () => measure(bench, comparison, entrant, round, what));
      }
    }
  }
  for (const { pair } of entrants) await pair?.close();
};

const alone = async (
  bench: Bench,
  comparison: Comparison,
  entrants: readonly Entrant[],
): Promise<void> => {
  const { cases, rounds } = comparison;
  for (let round = 1; round <= rounds; round++) {
    for (const entrant of inTurn(entrants, round)) {
      await open(bench, comparison, entrant);
      for (const what of cases) {
        await attempt(entrant, () => measure(bench, comparison, entrant, round, what));
      }
      await entrant.pair?.close();
      entrant.pair = undefined;
    }
  }
};

const measure = async (
  bench: Bench,
  { scenario, rounds, synced }: Comparison,
  { contender, pair, rounds: measured }: Entrant,
  round: number,
  what: Case,
): Promise<void> => {
  if (contender.lacks?.(what) !== undefined) return;
  if (synced === true && !bench.flags.quick) await promisify(execFile)("sync");
  const figures = await (pair as Pair).round(round, false, what);
  measured.get(what)?.push(figures);
  const shown = Object.entries(figures).map(([name, value]) => `${name}=${rounded(value, 1)}`);
  const name = `${scenario} ${contender.system} ${what.level ?? what.payloadBytes}`;
  bench.progress(`${name} ${round}/${rounds}: ${shown.slice(0, 4).join(" ")}`);
};

const open = async (bench: Bench, comparison: Comparison, entrant: Entrant): Promise<void> => {
  await attempt(entrant, async () => {
    const opened = await entrant.contender.open();
    if ("missing" in opened) {
      entrant.missing = opened.missing;
      bench.progress(`${comparison.scenario} ${entrant.contender.system}: ${opened.missing}`);
      return;
    }
    entrant.pair = opened;
    if (comparison.alone === true) return;
    for (const what of comparison.cases) {
      if (entrant.contender.lacks?.(what) === undefined) await opened.round(0, true, what);
    }
  });
  if (entrant.failed !== undefined) {
    bench.progress(`${comparison.scenario} ${entrant.contender.system} failed: ${entrant.failed}`);
  }
};

const attempt = async (entrant: Entrant, work: () => Promise<void>): Promise<void> => {
  if (entrant.failed !== undefined || entrant.missing !== undefined) return;
  try {
    await work();
  } catch (error) {
    entrant.failed = error instanceof Error ? error.message : String(error);
  }
};

const rowOf = (
  comparison: Comparison,
  what: Case,
  entrant: Entrant,
  entrants: readonly Entrant[],
): Row => {
  const { contender, failed } = entrant;
  const { system, codec, ack, settings } = contender;
  const rounds = entrant.rounds.get(what) as readonly Figures[];
  const missing = entrant.missing ?? contender.lacks?.(what);
  const figures = missing === undefined ? figuresOf(comparison, what, entrant, entrants) : {};
  return {
    scenario: comparison.scenario,
    system,
    ...what,
    ...(codec === undefined ? {} : { codec }),
    ...(ack === undefined ? {} : { ack }),
    ...figures,
    ...(missing === undefined ? { rounds: rounds.length, ...settings } : { missing }),
    ...(failed === undefined ? {} : { failed }),
  };
};

const figuresOf = (
  { summed, compared, subject = "meshbus" }: Comparison,
  what: Case,
  entrant: Entrant,
  entrants: readonly Entrant[],
): Record<string, number> => {
  const rounds = entrant.rounds.get(what) as readonly Figures[];
  const figures: Record<string, number> = {};
  for (const name of Object.keys(rounds[0] ?? {})) {
    const values = rounds.map((figure) => figure[name] as number);
    figures[name] = summed.includes(name)
      ? values.reduce((sum, value) => sum + value, 0)
      : significant(median(values));
    if (name !== compared) continue;
    figures[`${name}Min`] = significant(Math.min(...values));
    figures[`${name}Max`] = significant(Math.max(...values));
  }
  const ratio = (of: readonly Figures[], to: readonly Figures[]): number | undefined => {
    const ratios = of.flatMap((figure, round) => {
      const theirs = to[round]?.[compared];
      return theirs === undefined ? [] : [(figure[compared] as number) / theirs];
    });
    return ratios.length === 0 ? undefined : rounded(median(ratios), 3);
  };
  const { system } = entrant.contender;
  for (const other of entrants) {
    const theirs = other.rounds.get(what) as readonly Figures[];
    const name = other.contender.system;
    const { isBaseline = name.startsWith("raw-") } = other.contender;
    if (name === system) continue;
    const toThem = isBaseline ? ratio(rounds, theirs) : undefined;
    if (toThem !== undefined) figures[ratioName(name)] = toThem;
    const toUs = name === subject ? ratio(theirs, rounds) : undefined;
    if (toUs !== undefined) figures.meshbusRatio = toUs;
  }
  return figures;
};

/** "raw-zeromq" -> "ratioToRawZeromq" */
const ratioName = (system: string): string =>
  `ratioTo${system
    .split("-")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("")}`;
