/**
 * What our connection costs over zeromq.js itself: round trip and frames a second between two processes,
 * a DEALER here and a ROUTER there, our transport and the bare sockets in turns within one run. Only the
 * ratios mean something: absolute times move with the machine.
 *
 * Run: node .build/bench/micro/transport.js [--quick] [--json]
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Dealer, Router } from "zeromq";
import type { Timer } from "../../src/ports/clock.ts";
import type { Connection, TransportContext } from "../../src/ports/transport.ts";
import { zeromq } from "../../src/transport/zeromq/zeromq-transport.ts";

const ignore = () => {};
const FRAME_BYTES_MAX = 1 << 20;

function benchContext(): TransportContext {
  return {
    clock: {
      wallMs: () => Date.now(),
      monotonicMs: () => performance.now(),
      setTimer: (delayMs, fn) => setTimeout(fn, delayMs).unref() as unknown as Timer,
      clearTimer: (timer) => clearTimeout(timer as unknown as NodeJS.Timeout),
      endOfTurn: (fn) => void setImmediate(fn),
    },
    logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    frameBytesMax: FRAME_BYTES_MAX,
    count: ignore,
  };
}

/** The peer: echoes in mode "echo"; in mode "sink" answers each time that `every` frames have arrived. */
type Mode = "echo" | "sink";
const ANSWER_EVERY = 64;

async function serveOurs(mode: Mode): Promise<string> {
  const transport = zeromq();
  await transport.start(benchContext());
  const accept = (connection: Connection) => {
    let seen = 0;
    connection.open({
      frame(bytes) {
        seen += 1;
        if (mode === "echo") connection.send(bytes);
        else if (seen % ANSWER_EVERY === 0) connection.send(bytes.subarray(0, 8));
      },
      drained: ignore,
      closed: ignore,
    });
  };
  const listener = await transport.listen({ host: "127.0.0.1", port: 0 }, accept);
  return listener.address;
}

async function serveBare(mode: Mode): Promise<string> {
  const router = new Router({ linger: 0, mandatory: true });
  await router.bind("tcp://127.0.0.1:0");
  let seen = 0;
  void (async () => {
    while (!router.closed) {
      const [id, bytes] = (await router.receive()) as [Buffer, Buffer];
      seen += 1;
      if (mode === "echo") await router.send([id, bytes]);
      else if (seen % ANSWER_EVERY === 0) await router.send([id, bytes.subarray(0, 8)]);
    }
  })();
  return router.lastEndpoint as string;
}

/** The dialling side: sends, and calls `onFrame` for what comes back. */
type Driver = { send(frame: Uint8Array): void; close(): Promise<void> };

async function driveOurs(address: string, onFrame: () => void): Promise<Driver> {
  const transport = zeromq();
  await transport.start(benchContext());
  const connection = await transport.dial(address, { timeoutMs: 5_000 });
  connection.open({ frame: onFrame, drained: ignore, closed: ignore });
  return { send: (frame) => connection.send(frame), close: () => transport.stop() };
}

async function driveBare(address: string, onFrame: () => void): Promise<Driver> {
  const dealer = new Dealer({ linger: 0 });
  dealer.connect(address);
  void (async () => {
    while (!dealer.closed) {
      await dealer.receive();
      onFrame();
    }
  })().catch(ignore);
  const queue: Uint8Array[] = [];
  let sending = false;
  const pump = async () => {
    sending = true;
    for (let frame = queue.shift(); frame !== undefined; frame = queue.shift()) {
      await dealer.send(frame as Buffer);
    }
    sending = false;
  };
  return {
    send: (frame) => {
      queue.push(frame);
      if (!sending) void pump();
    },
    close: async () => dealer.close(),
  };
}

type Kind = "ours" | "bare";

