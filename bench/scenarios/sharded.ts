/**
 * Durable messages with 1,024 keys to three consumers: each key at one of them, in order. meshbus shares keys out by
 * itself and moves them when members come and go; of a broker's queues there is one for each consumer, chosen by
 * the publisher. Beside it meshbus to any member for any message.
 */
import type { Bench } from "../bench.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import { compare } from "../compare.ts";
import { contendersOf } from "../contenders.ts";
import type { Row } from "../row.ts";
import { openStream, WINDOW } from "../stream-pair.ts";
import type { SystemName } from "../systems.ts";

const MEMBERS = 3;
const PREFETCH = 2_048;
const SYSTEMS: readonly SystemName[] = [
  "meshbus-key",
  "meshbus-any",
  "jetstream",
  "rabbitmq",
  "rabbitmq-quorum",
  "redis-streams",
  "redis-streams-everysec",
];
const NOT_QUICK: readonly SystemName[] = ["rabbitmq-quorum", "redis-streams-everysec"];

export const sharded = async (bench: Bench): Promise<Row[]> => {
  const spec = { durable: true, members: MEMBERS, prefetch: PREFETCH } as const;
  const seconds = bench.pick(0.5, 0.3);
  const contenders = contendersOf(
    bench,
    "durable",
    SYSTEMS,
    NOT_QUICK,
    (ground) => {
      const sharing = ground.system === "meshbus-any" ? "shared" : "sharded";
      return openStream(bench, ground, { ...spec, sharing, seconds });
    },
    { members: MEMBERS, window: WINDOW, prefetch: PREFETCH },
  );
  return compare(bench, {
    scenario: "sharded",
    synced: true,
    cases: [{ payloadBytes: PAYLOAD_BYTES }],
    rounds: bench.pick(5, 3),
    summed: ["lost", "reordered", "duplicates"],
    compared: "msgPerSec",
    subject: "meshbus-key",
    contenders: contenders.map((contender) => ({
      ...contender,
      isBaseline: contender.system === "meshbus-any",
    })),
  });
};
