/** `request` and `reply` over the public API: "answer" replies with what it was sent, "ask" measures. */
import { bytes, createNode, json, type MeshNode, query, staticPeers } from "meshbus";
import { linkAddress } from "./link-address.ts";
import { type NumberedJson, numberedBytes, numberedJson } from "./payload.ts";
import { type RoundTrips, timeSequential } from "./quantiles.ts";
import { serve } from "./serve.ts";

const EchoBytes = query("bench.echo", { request: bytes(), reply: bytes() });
const EchoJson = query("bench.echo-json", {
  request: json<NumberedJson>(),
  reply: json<NumberedJson>(),
});

let node: MeshNode | undefined;

serve({
  answer: async ({ mesh, scheme }: { mesh: string; scheme?: string }): Promise<string> => {
    node = await createNode({ service: "answer", mesh, dataDir: ":memory:", discovery: [] });
    await node.reply(EchoBytes, (request) => request);
    await node.reply(EchoJson, (request) => request);
    return linkAddress(node, scheme);
  },
  open: async ({ mesh, address }: { mesh: string; address: string }): Promise<void> => {
    const discovery = [staticPeers([address])];
    node = await createNode({ service: "ask", mesh, dataDir: ":memory:", discovery });
    await node.waitFor(EchoBytes);
    await node.waitFor(EchoJson);
  },
  ask: ({ count, codec }: { count: number; codec: "bytes" | "json" }): Promise<RoundTrips> => {
    const asker = node as MeshNode;
    let sequence = 0;
    return codec === "bytes"
      ? timeSequential(count, () => asker.request(EchoBytes, numberedBytes(0, sequence++)))
      : timeSequential(count, () => asker.request(EchoJson, numberedJson(0, sequence++)));
  },
  stop: async (): Promise<void> => {
    await node?.stop();
  },
});
