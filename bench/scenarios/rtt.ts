/** Sequential request round trips with a payload of 128 bytes each way. */
import type { Bench } from "../bench.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import type { RoundTrips } from "../children/quantiles.ts";
import type { Scheme } from "../children/transports-of.ts";
import { type Contender, compare, type Pair } from "../compare.ts";
import type { Row } from "../row.ts";

const OPEN_MS = 20_000;
const ROUND_MS = 60_000;

export const rtt = (bench: Bench): Promise<Row[]> => {
  const count = bench.pick(8_000, 3_000);
  const contender = (system: string, child: string, how: Asking = {}): Contender => ({
    system,
    ...(how.codec === undefined ? {} : { codec: how.codec }),
    open: () => openPair(bench, child, how, count),
  });
  return compare(bench, {
    scenario: "rtt",
    payloadBytes: PAYLOAD_BYTES,
    rounds: bench.pick(7, 3),
    summed: [],
    compared: "p50Us",
    contenders: [
      contender("meshbus", "rtt-meshbus"),
      contender("meshbus-json", "rtt-meshbus", { codec: "json" }),
      contender("meshbus-zeromq", "rtt-meshbus", { scheme: "zmq" }),
      contender("meshbus-grpc", "rtt-meshbus", { scheme: "grpc" }),
      contender("raw-zeromq", "rtt-zeromq"),
      contender("raw-tcp", "rtt-tcp"),
    ],
  });
};

/** `scheme`: the transport; default the best both sides have. */
type Asking = { readonly codec?: "json"; readonly scheme?: Scheme };

const openPair = async (bench: Bench, name: string, how: Asking, count: number): Promise<Pair> => {
  const { codec = "bytes", scheme } = how;
  const mesh = bench.mesh();
  const answering = await bench.start(name);
  const asking = await bench.start(name);
  const address = await answering.call("answer", { mesh, scheme }, OPEN_MS);
  await asking.call("open", { mesh, scheme, address }, OPEN_MS);
  return {
    round: (_round, warmUp) =>
      asking.call<RoundTrips>("ask", { codec, count: warmUp ? 2 * count : count }, ROUND_MS),
    close: async () => {
      await asking.stop();
      await answering.stop();
    },
  };
};
