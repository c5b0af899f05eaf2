/**
 * A peer in a process of its own: `transport-echo listen <zmq|tcp|grpc|unix>` or `transport-echo dial <address>`. It
 * prints the address it listens on (or "dialed"), and echoes every frame. The frame "close" closes the connection, "flood" makes it
 * send frames without end, "memory" asks for the most it ever took, "exit" stops the transport, after which the process
 * must end by itself.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Timer } from "../../src/ports/clock.ts";
import type { Connection, TransportContext } from "../../src/ports/transport.ts";
import { grpc } from "../../src/transport/grpc/grpc-transport.ts";
import { stream } from "../../src/transport/stream/stream-transport.ts";
import { unix } from "../../src/transport/stream/unix-transport.ts";
import { zeromq } from "../../src/transport/zeromq/zeromq-transport.ts";

const ignore = () => {};

const context: TransportContext = {
  clock: {
    wallMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    setTimer: (delayMs, fn) => setTimeout(fn, delayMs).unref() as unknown as Timer,
    clearTimer: (timer) => clearTimeout(timer as unknown as NodeJS.Timeout),
    endOfTurn: (fn) => void setImmediate(fn),
  },
  logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
  frameBytesMax: 1 << 20,
  count: ignore,
};

const [role, address = ""] = process.argv.slice(2);
const create = { tcp: stream, grpc, unix }[address.split(":")[0] ?? ""] ?? zeromq;
const transport = create();

async function flood(connection: Connection, isOpen: () => boolean): Promise<void> {
  while (isOpen()) {
    if (connection.bufferedBytes < 1 << 20) connection.send(new Uint8Array(10_000).fill(1));
    else await sleep(1);
  }
}

/** Address space is not resident until it is written: what is only reserved shows there. */
function memory(): Uint8Array {
  const isLinux = process.platform === "linux";
  const status = isLinux ? readFileSync("/proc/self/status", "utf8") : "";
  const reservedKb = Number(/^VmPeak:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
  const residentMb = process.resourceUsage().maxRSS / 1_024;
  return Buffer.from(JSON.stringify({ residentMb, reservedMb: reservedKb / 1_024 }));
}

function serve(connection: Connection): void {
  let isOpen = true;
  connection.open({
    frame(bytes) {
      const text = bytes.length < 16 ? Buffer.from(bytes).toString() : "";
      if (text === "close") connection.close();
      else if (text === "exit") void transport.stop();
      else if (text === "memory") connection.send(memory());
      else if (text === "flood") void flood(connection, () => isOpen);
      else connection.send(bytes);
    },
    drained: ignore,
    closed: () => {
      isOpen = false;
    },
  });
}

await transport.start(context);
if (role === "listen") {
  const listener = await transport.listen({ host: "127.0.0.1", port: 0 }, serve);
  console.log(listener.address);
} else {
  const connection = await transport.dial(address, { timeoutMs: 10_000 });
  serve(connection);
  connection.send(Buffer.from("here"));
  console.log("dialed");
}
