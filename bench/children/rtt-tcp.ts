/** The least a round trip over node:net can be: frames with a length before them, noDelay. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { numberedBytes } from "./payload.ts";
import { type RoundTrips, timeSequential } from "./quantiles.ts";
import { serve } from "./serve.ts";

const LENGTH_BYTES = 4;

let server: Server | undefined;
let socket: Socket | undefined;
let answered: (payload: Buffer) => void = () => {};

const send = (to: Socket, payload: Buffer): void => {
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + payload.length);
  frame.writeUInt32LE(payload.length, 0);
  payload.copy(frame, LENGTH_BYTES);
  to.write(frame);
};

const readFrames = (from: Socket, frame: (payload: Buffer) => void): void => {
  let rest: Buffer = Buffer.alloc(0);
  from.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + rest.readUInt32LE(0);
      if (rest.length < end) return;
      frame(rest.subarray(LENGTH_BYTES, end));
      rest = rest.subarray(end);
    }
  });
  from.on("error", () => from.destroy());
};

serve({
  answer: async (): Promise<number> => {
    server = createServer({ noDelay: true }, (peer) => {
      readFrames(peer, (payload) => send(peer, payload));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  },
  open: async ({ address }: { address: number }): Promise<void> => {
    socket = connect({ port: address, host: "127.0.0.1", noDelay: true });
    readFrames(socket, (payload) => answered(payload));
    await once(socket, "connect");
  },
  ask: ({ count }: { count: number }): Promise<RoundTrips> => {
    const to = socket as Socket;
    let sequence = 0;
    return timeSequential(
      count,
      () =>
        new Promise((resolve) => {
          answered = resolve;
          send(to, numberedBytes(0, sequence++));
        }),
    );
  },
  stop: (): void => {
    socket?.destroy();
    server?.close();
  },
});
