/** One message per ZeroMQ message from a PUSH to a PULL: what zeromq.js does when nobody batches. */
import { Pull, Push } from "zeromq";
import { type ArrivalReport, Arrivals, cpuNs, nowNs } from "./arrivals.ts";
import { numberedBytes, roundOfBytes, sequenceOfBytes } from "./payload.ts";
import { serve } from "./serve.ts";

type ZeromqRun = { readonly startNs: number; readonly cpuNs: number };

const arrivals = new Arrivals();
let push: Push | undefined;
let pull: Pull | undefined;

const read = async (socket: Pull): Promise<void> => {
  for await (const [payload] of socket) {
    arrivals.arrived(roundOfBytes(payload as Buffer), sequenceOfBytes(payload as Buffer));
  }
};

serve({
  consume: async (): Promise<string> => {
    pull = new Pull({ linger: 0 });
    await pull.bind("tcp://127.0.0.1:0");
    void read(pull).catch(() => process.exit(1));
    return pull.lastEndpoint as string;
  },
  produce: ({ address }: { address: string }): void => {
    push = new Push({ linger: 0 });
    push.connect(address);
  },
  begin: ({ round, count }: { round: number; count: number }): void => {
    arrivals.begin(round, count);
  },
  run: async ({ round, count }: { round: number; count: number }): Promise<ZeromqRun> => {
    const socket = push as Push;
    const cpuBefore = cpuNs();
    const startNs = nowNs();
    for (let sequence = 0; sequence < count; sequence++) {
      await socket.send(numberedBytes(round, sequence));
    }
    return { startNs, cpuNs: cpuNs() - cpuBefore };
  },
  finish: (): Promise<ArrivalReport> => arrivals.finish(),
  stop: (): void => {
    push?.close();
    pull?.close();
  },
});
