import { afterEach, describe, expect, it } from "vitest";
import { createNode, event, json, type MeshNode } from "../../src/index.ts";

const Job = event("job.added", { schema: json<{ n: number }>(), key: () => "one" });
/** Every message has to fail by its time-out where the stream does not give it back: far away. */
const options = { durable: true, timeoutMs: 600_000 } as const;

let node: MeshNode | undefined;
const start = async (): Promise<MeshNode> => {
  node = await createNode({
    service: "reader",
    dataDir: ":memory:",
    discovery: [],
    heartbeatThread: false,
  });
  return node;
};

describe("leaving the loop over messages", () => {
  afterEach(() => node?.stop());

  it("gives back at once what was not settled, and counts no attempt", async () => {
    const running = await start();
    const first = running.messages(Job, options);
    await first.start();
    await running.publishMany(Job, [{ n: 1 }, { n: 2 }, { n: 3 }]);
    for await (const message of first) {
      expect(message.data.n).toBe(1);
      break; // without a word
    }
    const seen: string[] = [];
    for await (const message of running.messages(Job, options)) {
      const { data, ctx } = message;
      seen.push(`${data.n} attempt ${ctx.message.attempt}`);
      await message.ack();
      if (data.n === 3) break;
    }
    expect(seen).toEqual(["1 attempt 1", "2 attempt 1", "3 attempt 1"]);
  });

  it("does not keep stop() waiting for a message that nobody settled", async () => {
    const running = await start();
    const stream = running.messages(Job, options);
    await stream.start();
    await running.publishMany(Job, [{ n: 1 }, { n: 2 }]);
    await stream.next();
    const report = await running.stop({ drainMs: 600_000 });
    expect(report.pending).toBe(2);
  });
});

describe("a message of the loop", () => {
  afterEach(() => node?.stop());

  it("is settled once", async () => {
    const running = await start();
    const stream = running.messages(Job, options);
    await stream.start();
    await running.publish(Job, { n: 1 });
    for await (const message of stream) {
      await message.ack();
      await expect(message.nack()).rejects.toMatchObject({ code: "ALREADY_SETTLED" });
      break;
    }
  });

  it("is not handed out after its time, and comes again as the next attempt", async () => {
    const running = await start();
    const retry = { attempts: 1_000_000, baseMs: 0, capMs: 0 };
    const stream = running.messages(Job, { ...options, timeoutMs: 50, abandonMs: 600_000, retry });
    await stream.start();
    await running.publish(Job, { n: 1 });
    await untilTimeouts(running, 2);
    const { value: message } = await stream.next();
    expect(message?.ctx.message.attempt).toBeGreaterThan(1);
    expect(message?.ctx.signal.aborted).toBe(false);
    await message?.ack();
  });
});

const untilTimeouts = async (running: MeshNode, count: number): Promise<void> => {
  const deadlineMs = performance.now() + 60_000;
  while ((running.counters()["handler.timeouts"] ?? 0) < count) {
    if (performance.now() > deadlineMs) throw new Error(`fewer than ${count} time-outs in 60 s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
