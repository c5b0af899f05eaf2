/**
 * RabbitMQ through amqplib: persistent messages with publisher confirms and manual acknowledgements, transient ones
 * with neither, and requests through direct reply-to.
 *
 * One consumer alone acknowledges all up to the last of a turn at once. A sharded queue is one queue for each part,
 * chosen by the publisher. When the broker goes away, producer and consumer connect again.
 */
import {
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  connect,
  type Options,
} from "amqplib";
import {
  type Adapter,
  type ConsumeOptions,
  type Handle,
  type Place,
  type ProduceOptions,
  partOf,
} from "./adapter.ts";

const RETRY_MS = 20;
const REPLY_TO = "amq.rabbitmq.reply-to";

const wait = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));
const ignore = (): void => {};

/** A connection that comes back; `opened` runs on each new one. */
class Line {
  #model: ChannelModel | undefined;
  #isClosing = false;

  async open(place: Place, opened: (model: ChannelModel) => Promise<void>): Promise<void> {
    const model = await connect(`amqp://127.0.0.1:${place.serverPort}`, { noDelay: true });
    this.#model = model;
    model.on("error", ignore); // "close" follows
    model.once("close", () => void this.#again(place, opened));
    await opened(model);
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#model?.close().catch(ignore);
  }

  async #again(place: Place, opened: (model: ChannelModel) => Promise<void>): Promise<void> {
    while (!this.#isClosing) {
      await wait(RETRY_MS);
      try {
        await this.open(place, opened);
        return;
      } catch {
        // not up yet
      }
    }
  }
}

export const rabbitmqAdapter = (type: "classic" | "quorum"): Adapter => {
  const line = new Line();
  const queueOptions = (durable: boolean): Options.AssertQueue =>
    durable
      ? { durable: true, arguments: { "x-queue-type": type } }
      : { durable: false, autoDelete: true };
  const queueOf = ({ mesh }: Place, { sharing, index }: ConsumeOptions): string =>
    sharing === "shared" ? mesh : `${mesh}.${index}`;
  const assert = async (channel: Channel, place: Place, options: ConsumeOptions): Promise<void> => {
    const queue = queueOf(place, options);
    await channel.assertQueue(queue, queueOptions(options.durable));
    if (options.sharing !== "all") return;
    await channel.assertExchange(place.mesh, "fanout", { durable: options.durable });
    await channel.bindQueue(queue, place.mesh, "");
  };
  return {
    codec: "bytes",
    answer: async (place) => {
      await line.open(place, async (model) => {
        const channel = await model.createChannel();
        const queue = `${place.mesh}.echo`;
        await channel.assertQueue(queue, { durable: false, autoDelete: true });
        const answer = ({ content, properties }: NonNullable<Delivered>): void => {
          const { correlationId } = properties;
          channel.sendToQueue(properties.replyTo, content, { correlationId });
        };
        await channel.consume(queue, (message) => message && answer(message), { noAck: true });
      });
      return "";
    },
    ask: async (place) => {
      const waiting = new Map<string, (payload: Buffer) => void>();
      let channel: Channel | undefined;
      let count = 0;
      await line.open(place, async (model) => {
        channel = await model.createChannel();
        const answered = (message: Delivered): void => {
          if (message === null) return;
          const id = message.properties.correlationId as string;
          waiting.get(id)?.(message.content);
          waiting.delete(id);
        };
        await channel.consume(REPLY_TO, answered, { noAck: true });
      });
      const queue = `${place.mesh}.echo`;
      return (payload) =>
        new Promise((resolve) => {
          const correlationId = String(count++);
          waiting.set(correlationId, resolve);
          channel?.sendToQueue(queue, payload as Buffer, { correlationId, replyTo: REPLY_TO });
        });
    },
    declare: async (place, options) => {
      const model = await connect(`amqp://127.0.0.1:${place.serverPort}`);
      await assert(await model.createChannel(), place, options);
      await model.close();
    },
    consume: async (place, options, handle) => {
      let channel: Channel | undefined;
      await line.open(place, async (model) => {
        channel = await model.createChannel();
        await assert(channel, place, options);
        await channel.prefetch(options.durable ? options.prefetch : 0);
        const taken = options.durable ? acknowledged(channel, handle) : unacknowledged(handle);
        await channel.consume(queueOf(place, options), taken, { noAck: !options.durable });
      });
      // A channel's frames are taken in order: when this is answered, so were the acks before it.
      const settled = async (): Promise<void> => {
        await channel?.checkQueue(queueOf(place, options));
      };
      return options.durable ? { settled } : {};
    },
    produce: async (place, options) => producer(line, place, options),
    close: () => line.close(),
  };
};

type Delivered = Parameters<Parameters<Channel["consume"]>[1]>[0];

const unacknowledged =
  (handle: Handle) =>
  (message: Delivered): void => {
    if (message !== null) void handle(message.content);
  };

const acknowledged = (channel: Channel, handle: Handle) => {
  let last: Delivered = null;
  const ackTurn = (): void => {
    if (last !== null) channel.ack(last, true);
    last = null;
  };
  return (message: Delivered): void => {
    if (message === null) return;
    const handled = handle(message.content);
    if (handled !== undefined) {
      void handled.then(() => channel.ack(message)).catch(ignore);
      return;
    }
    if (last === null) setImmediate(ackTurn);
    last = message;
  };
};

const producer = async (
  line: Line,
  place: Place,
  { durable, sharing, members }: ProduceOptions,
) => {
  let channel: Channel | ConfirmChannel | undefined;
  await line.open(place, async (model) => {
    const opened = await (durable ? model.createConfirmChannel() : model.createChannel());
    opened.on("error", ignore);
    opened.once("close", () => {
      channel = undefined;
    });
    channel = opened;
  });
  const exchange = sharing === "all" ? place.mesh : "";
  const keyOf = (key: number): string => {
    if (sharing === "sharded") return `${place.mesh}.${partOf(key, members)}`;
    if (sharing === "one") return `${place.mesh}.0`;
    return sharing === "shared" ? place.mesh : "";
  };
  return {
    emit: (payload: unknown) => {
      const sending = channel as Channel;
      if (sending.publish(exchange, keyOf(0), payload as Buffer)) return true;
      return new Promise<void>((resolve) => void sending.once("drain", resolve));
    },
    publish: (payload: unknown, key: number, done: (error?: unknown) => void) => {
      const later = (error: unknown): void => void setTimeout(done, RETRY_MS, error);
      if (channel === undefined) return later(new Error("not connected"));
      const confirmed = (error: unknown): void => (error ? later(error) : done());
      try {
        (channel as ConfirmChannel).publish(
          exchange,
          keyOf(key),
          payload as Buffer,
          { persistent: true },
          confirmed,
        );
      } catch (error) {
        later(error); // the channel is closing
      }
    },
  };
};
