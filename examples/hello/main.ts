// Two services in two processes, and no server between them.
// output:
// listener heard: hello, mesh
// greeter: nothing is pending
import { fork } from "node:child_process";
import { once } from "node:events";
import { createNode, event, json } from "meshbus";

const Greeting = event("greeting.said", { schema: json<{ text: string }>() });
const [role = "greeter", mesh = `hello-${process.pid}`] = process.argv.slice(2);
const node = await createNode({ service: role, mesh, dataDir: ":memory:" });

if (role === "greeter") {
  const listener = fork(import.meta.filename, ["listener", mesh]);
  await node.waitFor(Greeting); // until somebody listens; they find each other over mDNS
  await node.publish(Greeting, { text: "hello, mesh" });
  await once(listener, "exit");
  const { pending } = await node.stop();
  console.log(`greeter: ${pending === 0 ? "nothing" : pending} is pending`);
} else {
  for await (const message of node.messages(Greeting)) {
    console.log(`listener heard: ${message.data.text}`);
    await message.ack();
    break;
  }
  await node.stop();
}
