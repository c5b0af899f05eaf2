/**
 * JetStream: a stream on files, confirmed publishes, a pull consumer that acknowledges.
 *
 * One consumer alone acknowledges all up to the last of a turn with one message; consumers that share acknowledge
 * each. A sharded queue is one subject and one consumer for each part, chosen by the publisher.
 */
import {
  AckPolicy,
  type JetStreamClient,
  type JsMsg,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { type Adapter, type ConsumeOptions, type Place, partOf } from "./adapter.ts";
import { connectNats } from "./nats-adapter.ts";

const LOOK_MS = 2;
const RETRY_MS = 20;
/** A window of synced publishes may wait for a slow disk. */
const PUBLISH_MS = 10_000;

const streamOf = ({ mesh }: Place): string => mesh.replaceAll(".", "-");
const durableOf = ({ sharing, index }: ConsumeOptions): string =>
  sharing === "shared" ? "sink" : `sink-${index}`;
const wait = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

export const jetstreamAdapter = (): Adapter => {
  let connection: NatsConnection | undefined;
  const open = async (place: Place): Promise<NatsConnection> => {
    connection ??= await connectNats(place);
    return connection;
  };
  const declare = async (place: Place, options: ConsumeOptions): Promise<void> => {
    const manager = await jetstreamManager(await open(place));
    const name = streamOf(place);
    await manager.streams
      .add({
        name,
        subjects: [`${place.mesh}.*`],
        storage: StorageType.File,
        retention: RetentionPolicy.Limits,
      })
      .catch(async (error: unknown) => {
        if (await manager.streams.info(name).catch(() => undefined)) return;
        throw error;
      });
    await manager.consumers.add(name, {
      durable_name: durableOf(options),
      ack_policy: options.sharing === "shared" ? AckPolicy.Explicit : AckPolicy.All,
      filter_subject:
        options.sharing === "sharded" ? `${place.mesh}.${options.index}` : `${place.mesh}.*`,
      max_ack_pending: options.prefetch * options.members * 2,
    });
  };
  return {
    codec: "bytes",
    declare,
    consume: async (place, options, handle) => {
      const consuming = await open(place);
      await declare(place, options);
      const consumer = await jetstream(consuming).consumers.get(
        streamOf(place),
        durableOf(options),
      );
      const acknowledge = options.sharing === "shared" ? ackEach : ackTurns();
      await consumer.consume({
        max_messages: options.prefetch,
        callback: (message) => {
          const handled = handle(message.data);
          if (handled === undefined) acknowledge(message);
          else void handled.then(() => message.ack());
        },
      });
      return {
        settled: async () => {
          for (;;) {
            const { num_ack_pending, num_pending } = await consumer.info();
            if (num_ack_pending === 0 && num_pending === 0) return;
            await wait(LOOK_MS);
          }
        },
      };
    },
    produce: async (place, { sharing, members }) => {
      const client = jetstream(await open(place), { timeout: PUBLISH_MS });
      return {
        publish: (payload, key, done) => {
          const part = sharing === "sharded" ? partOf(key, members) : 0;
          publishOne(client, `${place.mesh}.${part}`, payload as Uint8Array, done);
        },
      };
    },
    close: async () => {
      await connection?.close();
    },
  };
};

const publishOne = (
  client: JetStreamClient,
  subject: string,
  payload: Uint8Array,
  done: (error?: unknown) => void,
): void => {
  client.publish(subject, payload).then(
    () => done(),
    (error: unknown) => void setTimeout(done, RETRY_MS, error),
  );
};

const ackEach = (message: JsMsg): void => message.ack();

const ackTurns = (): ((message: JsMsg) => void) => {
  let last: JsMsg | undefined;
  return (message) => {
    if (last === undefined) {
      setImmediate(() => {
        last?.ack();
        last = undefined;
      });
    }
    last = message;
  };
};
