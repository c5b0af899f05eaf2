// Messages with one key keep their order; keys run side by side, also across two processes.
// output:
// ann: placed, paid, packed, shipped
// bob: placed, paid, packed, shipped
// cat: placed, paid, packed, shipped
// dan: placed, paid, packed, shipped
// paid failed once for bob, and what followed waited
import { fork } from "node:child_process";
import { once } from "node:events";
import { createNode, event, json } from "meshbus";

type Step = { readonly order: string; readonly step: string };
const OrderStep = event("order.step", { schema: json<Step>(), key: ({ order }) => order });
const StepDone = event("order.step-done", {
  schema: json<Step & { attempt: number }>(),
  key: ({ order }) => order,
});
const [role = "shop", mesh = `ordered-keys-${process.pid}`] = process.argv.slice(2);
const node = await createNode({ service: role, mesh, dataDir: ":memory:", signals: true });

if (role === "shop") await shop();
else await worker();

async function shop(): Promise<void> {
  const results = node.messages(StepDone);
  await results.start();
  const workers = [1, 2].map(() => fork(import.meta.filename, ["worker", mesh]));
  await Promise.all(workers.map((child) => once(child, "message")));

  const orders = ["ann", "bob", "cat", "dan"];
  for (const step of ["placed", "paid", "packed", "shipped"]) {
    for (const order of orders) await node.publish(OrderStep, { order, step });
  }
  const done: (Step & { attempt: number })[] = [];
  for await (const message of results) {
    done.push(message.data);
    await message.ack();
    if (done.length === 16) break;
  }
  for (const order of orders) {
    const steps = done.filter((one) => one.order === order).map(({ step }) => step);
    console.log(`${order}: ${steps.join(", ")}`);
  }
  for (const { order, step } of done.filter(({ attempt }) => attempt > 1)) {
    console.log(`${step} failed once for ${order}, and what followed waited`);
  }
  for (const child of workers) child.kill("SIGTERM");
  await Promise.all(workers.map((child) => once(child, "exit")));
  await node.stop();
}

async function worker(): Promise<void> {
  await node.waitFor("shop");
  await node.subscribe(OrderStep, async ({ order, step }, ctx) => {
    await new Promise((resolve) => setTimeout(resolve, 20 * Math.random()));
    const { attempt } = ctx.message;
    if (order === "bob" && step === "paid" && attempt === 1) throw new Error("card reader is off");
    ctx.publish(StepDone, { order, step, attempt });
  });
  process.send?.("ready");
  await node.closed;
}
