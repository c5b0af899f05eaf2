/**
 * A member of a group leaves in order, and one joins, under load: how long any key stands still.
 *
 * Open loop: a message's latency counts from when it was due to when its handler begins. Those of messages due
 * during a hand-over stand beside those of the steady state between hand-overs.
 */
import { BeginLog } from "../begin-log.ts";
import type { Bench } from "../bench.ts";
import type { Pace } from "../children/paced-source.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import { nowNs } from "../children/process-time.ts";
import { startMember } from "../group-process.ts";
import type { Row } from "../row.ts";
import { quantile, rounded } from "../statistics.ts";

const MEMBERS = 3;
const PACE: Pace = { perSecond: 10_000, keys: 256 };
const STEP_MS = 30_000;
/** A message due shortly before is held up, too. */
const BEFORE_MS = 50;

type Change = { readonly kind: "leave" | "join"; readonly fromUs: number; readonly toUs: number };

export const plannedLeave = async (bench: Bench): Promise<Row[]> => {
  if (!bench.flags.systems.includes("meshbus")) return [];
  const rounds = bench.pick(3, 1);
  const head = { scenario: "planned-leave", system: "meshbus", payloadBytes: PAYLOAD_BYTES };
  const settings = { rounds, members: MEMBERS, ...PACE };
  try {
    return [{ ...head, ...(await measure(bench, rounds)), ...settings }];
  } catch (error) {
    return [{ ...head, failed: String(error) }];
  }
};

const measure = async (bench: Bench, rounds: number): Promise<Record<string, number>> => {
  const mesh = bench.mesh();
  const log = new BeginLog();
  const source = await bench.start("paced-source");
  await source.call("produce", { mesh, dataDir: bench.folder() }, STEP_MS);
  const members: Awaited<ReturnType<typeof startMember>>[] = [];
  for (let at = 0; at < MEMBERS; at++)
    members.push(await startMember(bench, log, `member-${at + 1}`));
  for (const { join } of members) await join({ mesh, dataDir: bench.folder(), handleMs: 0 });
  await source.call("rest", { members: MEMBERS }, STEP_MS);
  await source.call("go", PACE, STEP_MS);
  const startUs = nowUs();
  await source.call("rest", { members: MEMBERS }, STEP_MS);
  const changes: Change[] = [];
  const during = async (kind: Change["kind"], count: number, change: () => Promise<void>) => {
    const fromUs = nowUs() - BEFORE_MS * 1_000;
    await change();
    await source.call("rest", { members: count }, STEP_MS);
    changes.push({ kind, fromUs, toUs: nowUs() });
    const { maxMs } = summary(log, (dueUs) => dueUs >= fromUs);
    bench.progress(`planned-leave meshbus: ${kind} maxMs=${maxMs}`);
  };
  for (let round = 0; round < rounds; round++) {
    // Nothing else happens between: this time is the steady state.
    await source.call("rest", { members: MEMBERS }, STEP_MS);
    const leaving = members.shift() as (typeof members)[number];
    await during("leave", MEMBERS - 1, () => leaving.child.stop());
    const joining = await startMember(bench, log, `member-${MEMBERS + round + 1}`);
    members.push(joining);
    await source.call("rest", { members: MEMBERS - 1 }, STEP_MS);
    const place = { mesh, dataDir: bench.folder(), handleMs: 0 };
    await during("join", MEMBERS, () => joining.join(place));
  }
  const said = await source.call<number>("halt", undefined, STEP_MS);
  for (const { child } of members) await child.stop();
  await source.stop();
  const within = (dueUs: number, kind?: Change["kind"]): boolean =>
    changes.some(
      (change) =>
        (kind ?? change.kind) === change.kind && dueUs >= change.fromUs && dueUs <= change.toUs,
    );
  const handOver = summary(log, (dueUs) => within(dueUs));
  const steady = summary(log, (dueUs) => dueUs >= startUs && !within(dueUs));
  return {
    maxPauseMs: handOver.maxMs,
    leaveMaxMs: summary(log, (dueUs) => within(dueUs, "leave")).maxMs,
    joinMaxMs: summary(log, (dueUs) => within(dueUs, "join")).maxMs,
    handOverP99Ms: handOver.p99Ms,
    steadyP99Ms: steady.p99Ms,
    steadyMaxMs: steady.maxMs,
    ...log.order(said),
  };
};

const nowUs = (): number => nowNs() / 1_000;

/** Of the first begin of each message whose due time counts. */
const summary = (log: BeginLog, counts: (dueUs: number) => boolean) => {
  const times = log.latenciesMs(counts);
  return { p99Ms: rounded(quantile(times, 0.99), 1), maxMs: rounded(quantile(times, 1), 1) };
};
