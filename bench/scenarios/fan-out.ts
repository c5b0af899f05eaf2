/** One message to each of eight processes, at most once: deliveries a second over all. */
import type { Bench } from "../bench.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import { compare } from "../compare.ts";
import { contendersOf } from "../contenders.ts";
import type { Row } from "../row.ts";
import { openStream } from "../stream-pair.ts";
import type { SystemName } from "../systems.ts";

const MEMBERS = 8;
/** Messages that may wait for a subscriber that is late, as brokers let them. */
const PREFETCH = 65_536;
const SYSTEMS: readonly SystemName[] = [
  "meshbus",
  "raw-zeromq",
  "raw-tcp",
  "nats",
  "rabbitmq",
  "redis",
  "mosquitto",
  "moleculer",
  "cote",
  "grpc",
];
/** Eight processes for each take their time to start. */
const NOT_QUICK: readonly SystemName[] = ["rabbitmq", "mosquitto", "moleculer", "cote", "grpc"];

export const fanOut = (bench: Bench): Promise<Row[]> => {
  const spec = { durable: false, sharing: "all", members: MEMBERS, prefetch: PREFETCH } as const;
  const seconds = bench.pick(0.5, 0.3);
  return compare(bench, {
    scenario: "fan-out",
    cases: [{ payloadBytes: PAYLOAD_BYTES }],
    rounds: bench.pick(5, 3),
    summed: ["lost", "reordered", "duplicates"],
    compared: "msgPerSec",
    contenders: contendersOf(
      bench,
      "once",
      SYSTEMS,
      NOT_QUICK,
      (ground) => openStream(bench, ground, { ...spec, seconds }),
      { members: MEMBERS },
    ),
  });
};
