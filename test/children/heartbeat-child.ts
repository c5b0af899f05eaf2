/**
 * A heartbeat in a process of its own. argv[2]: node id, argv[3]: interval in ms. It says what a peer needs
 * to know of it, then obeys one JSON object a line, each answered by a line. Told to stop it stops, and must then
 * end by itself.
 */
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { ThreadHeartbeat } from "../../src/heartbeat/thread-heartbeat.ts";
import { systemClock } from "../../src/mesh/system-ports.ts";
import type { HeartbeatCommand } from "../heartbeat/thread-rig.ts";

const nodeId = process.argv[2] ?? "";
const intervalMs = Number(process.argv[3]);
const nonce = randomBytes(16);
const clock = systemClock();
const heartbeat = new ThreadHeartbeat();
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const address = await heartbeat.start(
  { nodeId, nonce, listen: { host: "127.0.0.1", port: 0 } },
  {
    clock,
    intervalMs,
    peersMax: 4,
    count: () => {},
    failed: (error) => say({ failed: error.message }),
  },
);
say({ nodeId, nonce: nonce.toString("hex"), address });

const obey = async (command: HeartbeatCommand): Promise<object> => {
  switch (command.op) {
    case "watch":
      heartbeat.watch({ ...command.peer, nonce: Buffer.from(command.peer.nonce, "hex") });
      return {};
    case "unwatch":
      heartbeat.unwatch(command.nodeId);
      return {};
    case "attend":
      heartbeat.attend(command.nodeId, command.closely);
      return {};
    case "look": {
      const pulse = heartbeat.pulse(command.nodeId);
      const heardMs = pulse === undefined ? -1 : clock.monotonicMs() - pulse.silentMs;
      const sentMs = heartbeat.answeredSentMs();
      return { pulse, heardMs, ...(Number.isFinite(sentMs) ? { answeredSentMs: sentMs } : {}) };
    }
    case "block": {
      const endMs = performance.now() + command.ms;
      while (performance.now() < endMs);
      return {};
    }
    case "stop":
      await heartbeat.stop();
      return {};
    case "leave":
      lines.close();
      process.stdin.destroy();
      return {};
  }
};

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  void obey(JSON.parse(line) as HeartbeatCommand).then(say);
});
