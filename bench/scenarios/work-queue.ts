/** Durable messages to four consumers that share them: each message to whoever has room, no order. */
import type { Bench } from "../bench.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import { compare } from "../compare.ts";
import { contendersOf } from "../contenders.ts";
import type { Row } from "../row.ts";
import { openStream, WINDOW } from "../stream-pair.ts";
import type { SystemName } from "../systems.ts";

const MEMBERS = 4;
const PREFETCH = 512;
const SYSTEMS: readonly SystemName[] = [
  "meshbus",
  "jetstream",
  "jetstream-synced",
  "rabbitmq",
  "rabbitmq-quorum",
  "redis-streams",
  "redis-streams-everysec",
  "mosquitto-qos1",
];
const NOT_QUICK: readonly SystemName[] = [
  "jetstream-synced",
  "rabbitmq-quorum",
  "redis-streams-everysec",
  "mosquitto-qos1",
];

export const workQueue = (bench: Bench): Promise<Row[]> => {
  const spec = { durable: true, sharing: "shared", members: MEMBERS, prefetch: PREFETCH } as const;
  const seconds = bench.pick(0.5, 0.3);
  return compare(bench, {
    scenario: "work-queue",
    synced: true,
    cases: [{ payloadBytes: PAYLOAD_BYTES }],
    rounds: bench.pick(5, 3),
    summed: ["lost", "reordered", "duplicates"],
    compared: "msgPerSec",
    contenders: contendersOf(
      bench,
      "durable",
      SYSTEMS,
      NOT_QUICK,
      (ground) => openStream(bench, ground, { ...spec, seconds }),
      { members: MEMBERS, window: WINDOW, prefetch: PREFETCH },
    ),
  });
};
