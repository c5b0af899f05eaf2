/**
 * The floor for large payloads: what one would write with `node:net` alone. Payloads go over one connection, as fast as it
 * takes them, and are put together in memory of their own; small requests over another, so that neither waits in the
 * other's buffers.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

const WRITE_BYTES = 256 * 1024;

/** The peer's side: answers small requests with themselves, and each payload with one byte. */
export const serveRaw = async (payloadBytes: number): Promise<void> => {
  const small = createServer({ noDelay: true }, (socket) => {
    socket.on("data", (data) => void socket.write(data));
  });
  const large = createServer({ noDelay: true }, (socket) => {
    let payload = Buffer.alloc(0);
    let at = 0;
    socket.on("data", (data: Buffer) => {
      for (let from = 0; from < data.length; ) {
        // Whoever gets it may keep it.
        if (at === 0) payload = Buffer.allocUnsafeSlow(payloadBytes);
        const taken = data.copy(payload, at, from);
        from += taken;
        at += taken;
        if (at < payloadBytes) continue;
        at = 0;
        socket.write("k");
      }
    });
  });
  const ports: number[] = [];
  for (const server of [small, large]) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    ports.push((server.address() as AddressInfo).port);
  }
  process.send?.(ports.join());
  await once(process, "disconnect");
  process.exit(0);
};

export class RawRig {
  readonly #child: ChildProcess;
  readonly #small: Socket;
  readonly #large: Socket;
  readonly #payload: Buffer;
  readonly #request = Buffer.alloc(128, 1);
  /** Of requests in the order in which they went. */
  readonly #waiting: (() => void)[] = [];
  #came = 0;

  static async open(program: string, args: readonly string[], payloadBytes: number) {
    const child = fork(program, args);
    const [ports] = (await once(child, "message")) as [string];
    const sockets: Socket[] = [];
    for (const port of ports.split(",")) {
      const socket = connect({ port: Number(port), host: "127.0.0.1", noDelay: true });
      await once(socket, "connect");
      sockets.push(socket);
    }
    const [small, large] = sockets as [Socket, Socket];
    return new RawRig(child, small, large, payloadBytes);
  }

  private constructor(child: ChildProcess, small: Socket, large: Socket, payloadBytes: number) {
    this.#child = child;
    this.#small = small;
    this.#large = large;
    this.#payload = Buffer.alloc(payloadBytes, 7);
    small.on("data", ({ length }) => {
      this.#came += length;
      for (; this.#came >= this.#request.length; this.#came -= this.#request.length) {
        this.#waiting.shift()?.();
      }
    });
  }

  /** Sends one payload after the other until told to end; returns how many arrived. */
  async load(kind: string, goesOn: () => boolean): Promise<number> {
    let count = 0;
    for (; kind !== "alone" && goesOn(); count++) {
      const answered = once(this.#large, "data");
      for (let at = 0; at < this.#payload.length; at += WRITE_BYTES) {
        const taken = this.#large.write(this.#payload.subarray(at, at + WRITE_BYTES));
        if (!taken) await once(this.#large, "drain");
      }
      await answered;
    }
    return count;
  }

  async ask(): Promise<number> {
    const start = performance.now();
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      this.#small.write(this.#request);
    });
    return (performance.now() - start) * 1_000;
  }

  async stop(): Promise<void> {
    this.#small.destroy();
    this.#large.destroy();
    this.#child.disconnect();
    await once(this.#child, "exit");
  }
}
