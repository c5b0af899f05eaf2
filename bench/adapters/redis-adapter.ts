/**
 * Redis through ioredis: channels at most once, and streams with a consumer group. Commands are pipelined
 * by the client, a turn of the event loop at a time.
 */
import { Redis } from "ioredis";
import { type Adapter, type ConsumeOptions, type Place, partOf } from "./adapter.ts";
import { CLAIM_MS } from "./claim-ms.ts";

/** Commands in one pipeline of channel messages, and pipelines under way. */
const PIPELINE = 256;
const PIPELINES_MAX = 4;
const PIPELINE_BYTES = 1 << 18;
const RETRY_MS = 20;
const GROUP = "sink";

const open = async ({ serverPort }: Place, turns: boolean): Promise<Redis> => {
  const client = new Redis({
    host: "127.0.0.1",
    port: serverPort,
    lazyConnect: true,
    enableAutoPipelining: turns,
    retryStrategy: () => RETRY_MS,
    maxRetriesPerRequest: null,
  });
  client.on("error", () => {}); // what matters fails the command
  await client.connect();
  return client;
};

export const redisAdapter = (): Adapter => {
  const clients: Redis[] = [];
  const opened = async (place: Place, turns = false): Promise<Redis> => {
    const client = await open(place, turns);
    clients.push(client);
    return client;
  };
  return {
    codec: "bytes",
    answer: async (place) => {
      const hearing = await opened(place);
      const saying = await opened(place, true);
      hearing.on("messageBuffer", (_channel: Buffer, payload: Buffer) => {
        void saying.publish(`${place.mesh}.reply`, payload);
      });
      await hearing.subscribe(`${place.mesh}.request`);
      return "";
    },
    ask: async (place) => {
      const hearing = await opened(place);
      const saying = await opened(place, true);
      const waiting: ((payload: Buffer) => void)[] = [];
      // One asker and one answerer: replies come in the order of the requests.
      hearing.on("messageBuffer", (_channel: Buffer, payload: Buffer) =>
        waiting.shift()?.(payload),
      );
      await hearing.subscribe(`${place.mesh}.reply`);
      return (payload) =>
        new Promise((resolve, reject) => {
          waiting.push(resolve);
          saying.publish(`${place.mesh}.request`, payload as Buffer).catch(reject);
        });
    },
    consume: async (place, _options, handle) => {
      const hearing = await opened(place);
      hearing.on("messageBuffer", (_channel: Buffer, payload: Buffer) => void handle(payload));
      await hearing.subscribe(place.mesh);
      return {};
    },
    produce: async (place) => {
      const saying = await opened(place);
      let pipeline = saying.pipeline();
      let bytes = 0;
      const underWay: Promise<unknown>[] = [];
      const send = (): void => {
        underWay.push(pipeline.exec());
        pipeline = saying.pipeline();
        bytes = 0;
      };
      return {
        emit: (payload) => {
          pipeline.publish(place.mesh, payload as Buffer);
          bytes += (payload as Buffer).length;
          if (pipeline.length < PIPELINE && bytes < PIPELINE_BYTES) return true;
          send();
          if (underWay.length < PIPELINES_MAX) return true;
          return (underWay.shift() as Promise<unknown>).then(() => {});
        },
        flush: async () => {
          send();
          await Promise.all(underWay.splice(0));
        },
      };
    },
    close: async () => {
      for (const client of clients) client.disconnect();
    },
  };
};

