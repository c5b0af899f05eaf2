/** From createNode to the first answered request, through mDNS on this host; processes are fresh each time. */
import type { Bench } from "../bench.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import type { Row } from "../row.ts";
import { median, rounded } from "../statistics.ts";

const DEADLINE_MS = 30_000;

export const firstReply = async (bench: Bench): Promise<Row[]> => {
  const times: number[] = [];
  const head = { scenario: "first-reply", system: "meshbus", payloadBytes: PAYLOAD_BYTES };
  try {
    for (let round = 0; round < bench.pick(9, 5); round++) {
      times.push(await once(bench));
      bench.progress(`first-reply meshbus ${round + 1}: ms=${rounded(times.at(-1) as number, 1)}`);
    }
  } catch (error) {
    return [{ ...head, failed: String(error) }];
  }
  const figures = { ms: rounded(median(times), 1), msMax: rounded(Math.max(...times), 1) };
  return [{ ...head, ...figures, rounds: times.length }];
};

const once = async (bench: Bench): Promise<number> => {
  const mesh = bench.mesh();
  const answering = await bench.start("first-reply");
  const asking = await bench.start("first-reply");
  await answering.call("answer", { mesh, dataDir: bench.folder() }, DEADLINE_MS);
  const ms = await asking.call<number>("ask", { mesh, dataDir: bench.folder() }, DEADLINE_MS);
  await asking.stop();
  await answering.stop();
  return ms;
};
