/** NATS core through its own client: subjects at most once, queue groups, requests through the inbox. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { Adapter, Place } from "./adapter.ts";

/** Messages handed to the client between two round trips to the server, so that its buffer stays small. */
const BETWEEN_FLUSHES = 4_096;
const BYTES_BETWEEN_FLUSHES = 1 << 20;

export const connectNats = ({ serverPort }: Place): Promise<NatsConnection> =>
  connect({
    servers: `127.0.0.1:${serverPort}`,
    noAsyncTraces: true, // a stack for each request costs more than the request
    reconnectTimeWait: 20,
    maxReconnectAttempts: -1,
  });

export const natsAdapter = (): Adapter => {
  let connection: NatsConnection | undefined;
  const open = async (place: Place): Promise<NatsConnection> => {
    connection = await connectNats(place);
    return connection;
  };
  return {
    codec: "bytes",
    answer: async (place) => {
      const answering = await open(place);
      answering.subscribe(`${place.mesh}.echo`, {
        callback: (_error, message) => void message.respond(message.data),
      });
      await answering.flush();
      return "";
    },
    ask: async (place) => {
      const asking = await open(place);
      const subject = `${place.mesh}.echo`;
      return async (payload) => {
        const reply = await asking.request(subject, payload as Uint8Array, { timeout: 5_000 });
        return reply.data;
      };
    },
    consume: async (place, { sharing, index }, handle) => {
      const consuming = await open(place);
      const subject = sharing === "sharded" ? `${place.mesh}.${index}` : place.mesh;
      consuming.subscribe(subject, {
        ...(sharing === "shared" ? { queue: "sink" } : {}),
        callback: (_error, message) => void handle(message.data),
      });
      await consuming.flush();
      return {};
    },
    produce: async (place) => {
      const producing = await open(place);
      let count = 0;
      let bytes = 0;
      return {
        emit: (payload) => {
          producing.publish(place.mesh, payload as Uint8Array);
          bytes += (payload as Uint8Array).length;
          if (++count < BETWEEN_FLUSHES && bytes < BYTES_BETWEEN_FLUSHES) return true;
          count = 0;
          bytes = 0;
          return producing.flush();
        },
        flush: () => producing.flush(),
      };
    },
    close: async () => {
      await connection?.close();
    },
  };
};
