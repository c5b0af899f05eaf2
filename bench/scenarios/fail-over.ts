/**
 * A member of a group is killed under load: how long until another has begun everything that was unsettled there.
 *
 * The clock starts right before the SIGKILL and stops at the last of these begins, as the other members tell.
 * What was unsettled at the victim: messages due before the kill, of keys that it handled last, that began
 * elsewhere afterwards.
 */
import { BeginLog } from "../begin-log.ts";
import type { Bench } from "../bench.ts";
import type { Child } from "../child.ts";
import type { MemberOpen } from "../children/group-member.ts";
import type { Pace } from "../children/paced-source.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import { nowNs } from "../children/process-time.ts";
import { startMember } from "../group-process.ts";
import type { Row } from "../row.ts";
import { quantile, rounded } from "../statistics.ts";
import { ackOf } from "../systems.ts";
import { sharedFailOver } from "./shared-fail-over.ts";

const MEMBERS = 3;
const PACE: Pace = { perSecond: 2_000, keys: 256 };
const HANDLE_MS = 4;
const STEP_MS = 30_000;
/** Longer than any fail-over that still counts as one. */
const AFTER_KILL_MS = 3_000;

type Place = { readonly name: string; readonly open: MemberOpen; child: Child };
type Kill = { readonly victim: string; readonly atUs: number };

export const failOver = async (bench: Bench): Promise<Row[]> => [
  ...(bench.flags.systems.includes("meshbus") ? await keyed(bench) : []),
  ...(await sharedFailOver(bench)),
];

const keyed = async (bench: Bench): Promise<Row[]> => {
  const kills = bench.pick(6, 3);
  const ack = ackOf("meshbus", "durable");
  const head = {
    scenario: "fail-over",
    system: "meshbus",
    payloadBytes: PAYLOAD_BYTES,
    ack,
    order: "key",
    kills,
  };
  const settings = { members: MEMBERS, ...PACE, handleMs: HANDLE_MS };
  try {
    return [{ ...head, ...(await measure(bench, kills)), ...settings }];
  } catch (error) {
    return [{ ...head, failed: String(error) }];
  }
};

const measure = async (bench: Bench, count: number): Promise<Record<string, number>> => {
  const mesh = bench.mesh();
  const log = new BeginLog();
  const source = await bench.start("paced-source");
  await source.call("produce", { mesh, dataDir: bench.folder() }, STEP_MS);
  const places: Place[] = [];
  for (let at = 0; at < MEMBERS; at++) {
    const open = { mesh, dataDir: bench.folder(), handleMs: HANDLE_MS };
    const name = `member-${at + 1}`;
    places.push({ name, open, child: await joined(bench, log, name, open) });
  }
  await source.call("rest", { members: MEMBERS }, STEP_MS);
  await source.call("go", PACE, STEP_MS);
  const kills: Kill[] = [];
  for (let at = 0; at < count; at++) {
    await source.call("rest", { members: MEMBERS }, STEP_MS);
    const place = places[at % MEMBERS] as Place;
    const kill = { victim: place.name, atUs: nowNs() / 1_000 };
    place.child.kill();
    kills.push(kill);
    await place.child.gone;
    await source.call("rest", { members: MEMBERS - 1 }, STEP_MS);
    place.child = await joined(bench, log, place.name, place.open);
    const ms = rounded(failOverMs(log, kill), 0);
    bench.progress(`fail-over meshbus ${at + 1}: ms=${ms}`);
  }
  const said = await source.call<number>("halt", undefined, STEP_MS);
  const times = kills.map((kill) => failOverMs(log, kill));
  for (const { child } of places) await child.stop();
  await source.stop();
  return {
    p50Ms: rounded(quantile(times, 0.5), 0),
    p99Ms: rounded(quantile(times, 0.99), 0),
    maxMs: rounded(Math.max(...times), 0),
    ...log.order(said),
  };
};

const joined = async (
  bench: Bench,
  log: BeginLog,
  name: string,
  open: MemberOpen,
): Promise<Child> => {
  const { child, join } = await startMember(bench, log, name);
  await join(open);
  return child;
};

/** NaN when nothing was unsettled at the victim. */
const failOverMs = (log: BeginLog, { victim, atUs }: Kill): number => {
  const lastAt = new Map<number, string>();
  let endUs = Number.NaN;
  for (const begin of log.all()) {
    if (begin.atUs <= atUs || begin.member === victim) {
      if (begin.atUs <= atUs) lastAt.set(begin.key, begin.member);
      continue;
    }
    if (begin.atUs > atUs + AFTER_KILL_MS * 1_000) break;
    if (begin.dueUs <= atUs && lastAt.get(begin.key) === victim) endUs = begin.atUs;
  }
  return (endUs - atUs) / 1_000;
};