async function withPeer<T>(
  kind: Kind,
  mode: Mode,
  onFrame: () => void,
  run: (driver: Driver) => Promise<T>,
): Promise<T> {
  const child: ChildProcess = fork(fileURLToPath(import.meta.url), ["--serve", kind, mode]);
  const [address] = (await once(child, "message")) as [string];
  const driver = await (kind === "ours" ? driveOurs : driveBare)(address, onFrame);
  try {
    return await run(driver);
  } finally {
    await driver.close();
    child.kill("SIGKILL");
    await once(child, "exit");
  }
}

/** Median round trip in microseconds. */
function roundTrip(kind: Kind, frameBytes: number, rounds: number): Promise<number> {
  let answered: () => void = ignore;
  return withPeer(
    kind,
    "echo",
    () => answered(),
    (driver) => {
      const times: number[] = [];
      return new Promise((resolve) => {
        let startMs = 0;
        const ask = () => {
          const frame = Buffer.alloc(frameBytes, 1);
          startMs = performance.now();
          driver.send(frame);
        };
        answered = () => {
          times.push((performance.now() - startMs) * 1000);
          if (times.length < rounds) return ask();
          const warm = times.slice(rounds >> 2).sort((a, b) => a - b);
          resolve(warm[warm.length >> 1] as number);
        };
        ask();
      });
    },
  );
}

/** Frames a second, with a window of frames in flight as credit would allow. */
function throughput(kind: Kind, frameBytes: number, count: number): Promise<number> {
  let answered: () => void = ignore;
  return withPeer(
    kind,
    "sink",
    () => answered(),
    (driver) => {
      const window = frameBytes > 4096 ? 2 * ANSWER_EVERY : 16 * ANSWER_EVERY;
      const frame = Buffer.alloc(frameBytes, 1);
      let sent = 0;
      let confirmed = 0;
      const startMs = performance.now();
      return new Promise((resolve) => {
        const fill = () => {
          for (; sent < count && sent - confirmed < window; sent += 1) driver.send(frame);
        };
        answered = () => {
          confirmed += ANSWER_EVERY;
          if (confirmed >= count) resolve((count / (performance.now() - startMs)) * 1000);
          else fill();
        };
        fill();
      });
    },
  );
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] as number;

async function main(flags: readonly string[]): Promise<void> {
  const quick = flags.includes("--quick");
  const repeats = quick ? 3 : 7;
  const rounds = quick ? 3_000 : 8_000;
  const counts = quick ? [30_016, 6_400] : [150_016, 25_600];
  const result: Record<string, number> = {};
  const compare = async (
    name: string,
    digits: number,
    measure: (kind: Kind) => Promise<number>,
  ): Promise<void> => {
    const bare: number[] = [];
    const ours: number[] = [];
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      for (const kind of repeat % 2 === 0
        ? (["bare", "ours"] as const)
        : (["ours", "bare"] as const)) {
        (kind === "bare" ? bare : ours).push(await measure(kind));
      }
    }
    const ratios = ours.map((value, index) => value / (bare[index] as number));
    result[`${name} bare`] = Number(median([...bare]).toFixed(digits));
    result[`${name} ours`] = Number(median([...ours]).toFixed(digits));
    result[`${name} ratio`] = Number(median(ratios).toFixed(3));
  };
  await compare("roundTrip128BUs", 1, (kind) => roundTrip(kind, 128, rounds));
  await compare("roundTrip64KiBUs", 1, (kind) => roundTrip(kind, 65_536, rounds >> 1));
  await compare("framesPerSecond128B", 0, (kind) => throughput(kind, 128, counts[0] as number));
  await compare("framesPerSecond64KiB", 0, (kind) => throughput(kind, 65_536, counts[1] as number));
  if (flags.includes("--json")) console.log(JSON.stringify(result));
  else console.table(result);
}

const flags = process.argv.slice(2);
if (flags[0] === "--serve") {
  const mode = flags[2] as Mode;
  process.send?.(await (flags[1] === "ours" ? serveOurs(mode) : serveBare(mode)));
} else {
  await main(flags);
}
