// Two programs in Python take part: one through a gateway, one that speaks the wire itself, over ZeroMQ.
// output:
// shop: python quotes 12 for 3 apples
// shop: python billed o-1, 12 due
// shop: python mailed o-1 to Ada
// shop: audit, over ZeroMQ, saw {"order":{"id":"o-1","total":12},"level":7}
// shop: audit acked 1 of 1, billing acked 1 of 1
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createNode } from "meshbus";
import { serveGateway } from "meshbus/gateway";
import { missingForPython, PYTHON } from "./find-python.ts";

const missing = missingForPython();
if (missing !== undefined) {
  console.error(missing);
  process.exit(1);
}

const FOLDER = new URL(import.meta.url.replace("/.build/", "/").replace(/[^/]*$/, ""));
const mesh = `python-${process.pid}`;
const quiet = { debug() {}, info() {}, warn() {}, error: console.error };
const options = { mesh, dataDir: ":memory:", logger: quiet };
const shop = await createNode({ service: "shop", ...options });
// The gateway is a node like any other, wherever the program beside it runs.
const edge = await createNode({ service: "edge", ...options });
const gateway = await serveGateway(edge);

await shop.reply("address.of", () => "Ada");
await shop.reply("stock.level", () => 7);
const invoices = shop.messages("invoice.sent");
const mails = shop.messages("mail.sent");
const audits = shop.messages("audit.seen");
await Promise.all([invoices.start(), mails.start(), audits.start()]);

const program = run("gateway_program.py", gateway.address.replace("grpc://", ""));
await program.says("ready");
const price = await shop.request("price.quote", { sku: "apple", count: 3 }, { timeoutMs: 20_000 });
console.log(`shop: python quotes ${price} for 3 apples`);

const zmq = shop.addresses.find((address) => address.startsWith("zmq://")) ?? "";
const audit = run("direct_program.py", zmq, mesh);
await audit.says("subscribed");

await shop.publish("order.placed", { id: "o-1", total: price }, { key: "o-1" });
const invoice = (await next(invoices)) as { order: string; due: number };
console.log(`shop: python billed ${invoice.order}, ${invoice.due} due`);

await shop.send("mail.send", { order: "o-1" });
const mail = (await next(mails)) as { order: string; to: string };
console.log(`shop: python mailed ${mail.order} to ${mail.to}`);
console.log(`shop: audit, over ZeroMQ, saw ${JSON.stringify(await next(audits))}`);

program.stop();
await Promise.all([program.exited, audit.exited]);
const books = ["audit", "billing"].map((group) => {
  const { acked, accepted } = shop.ledger()[`event ${group} order.placed`] ?? {};
  return `${group} acked ${acked} of ${accepted}`;
});
console.log(`shop: ${books.join(", ")}`);
await Promise.all([shop.stop(), edge.stop()]);

function run(file: string, ...args: string[]) {
  const path = fileURLToPath(new URL(file, FOLDER));
  const child = spawn(PYTHON, ["-B", path, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  return {
    exited: once(child, "exit"),
    stop: () => child.stdin.end(),
    says: async (words: string): Promise<void> => {
      for await (const line of createInterface({ input: child.stdout })) {
        if (line === words) return;
      }
      throw new Error(`${file} ended before it said "${words}"`);
    },
  };
}

async function next(messages: typeof invoices): Promise<unknown> {
  const { value } = await messages.next();
  await value?.ack();
  return value?.data;
}
