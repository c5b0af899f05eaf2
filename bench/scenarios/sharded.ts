/** Durable throughput to a group of members: keys that keep their order, beside any member for any message. */
import type { Bench } from "../bench.ts";
import type { GroupReport, GroupResult } from "../children/group-stream.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import { type Contender, compare } from "../compare.ts";
import type { Row } from "../row.ts";

const MEMBERS = 3;
const WINDOW = 2_048;
const PREFETCH = 2_048;
const OPEN_MS = 20_000;
const ROUND_MS = 60_000;

export const sharded = (bench: Bench): Promise<Row[]> => {
  const count = bench.pick(300_000, 150_000);
  return compare(bench, {
    scenario: "sharded",
    payloadBytes: PAYLOAD_BYTES,
    rounds: bench.pick(7, 3),
    summed: ["lost", "reordered", "duplicates"],
    compared: "msgPerSec",
    contenders: [contender(bench, "key", count), contender(bench, "any", count)],
  });
};

const contender = (bench: Bench, distribution: "key" | "any", full: number): Contender => ({
  system: `meshbus-${distribution}`,
  isBaseline: distribution === "any",
  settings: { members: MEMBERS, window: WINDOW, prefetch: PREFETCH },
  open: async () => {
    const mesh = bench.mesh();
    const open = { mesh, distribution, prefetch: PREFETCH };
    const producer = await bench.start("group-stream");
    const addresses = [
      await producer.call<string>("produce", { ...open, dataDir: bench.folder() }, OPEN_MS),
    ];
    const members: (typeof producer)[] = [];
    for (let at = 0; at < MEMBERS; at++) {
      const member = await bench.start("group-stream");
      const place = { ...open, dataDir: bench.folder(), addresses };
      addresses.push(await member.call<string>("join", place, OPEN_MS));
      members.push(member);
    }
    await producer.call("shared", { members: MEMBERS, distribution }, OPEN_MS);
    return {
      round: async (round, warmUp) => {
        const count = warmUp ? full >> 1 : full;
        for (const member of members) await member.call("begin", { round }, ROUND_MS);
        const run = { round, count, window: WINDOW };
        const { ns, cpuNs } = await producer.call<GroupResult>("run", run, ROUND_MS);
        const reports: GroupReport[] = [];
        for (const member of members) {
          reports.push(await member.call<GroupReport>("report", undefined, ROUND_MS));
        }
        const sum = (figure: keyof GroupReport): number =>
          reports.reduce((total, report) => total + report[figure], 0);
        return {
          msgPerSec: count / (ns / 1e9),
          lost: Math.max(0, count - sum("received")),
          duplicates: Math.max(0, sum("received") - count),
          // Without order there is nothing to break.
          reordered: distribution === "key" ? sum("reordered") : 0,
          producerCpuNs: cpuNs / count,
          consumerCpuNs: sum("cpuNs") / count,
        };
      },
      close: async () => {
        await producer.stop();
        for (const member of members) await member.stop();
      },
    };
  },
});
