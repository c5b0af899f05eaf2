/**
 * From nothing to the first answered request, in a fresh process each time; the answering side is up, and so is the
 * broker, whose own start is told beside. meshbus finds its peer through mDNS on this host.
 */
import type { Bench } from "../bench.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import { type Ground, groundOf } from "../contenders.ts";
import type { Row } from "../row.ts";
import { median, rounded } from "../statistics.ts";
import { aboutSystem, ackOf, type SystemName } from "../systems.ts";

const DEADLINE_MS = 30_000;
const SYSTEMS: readonly SystemName[] = [
  "meshbus",
  "nats",
  "rabbitmq",
  "redis",
  "mosquitto",
  "moleculer",
  "cote",
  "grpc",
];

export const firstReply = async (bench: Bench): Promise<Row[]> => {
  const rows: Row[] = [];
  for (const system of SYSTEMS.filter((name) => bench.flags.systems.includes(name))) {
    const { codec, server: kind } = aboutSystem(system);
    const head = {
      scenario: "first-reply",
      system,
      payloadBytes: PAYLOAD_BYTES,
      ...(codec === undefined ? {} : { codec }),
      ack: ackOf(system, "request"),
    };
    try {
      const times: number[] = [];
      let missing: string | undefined;
      const rounds = bench.pick(3, 1);
      for (let round = 0; round < rounds && missing === undefined; round++) {
        const ground = await groundOf(bench, system);
        if ("missing" in ground) missing = ground.missing;
        else
          times.push(await (system === "meshbus" ? discovered(bench) : connected(bench, ground)));
      }
      if (missing !== undefined) {
        rows.push({ ...head, missing });
        continue;
      }
      const ms = rounded(median(times), 1);
      bench.progress(`first-reply ${system}: ms=${ms}`);
      const readyMs = kind === undefined ? undefined : bench.servers.readyMs(kind);
      const serverReadyMs = readyMs === undefined ? {} : { serverReadyMs: rounded(readyMs, 0) };
      const msMax = rounded(Math.max(...times), 1);
      rows.push({ ...head, ms, msMax, ...serverReadyMs, rounds: times.length });
    } catch (error) {
      rows.push({ ...head, failed: String(error) });
    }
  }
  return rows;
};

const discovered = async (bench: Bench): Promise<number> => {
  const mesh = bench.mesh();
  const [answering, asking] = await Promise.all([
    bench.start("first-reply"),
    bench.start("first-reply"),
  ]);
  await answering.call("answer", { mesh, dataDir: bench.folder() }, DEADLINE_MS);
  const ms = await asking.call<number>("ask", { mesh, dataDir: bench.folder() }, DEADLINE_MS);
  await asking.stop();
  await answering.stop();
  return ms;
};

const connected = async (bench: Bench, { system, place }: Ground): Promise<number> => {
  const [answering, asking] = await Promise.all([bench.start("asking"), bench.start("asking")]);
  const at = place(false);
  const address = await answering.call("answer", { system, place: at }, DEADLINE_MS);
  await asking.call("prepare", { system }, DEADLINE_MS);
  const open = { system, place: at, address };
  const ms = await asking.call<number>("firstReply", open, DEADLINE_MS);
  await asking.stop();
  await answering.stop();
  return ms;
};
