/** The life of the thread: it keeps nothing alive, and its failure is told. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { ThreadHeartbeat } from "../../src/heartbeat/thread-heartbeat.ts";
import { systemClock } from "../../src/mesh/system-ports.ts";
import type { HeartbeatContext } from "../../src/ports/heartbeat.ts";
import { until } from "../integration/until.ts";
import { ThreadRig } from "./thread-rig.ts";

const self = {
  nodeId: "00000000000000000000",
  nonce: new Uint8Array(16),
  listen: { host: "127.0.0.1", port: 0 },
};

const context = (failures: string[]): HeartbeatContext => ({
  clock: systemClock(),
  intervalMs: 50,
  peersMax: 4,
  count: () => {},
  failed: (error) => failures.push(error.message),
});

describe("the heartbeat's thread", () => {
  const rig = new ThreadRig();
  afterEach(() => rig.end());

  it("does not keep a process alive that has nothing else to do", async () => {
    const node = await rig.start();
    await node.call({ op: "leave" });
    expect(await node.child.ended).toBe(0);
  });

  it("is gone after stop", async () => {
    const node = await rig.start();
    await node.stop();
    await node.call({ op: "leave" });
    expect(await node.child.ended).toBe(0);
  });

  it("that cannot begin makes start fail", async () => {
    const heartbeat = new ThreadHeartbeat(new URL("file:///nowhere/heartbeat-thread.js"));
    await expect(heartbeat.start(self, context([]))).rejects.toThrow("nowhere");
    heartbeat.watch({ nodeId: self.nodeId, nonce: self.nonce, address: "udp://127.0.0.1:1" });
    expect(heartbeat.pulse(self.nodeId)).toBeUndefined();
    await heartbeat.stop();
  });

  it("that ends by itself is told, once", async () => {
    const folder = await mkdtemp(join(tmpdir(), "meshbus-heartbeat-"));
    try {
      const program = join(folder, "dies.mjs");
      await writeFile(
        program,
        `import { parentPort } from "node:worker_threads";
        parentPort.postMessage({ type: "bound", address: "udp://127.0.0.1:1" });
        parentPort.on("message", () => { throw new Error("told to die"); });`,
      );
      const failures: string[] = [];
      const heartbeat = new ThreadHeartbeat(pathToFileURL(program));
      expect(await heartbeat.start(self, context(failures))).toBe("udp://127.0.0.1:1");
      heartbeat.watch({ nodeId: self.nodeId, nonce: self.nonce, address: "udp://127.0.0.1:1" });
      await until("the failure is told", () => failures.length > 0);
      await heartbeat.stop();
      expect(failures).toEqual(["told to die"]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
