// A durable subscriber goes away; what is published meanwhile waits for it, on the publisher's disk.
// output:
// reader got monday
// reader left
// publisher stopped with 2 pending
// publisher is back
// reader got tuesday
// reader got wednesday
// reader left
// publisher stopped with 0 pending
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNode, event, json } from "meshbus";

const Edition = event("paper.printed", {
  schema: json<{ day: string }>(),
  key: () => "the-paper", // one key: in order, one at a time
});
const [role = "publisher", mesh = `away-${process.pid}`, folder = ""] = process.argv.slice(2);

if (role === "publisher") await publisher(await mkdtemp(join(tmpdir(), "meshbus-away-")));
else await reader(Number(process.argv[5]));

async function publisher(dataDir: string): Promise<void> {
  let node = await createNode({ service: "press", mesh, dataDir: join(dataDir, "press") });
  const first = startReader(dataDir, 1);
  await node.waitFor(Edition); // from here on the press knows the subscription "readers"
  await node.publish(Edition, { day: "monday" });
  await first;

  await node.publish(Edition, { day: "tuesday" });
  await node.publish(Edition, { day: "wednesday" });
  console.log(`publisher stopped with ${(await node.stop()).pending} pending`);

  node = await createNode({ service: "press", mesh, dataDir: join(dataDir, "press") });
  console.log("publisher is back");
  await startReader(dataDir, 2);
  console.log(`publisher stopped with ${(await node.stop()).pending} pending`);
  await rm(dataDir, { recursive: true });
}

async function startReader(dataDir: string, count: number): Promise<void> {
  const child = fork(import.meta.filename, ["reader", mesh, join(dataDir, "reader"), `${count}`]);
  await once(child, "exit");
  console.log("reader left");
}

/** Reads so many editions, then leaves. Its subscription stays: it is durable, and ends by name only. */
async function reader(count: number): Promise<void> {
  const node = await createNode({ service: "readers", mesh, dataDir: folder });
  let read = 0;
  for await (const message of node.messages(Edition, { durable: true, concurrency: 1 })) {
    console.log(`reader got ${message.data.day}`);
    await message.ack();
    if (++read === count) break;
  }
  await node.stop();
}
