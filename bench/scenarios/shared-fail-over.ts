/**
 * A consumer of a shared queue is killed under load, without any order to keep: how long until all that was due
 * before has begun at another. Brokers beside meshbus to any member.
 *
 * The clock starts right before the SIGKILL. It stops at the last first begin, at another consumer and after the kill,
 * of a message that was due before it, or the last repeat of one that had begun at the victim.
 */

import type { ConsumeOptions } from "../adapters/adapter.ts";
import { CLAIM_MS } from "../adapters/claim-ms.ts";
import type { Bench } from "../bench.ts";
import type { Child } from "../child.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import { nowNs } from "../children/process-time.ts";
import type { Begun } from "../children/streaming.ts";
import { type Ground, groundOf } from "../contenders.ts";
import type { Row } from "../row.ts";
import { quantile, rounded } from "../statistics.ts";
import { ackOf, type SystemName } from "../systems.ts";

const MEMBERS = 3;
const PER_SECOND = 2_000;
const HANDLE_MS = 4;
const PREFETCH = 256;
const STEP_MS = 60_000;
const REST_MS = 500;
const LOOK_MS = 10;

/** What another consumer waits for: JetStream's default, and what this adapter asks of Redis. Others notice by themselves. */
const WAITS_MS: Partial<Record<SystemName, number>> = {
  jetstream: 30_000,
  "redis-streams": CLAIM_MS,
};
const LIMIT_DEFAULT_MS = 5_000;

const SYSTEMS: readonly SystemName[] = [
  "meshbus-any",
  "jetstream",
  "rabbitmq",
  "rabbitmq-quorum",
  "redis-streams",
  "mosquitto-qos1",
];
const NOT_QUICK: readonly SystemName[] = ["jetstream", "rabbitmq-quorum"];
const WITHOUT: Partial<Record<SystemName, string>> = {
  "mosquitto-qos1": "what a kept session holds is handed to nobody else",
};

type Began = { readonly member: number; readonly sequence: number; readonly atUs: number };

export const sharedFailOver = async (bench: Bench): Promise<Row[]> => {
  const rows: Row[] = [];
  for (const system of SYSTEMS.filter((name) => bench.flags.systems.includes(name))) {
    const kills = system === "jetstream" ? 1 : bench.pick(5, 2);
    const ack = ackOf(system, "durable");
    const head = { scenario: "fail-over", system, payloadBytes: PAYLOAD_BYTES, ack, order: "none" };
    const without = WITHOUT[system];
    if (without !== undefined) {
      rows.push({ ...head, missing: without });
      continue;
    }
    if (bench.flags.quick && NOT_QUICK.includes(system)) {
      rows.push({ ...head, missing: "not part of a quick run" });
      continue;
    }
    try {
      const ground = await groundOf(bench, system);
      if ("missing" in ground) rows.push({ ...head, missing: ground.missing });
      else rows.push({ ...head, kills, ...(await measure(bench, ground, kills)) });
    } catch (error) {
      rows.push({ ...head, kills, failed: String(error) });
    }
  }
  return rows;
};

const measure = async (
  bench: Bench,
  ground: Ground,
  kills: number,
): Promise<Record<string, number>> => {
  const { system } = ground;
  const begins: Began[] = [];
  const addresses: string[] = [];
  let members = 0;
  const join = async (): Promise<{ member: number; child: Child }> => {
    const member = members++;
    const child = await bench.start("streaming");
    child.onNews = (news) => {
      const begun = news as Begun;
      for (let at = 0; at + 1 < begun.length; at += 2) {
        begins.push({ member, sequence: begun[at] as number, atUs: begun[at + 1] as number });
      }
    };
    const options: ConsumeOptions = {
      durable: true,
      sharing: "shared",
      index: member,
      members: MEMBERS,
      prefetch: PREFETCH,
      addresses: [...addresses],
    };
    const place = ground.place(true);
    const call = { system, place, options, handleMs: HANDLE_MS };
    const address = await child.call<string | undefined>("consume", call, STEP_MS);
    if (address !== undefined) addresses.push(address);
    return { member, child };
  };
  const consumers = [await join(), await join(), await join()];
  const producer = await bench.start("streaming");
  const options = { durable: true, sharing: "shared", members: MEMBERS, addresses };
  await producer.call("produce", { system, place: ground.place(true), options }, STEP_MS);
  await producer.call("met", { members: MEMBERS }, STEP_MS);
  const pace = { perSecond: PER_SECOND, payloadBytes: PAYLOAD_BYTES };
  const startUs = await producer.call<number>("go", pace, STEP_MS);
  const times: number[] = [];
  for (let kill = 0; kill < kills; kill++) {
    await pause(REST_MS);
    const victim = consumers.shift() as { member: number; child: Child };
    const killUs = nowNs() / 1_000;
    victim.child.kill();
    await victim.child.gone;
    const due = Math.floor(((killUs - startUs) / 1e6) * PER_SECOND);
    const limitMs = LIMIT_DEFAULT_MS + (WAITS_MS[system] ?? 0);
    times.push(await recovered(begins, victim.member, killUs, due, limitMs));
    bench.progress(`fail-over ${system} ${kill + 1}/${kills}: ms=${rounded(times.at(-1) ?? 0, 0)}`);
    consumers.push(await join());
    await producer.call("met", { members: MEMBERS }, STEP_MS);
  }
  const { said } = await producer.call<{ said: number }>("halt", undefined, STEP_MS);
  const distinct = (): number => new Set(begins.map(({ sequence }) => sequence)).size;
  for (let ms = 0; distinct() < said && ms < LIMIT_DEFAULT_MS; ms += 100) await pause(100);
  const lost = said - distinct();
  const repeats = begins.length - distinct();
  for (const { child } of consumers) await child.stop();
  await producer.stop();
  return {
    p50Ms: rounded(quantile(times, 0.5), 0),
    p99Ms: rounded(quantile(times, 0.99), 0),
    maxMs: rounded(Math.max(...times), 0),
    ...(WAITS_MS[system] === undefined ? {} : { takenOverAfterMs: WAITS_MS[system] }),
    lost,
    repeats,
    members: MEMBERS,
    perSecond: PER_SECOND,
    handleMs: HANDLE_MS,
  };
};

/** Milliseconds until nothing that was due is missing, and what the victim left in its hands has begun again. */
const recovered = async (
  begins: readonly Began[],
  victim: number,
  killUs: number,
  due: number,
  limitMs: number,
): Promise<number> => {
  const deadlineUs = killUs + limitMs * 1_000;
  // Begun there so shortly before that the acknowledgement cannot have left.
  const inHandUs = killUs - (HANDLE_MS - 1) * 1_000;
  for (;;) {
    const nowUs = nowNs() / 1_000;
    const last = new Map<number, number>();
    const inHand = new Set<number>();
    for (const { member, sequence, atUs } of begins) {
      if (sequence >= due) continue;
      if (member === victim && atUs > inHandUs && atUs <= killUs) inHand.add(sequence);
      else if (!last.has(sequence) || atUs > killUs) last.set(sequence, atUs);
    }
    const waiting = [...inHand].filter((sequence) => (last.get(sequence) ?? 0) < killUs).length;
    const missing = due - new Set([...last.keys(), ...inHand]).size;
    if (waiting === 0 && missing <= 0) return (Math.max(...last.values()) - killUs) / 1_000;
    if (nowUs > deadlineUs) throw new Error(`${waiting + missing} messages had not begun again`);
    await pause(LOOK_MS);
  }
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));
