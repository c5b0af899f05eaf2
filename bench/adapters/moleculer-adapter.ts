/** Moleculer over its TCP transporter with its default JSON: actions, balanced and broadcast events. */
import { createRequire } from "node:module";
import type { ServiceBroker as Broker, Context, ServiceSchema } from "moleculer";
import { freePort } from "../free-port.ts";
import type { Adapter, Place } from "./adapter.ts";

// Its ESM entry re-exports a CommonJS one; types say otherwise.
const { ServiceBroker } = createRequire(import.meta.url)("moleculer") as {
  ServiceBroker: new (options: object) => Broker;
};

const BETWEEN_WAITS = 256;

export const moleculerAdapter = (): Adapter => {
  let broker: Broker | undefined;
  const open = async (
    { mesh }: Place,
    name: string,
    addresses: readonly string[],
    services: readonly ServiceSchema[],
  ): Promise<{ node: Broker; address: string }> => {
    const port = await freePort();
    const node = new ServiceBroker({
      nodeID: name,
      namespace: mesh,
      logger: false,
      transporter: { type: "TCP", options: { udpDiscovery: false, port, urls: [...addresses] } },
    });
    for (const service of services) node.createService(service);
    await node.start();
    broker = node;
    return { node, address: `tcp://127.0.0.1:${port}/${name}` };
  };
  return {
    codec: "json",
    answer: async (place) => {
      const echo = {
        name: "bench",
        actions: { echo: ({ params }: { params: unknown }) => params },
      };
      return (await open(place, "answer", [], [echo])).address;
    },
    ask: async (place, address) => {
      const { node } = await open(place, "ask", [address], []);
      await node.waitForServices("bench", 10_000, 20);
      return (payload) => node.call("bench.echo", payload as object);
    },
    consume: async (place, { index, addresses, sharing }, handle) => {
      const group = sharing === "all" ? `sink-${index}` : "sink";
      const listening: ServiceSchema = {
        name: `sink-${index}`,
        events: {
          "bench.said": {
            group,
            handler: (ctx: Context) => void handle(ctx.params),
          },
        },
      };
      return { address: (await open(place, `sink-${index}`, addresses, [listening])).address };
    },
    produce: async (place, { addresses, sharing }) => {
      const { node } = await open(place, "source", addresses, []);
      const say = (payload: unknown): Promise<void> =>
        sharing === "all"
          ? node.broadcast("bench.said", payload)
          : node.emit("bench.said", payload);
      let count = 0;
      return {
        met: async (members) => {
          const names = Array.from({ length: members }, (_, index) => `sink-${index}`);
          await node.waitForServices(names, 10_000, 20);
        },
        emit: (payload) => {
          const said = say(payload);
          return ++count % BETWEEN_WAITS === 0 ? said : true;
        },
      };
    },
    close: async () => {
      await broker?.stop();
    },
  };
};
