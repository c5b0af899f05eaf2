/**
 * The least that zeromq.js can do, one message per ZeroMQ message: DEALER and ROUTER for round trips, PUSH and PULL
 * for one or competing consumers, XPUB and SUB for many. High-water marks at their defaults.
 */
import { Dealer, Pull, Push, Router, Subscriber, XPublisher } from "zeromq";
import type { Adapter } from "./adapter.ts";

export const rawZeromqAdapter = (): Adapter => {
  const sockets: { close(): void }[] = [];
  const opened = <S extends { close(): void }>(socket: S): S => {
    sockets.push(socket);
    return socket;
  };
  const ended = (): void => {
    if (!isClosing) process.exit(1);
  };
  let isClosing = false;
  return {
    codec: "bytes",
    answer: async () => {
      const router = opened(new Router({ linger: 0 }));
      await router.bind("tcp://127.0.0.1:0");
      const echo = async (): Promise<void> => {
        for await (const [id, payload] of router) {
          await router.send([id as Buffer, payload as Buffer]);
        }
      };
      void echo().catch(ended);
      return router.lastEndpoint as string;
    },
    ask: async (_place, address) => {
      const dealer = opened(new Dealer({ linger: 0 }));
      dealer.connect(address);
      return askThrough(dealer, ended);
    },
    consume: async (_place, { sharing }, handle) => {
      const read = async (socket: AsyncIterable<Buffer[]>): Promise<void> => {
        for await (const [payload] of socket) void handle(payload);
      };
      if (sharing === "all") {
        const subscriber = opened(new Subscriber({ linger: 0 }));
        subscriber.subscribe();
        await subscriber.bind("tcp://127.0.0.1:0");
        void read(subscriber as AsyncIterable<Buffer[]>).catch(ended);
        return { address: subscriber.lastEndpoint as string };
      }
      const pull = opened(new Pull({ linger: 0 }));
      await pull.bind("tcp://127.0.0.1:0");
      void read(pull as AsyncIterable<Buffer[]>).catch(ended);
      return { address: pull.lastEndpoint as string };
    },
    produce: async (_place, { sharing, addresses }) => {
      if (sharing === "all") {
        // Waits when a subscriber is full, instead of dropping; tells of who subscribes.
        const publisher = opened(new XPublisher({ linger: 0, noDrop: true, verbosity: "allSubs" }));
        for (const address of addresses) publisher.connect(address);
        return {
          met: async (members) => {
            for (let count = 0; count < members; count++) await publisher.receive();
          },
          emit: (payload) => sendWhenRoom(publisher, payload as Buffer),
        };
      }
      const push = opened(new Push({ linger: 0 }));
      for (const address of addresses) push.connect(address);
      return { emit: (payload) => push.send(payload as Buffer) };
    },
    close: async () => {
      isClosing = true;
      for (const socket of sockets) socket.close();
    },
  };
};

const sendWhenRoom = async (publisher: XPublisher, payload: Buffer): Promise<void> => {
  for (;;) {
    try {
      return await publisher.send(payload);
    } catch (error) {
      if ((error as { code?: unknown }).code !== "EAGAIN") throw error;
      await new Promise<void>((resolve) => void setImmediate(resolve));
    }
  }
};

/** Sends one at a time, as the library asks for; answers come in the order of the questions. */
const askThrough = (dealer: Dealer, ended: () => void) => {
  const waiting: ((payload: unknown) => void)[] = [];
  const queue: Buffer[] = [];
  let isSending = false;
  const pump = async (): Promise<void> => {
    isSending = true;
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      await dealer.send(next);
    }
    isSending = false;
  };
  const read = async (): Promise<void> => {
    for await (const [payload] of dealer) waiting.shift()?.(payload);
  };
  void read().catch(ended);
  return (payload: unknown): Promise<unknown> =>
    new Promise((resolve) => {
      waiting.push(resolve);
      queue.push(payload as Buffer);
      if (!isSending) void pump().catch(ended);
    });
};
