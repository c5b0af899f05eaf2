/** Memory of a process with an idle node on embedded defaults, over one with nothing. */
import type { Bench } from "../bench.ts";
import type { ProcessMemory } from "../children/process-memory.ts";
import type { Row } from "../row.ts";
import { median, rounded } from "../statistics.ts";

const DEADLINE_MS = 20_000;
const REST_MS = 2_000;

export const idle = async (bench: Bench): Promise<Row[]> => {
  if (!bench.flags.systems.includes("meshbus")) return [];
  const head = { scenario: "idle", system: "meshbus", payloadBytes: 0 };
  const over: number[] = [];
  const anon: number[] = [];
  try {
    for (let round = 0; round < bench.pick(3, 2); round++) {
      const bare = await bench.start("idle-bare");
      const node = await bench.start("idle-node");
      const place = { mesh: bench.mesh(), dataDir: bench.folder() };
      await node.call("open", place, DEADLINE_MS);
      await new Promise<void>((resolve) => void setTimeout(resolve, REST_MS));
      const without = await bare.call<ProcessMemory>("memory", undefined, DEADLINE_MS);
      const withNode = await node.call<ProcessMemory>("memory", undefined, DEADLINE_MS);
      over.push(withNode.rssMb - without.rssMb);
      anon.push(withNode.rssAnonMb - without.rssAnonMb);
      bench.progress(
        `idle meshbus ${round + 1}: rssOverNodeMb=${rounded(over.at(-1) as number, 1)}`,
      );
      await node.stop();
      await bare.stop();
    }
  } catch (error) {
    return [{ ...head, failed: String(error) }];
  }
  const figures = {
    rssOverNodeMb: rounded(median(over), 1),
    rssAnonOverNodeMb: rounded(median(anon), 1),
  };
  return [{ ...head, ...figures, rounds: over.length }];
};
