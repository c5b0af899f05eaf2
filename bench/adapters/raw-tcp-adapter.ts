/** The least that node:net can do: frames with a length before them, noDelay, nothing checked or kept. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Adapter } from "./adapter.ts";

const LENGTH_BYTES = 4;

const frameOf = (payload: Buffer): Buffer => {
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + payload.length);
  frame.writeUInt32LE(payload.length, 0);
  payload.copy(frame, LENGTH_BYTES);
  return frame;
};

const readFrames = (from: Socket, frame: (payload: Buffer) => void): void => {
  let rest: Buffer = Buffer.alloc(0);
  from.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length - at >= LENGTH_BYTES) {
      const end = at + LENGTH_BYTES + rest.readUInt32LE(at);
      if (rest.length < end) break;
      frame(rest.subarray(at + LENGTH_BYTES, end));
      at = end;
    }
    rest = rest.subarray(at);
  });
  from.on("error", () => from.destroy());
};

export const rawTcpAdapter = (): Adapter => {
  let server: Server | undefined;
  const sockets: Socket[] = [];
  const listen = async (accept: (peer: Socket) => void): Promise<string> => {
    server = createServer({ noDelay: true }, (peer) => {
      sockets.push(peer);
      accept(peer);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return String((server.address() as AddressInfo).port);
  };
  const dial = async (address: string): Promise<Socket> => {
    const socket = connect({ port: Number(address), host: "127.0.0.1", noDelay: true });
    sockets.push(socket);
    await once(socket, "connect");
    return socket;
  };
  return {
    codec: "bytes",
    answer: () =>
      listen((peer) => readFrames(peer, (payload) => void peer.write(frameOf(payload)))),
    ask: async (_place, address) => {
      const socket = await dial(address);
      const waiting: ((payload: Buffer) => void)[] = [];
      let oldest = 0;
      readFrames(socket, (payload) => {
        waiting[oldest++]?.(payload);
        if (oldest < waiting.length) return;
        waiting.length = 0;
        oldest = 0;
      });
      return (payload) =>
        new Promise((resolve) => {
          waiting.push(resolve);
          socket.write(frameOf(payload as Buffer));
        });
    },
    consume: async (_place, _options, handle) => ({
      address: await listen((peer) => readFrames(peer, (payload) => void handle(payload))),
    }),
    produce: async (_place, { addresses }) => {
      const all: Socket[] = [];
      for (const address of addresses) all.push(await dial(address));
      return {
        emit: (payload) => {
          const frame = frameOf(payload as Buffer);
          let full: Socket | undefined;
          for (const socket of all) if (!socket.write(frame)) full = socket;
          return full === undefined ? true : once(full, "drain").then(() => {});
        },
      };
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server?.close();
    },
  };
};