/** A stream a part; XADD as fast as the window allows, XREADGROUP and XACK by the batch. */
export const redisStreamsAdapter = (): Adapter => {
  const clients: Redis[] = [];
  let isClosing = false;
  const opened = async (place: Place, turns = true): Promise<Redis> => {
    const client = await open(place, turns);
    clients.push(client);
    return client;
  };
  const streamOf = ({ mesh }: Place, part: number): string => `${mesh}.${part}`;
  const partOfConsumer = ({ sharing, index }: ConsumeOptions): number =>
    sharing === "sharded" ? index : 0;
  const groupOf = ({ sharing, index }: ConsumeOptions): string =>
    sharing === "all" ? `${GROUP}-${index}` : GROUP;
  const declare = async (place: Place, options: ConsumeOptions): Promise<void> => {
    const client = await opened(place);
    const stream = streamOf(place, partOfConsumer(options));
    await client.xgroup("CREATE", stream, groupOf(options), "$", "MKSTREAM").catch((error) => {
      if (!String(error).includes("BUSYGROUP")) throw error;
    });
  };
  return {
    codec: "bytes",
    declare,
    consume: async (place, options, handle) => {
      await declare(place, options);
      const reading = await opened(place, false);
      const acking = await opened(place);
      const claiming = await opened(place, false);
      const loop = new StreamLoop(reading, acking, claiming, {
        stream: streamOf(place, partOfConsumer(options)),
        group: groupOf(options),
        name: `consumer-${options.index}`,
        count: Math.min(options.prefetch, 512),
        handle,
      });
      void loop.run(() => isClosing);
      return { settled: () => loop.settled() };
    },
    produce: async (place, { sharing, members }) => {
      const adding = await opened(place);
      return {
        publish: (payload, key, done) => {
          const part = sharing === "sharded" ? partOf(key, members) : 0;
          void adding.xadd(streamOf(place, part), "*", "p", payload as Buffer, (error) => {
            if (error) setTimeout(done, RETRY_MS, error);
            else done();
          });
        },
      };
    },
    close: async () => {
      isClosing = true;
      for (const client of clients) client.disconnect();
    },
  };
};

type Entry = readonly [id: Buffer, fields: readonly Buffer[]];
type LoopOptions = {
  readonly stream: string;
  readonly group: string;
  readonly name: string;
  readonly count: number;
  readonly handle: (payload: unknown) => Promise<void> | undefined;
};

const CLAIM_LOOK_MS = 250;

/** A server that went away fails what is under way; anything else is a fault of this program. */
const ignoreLoss = (error: Error): void => {
  if (error.name === "ReplyError" && !/LOADING|NOGROUP/.test(error.message)) throw error;
};

class StreamLoop {
  readonly #reading: Redis;
  readonly #acking: Redis;
  readonly #claiming: Redis;
  readonly #options: LoopOptions;
  #acks: Promise<unknown> = Promise.resolve();

  constructor(reading: Redis, acking: Redis, claiming: Redis, options: LoopOptions) {
    this.#reading = reading;
    this.#acking = acking;
    this.#claiming = claiming;
    this.#options = options;
  }

  async run(isOver: () => boolean): Promise<void> {
    const { stream, group, name, count } = this.#options;
    const claimer = setInterval(() => {
      if (!isOver()) void this.#claim().catch(ignoreLoss);
    }, CLAIM_LOOK_MS);
    claimer.unref();
    const rest = ["STREAMS", stream, ">"];
    while (!isOver()) {
      const read = (await this.#reading
        .callBuffer("XREADGROUP", ...["GROUP", group, name, "COUNT", count, "BLOCK", 0], ...rest)
        .catch(() => null)) as [Buffer, Entry[]][] | null;
      for (const [, entries] of read ?? []) this.#take(entries);
    }
    clearInterval(claimer);
  }

  async settled(): Promise<void> {
    await this.#acks;
  }

  /** What a consumer that has gone left behind. */
  async #claim(): Promise<void> {
    const { stream, group, name, count } = this.#options;
    const answer = (await this.#claiming.callBuffer(
      "XAUTOCLAIM",
      stream,
      group,
      name,
      CLAIM_MS,
      "0-0",
      "COUNT",
      count,
    )) as [Buffer, Entry[]];
    this.#take(answer[1]);
  }

  #take(entries: readonly Entry[]): void {
    const { stream, group, handle } = this.#options;
    const ids: Buffer[] = [];
    for (const [id, fields] of entries) {
      const handled = handle(fields[1] as Buffer);
      if (handled === undefined) ids.push(id);
      else void handled.then(() => this.#acking.xack(stream, group, id)).catch(() => {});
    }
    if (ids.length > 0) this.#acks = this.#acking.xack(stream, group, ...ids);
  }
}
