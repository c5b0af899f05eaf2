// Competing consumers: a job goes to whichever worker is free. One worker is killed while it works.
// output:
// 3 workers are ready
// w1 was killed in the middle of a job
// pages done: 1 2 3 4 5 6 7 8 9 10 11 12
// done twice: none
// worked: w2 w3
import { type ChildProcess, fork } from "node:child_process";
import { on, once } from "node:events";
import { command, createNode, event, json } from "meshbus";

const RenderPage = command("page.render", { schema: json<{ page: number }>() });
const PageRendered = event("page.rendered", { schema: json<{ page: number; worker: string }>() });
const [role = "office", mesh = `work-queue-${process.pid}`, worker = ""] = process.argv.slice(2);
const node = await createNode({ service: role, mesh, dataDir: ":memory:", signals: true });

if (role === "office") await office();
else await renderer();

async function office(): Promise<void> {
  const results = node.messages(PageRendered);
  await results.start();
  const workers = ["w1", "w2", "w3"].map((name) =>
    fork(import.meta.filename, ["renderer", mesh, name]),
  );
  await Promise.all(workers.map((child) => said(child, "ready")));
  console.log(`${workers.length} workers are ready`);

  const busy = said(workers[0], "busy");
  for (let page = 1; page <= 12; page++) await node.send(RenderPage, { page });
  await busy;
  workers[0]?.kill("SIGKILL");
  console.log("w1 was killed in the middle of a job");

  const done: { page: number; worker: string }[] = [];
  for await (const message of results) {
    done.push(message.data);
    await message.ack();
    if (done.length === 12) break;
  }
  const pages = done.map(({ page }) => page).sort((a, b) => a - b);
  const twice = pages.filter((page, at) => pages.indexOf(page) !== at);
  console.log(`pages done: ${pages.join(" ")}`);
  console.log(`done twice: ${twice.join(" ") || "none"}`);
  console.log(`worked: ${[...new Set(done.map((one) => one.worker))].sort().join(" ")}`);

  for (const child of workers.slice(1)) child.kill("SIGTERM");
  await Promise.all(workers.slice(1).map((child) => once(child, "exit")));
  await node.stop();
}

async function renderer(): Promise<void> {
  await node.waitFor("office");
  await node.handle(
    RenderPage,
    async ({ page }, ctx) => {
      if (worker === "w1") {
        process.send?.("busy");
        await new Promise(() => {}); // never done: it will be killed
      }
      await new Promise((resolve) => setTimeout(resolve, 20)); // the work
      ctx.publish(PageRendered, { page, worker }); // leaves once, also if a job should run twice
    },
    { distribution: "any", concurrency: 1, prefetch: 1 },
  );
  process.send?.("ready");
  await node.closed;
}

/** Resolves when the child has sent this message. */
async function said(child: ChildProcess | undefined, word: string): Promise<void> {
  if (child === undefined) return;
  for await (const [message] of on(child, "message")) if (message === word) return;
}
