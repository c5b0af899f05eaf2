/** Mosquitto through MQTT.js: QoS 0 at most once, QoS 1 confirmed one by one, kept in the broker's memory. */
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { type Adapter, type ConsumeOptions, type Place, partOf } from "./adapter.ts";

const BETWEEN_WAITS = 256;
const RETRY_MS = 20;

export const mosquittoAdapter = (): Adapter => {
  const clients: MqttClient[] = [];
  const open = async ({ serverPort }: Place, options: IClientOptions): Promise<MqttClient> => {
    const client = await connectAsync({
      host: "127.0.0.1",
      port: serverPort,
      protocol: "mqtt",
      reconnectPeriod: RETRY_MS,
      ...options,
    });
    client.on("error", () => {}); // it connects again
    clients.push(client);
    return client;
  };
  const session = (place: Place, options: ConsumeOptions): IClientOptions => ({
    clientId: `${place.mesh}-${options.index}`,
    clean: !options.durable,
  });
  const topicOf = ({ mesh }: Place, { sharing, index }: ConsumeOptions): string => {
    if (sharing === "sharded") return `${mesh}/${index}`;
    return sharing === "shared" ? `$share/sink/${mesh}/+` : `${mesh}/+`;
  };
  return {
    codec: "bytes",
    answer: async (place) => {
      const client = await open(place, {});
      const reply = `${place.mesh}/reply`;
      client.on("message", (_topic, payload) => void client.publish(reply, payload));
      await client.subscribeAsync(`${place.mesh}/request`);
      return "";
    },
    ask: async (place) => {
      const client = await open(place, {});
      const waiting: ((payload: Buffer) => void)[] = [];
      // One asker and one answerer: replies come in the order of the requests.
      client.on("message", (_topic, payload) => waiting.shift()?.(payload));
      await client.subscribeAsync(`${place.mesh}/reply`);
      return (payload) =>
        new Promise((resolve) => {
          waiting.push(resolve);
          client.publish(`${place.mesh}/request`, payload as Buffer);
        });
    },
    declare: async (place, options) => {
      const client = await open(place, session(place, options));
      await client.subscribeAsync(topicOf(place, options), { qos: 1 });
      await client.endAsync();
    },
    consume: async (place, options, handle) => {
      const client = await open(place, { ...session(place, options), manualConnect: false });
      if (options.durable) {
        // Its acknowledgement goes out when this calls back.
        client.handleMessage = ({ payload }, callback) => {
          const handled = handle(payload);
          if (handled === undefined) callback();
          else void handled.then(() => callback());
        };
      } else {
        client.on("message", (_topic, payload) => void handle(payload));
      }
      await client.subscribeAsync(topicOf(place, options), { qos: options.durable ? 1 : 0 });
      return {};
    },
    produce: async (place, { sharing, members }) => {
      const client = await open(place, {});
      let count = 0;
      return {
        emit: (payload) => {
          const topic = `${place.mesh}/0`;
          if (++count % BETWEEN_WAITS !== 0) {
            client.publish(topic, payload as Buffer);
            return true;
          }
          return client.publishAsync(topic, payload as Buffer).then(() => {});
        },
        publish: (payload, key, done) => {
          const part = sharing === "sharded" ? partOf(key, members) : 0;
          client.publish(`${place.mesh}/${part}`, payload as Buffer, { qos: 1 }, (error) =>
            error ? void setTimeout(done, RETRY_MS, error) : done(),
          );
        },
      };
    },
    close: async () => {
      for (const client of clients) await client.endAsync(true).catch(() => {});
    },
  };
};
