// A question, its answer, and the two ways in which there is none.
// output:
// shop: 3 x apple costs 12
// shop: REMOTE_ERROR: "pricing.quote" failed: UnknownSku: no price for "pear"
// shop: NO_HANDLER: nobody answered "stock.count" before its time-out
import { fork } from "node:child_process";
import { once } from "node:events";
import { createNode, json, MeshError, query } from "meshbus";

const Quote = query("pricing.quote", {
  request: json<{ sku: string; count: number }>(),
  reply: json<{ total: number }>(),
});
const [role = "shop", mesh = `request-reply-${process.pid}`] = process.argv.slice(2);
const node = await createNode({
  service: role,
  mesh,
  dataDir: ":memory:",
  signals: true, // SIGTERM stops it, draining
  logger: { debug() {}, info() {}, warn() {}, error: console.error },
});

if (role === "pricing") {
  const prices = new Map([["apple", 4]]);
  await node.reply(Quote, ({ sku, count }) => {
    const price = prices.get(sku);
    if (price === undefined) {
      throw Object.assign(new Error(`no price for "${sku}"`), { name: "UnknownSku" });
    }
    return { total: price * count };
  });
  await node.closed;
} else {
  const pricing = fork(import.meta.filename, ["pricing", mesh]);

  // Waits for somebody who answers, at most timeoutMs. Sent once.
  const { total } = await node.request(Quote, { sku: "apple", count: 3 }, { timeoutMs: 20_000 });
  console.log(`shop: 3 x apple costs ${total}`);

  await node.request(Quote, { sku: "pear", count: 1 }).catch(explain);
  await node.request("stock.count", { sku: "apple" }, { timeoutMs: 200 }).catch(explain);

  pricing.kill("SIGTERM");
  await once(pricing, "exit");
  await node.stop();
}

function explain(error: unknown): void {
  if (!MeshError.is(error)) throw error;
  console.log(`shop: ${error.code}: ${error.message}`);
}
