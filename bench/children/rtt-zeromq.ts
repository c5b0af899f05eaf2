/** The least a round trip over zeromq.js can be: a DEALER, a ROUTER that sends each message back. */
import { Dealer, Router } from "zeromq";
import { numberedBytes } from "./payload.ts";
import { type RoundTrips, timeSequential } from "./quantiles.ts";
import { serve } from "./serve.ts";

let router: Router | undefined;
let dealer: Dealer | undefined;

const echo = async (socket: Router): Promise<void> => {
  for await (const [id, payload] of socket) await socket.send([id as Buffer, payload as Buffer]);
};

serve({
  answer: async (): Promise<string> => {
    router = new Router({ linger: 0 });
    await router.bind("tcp://127.0.0.1:0");
    void echo(router).catch(() => process.exit(1));
    return router.lastEndpoint as string;
  },
  open: async ({ address }: { address: string }): Promise<void> => {
    dealer = new Dealer({ linger: 0 });
    dealer.connect(address);
    await dealer.send(numberedBytes(0, 0));
    await dealer.receive();
  },
  ask: ({ count }: { count: number }): Promise<RoundTrips> => {
    const socket = dealer as Dealer;
    let sequence = 0;
    return timeSequential(count, () => {
      void socket.send(numberedBytes(0, sequence++));
      return socket.receive();
    });
  },
  stop: (): void => {
    router?.close();
    dealer?.close();
  },
});
