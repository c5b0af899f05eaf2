/** `request` and `reply` over the public API: "answer" replies with what it was sent, "ask" measures. */
import { bytes, createNode, json, type MeshNode, query, staticPeers } from "meshbus";
import { linkAddress } from "./link-address.ts";
import { type NumberedJson, numberedBytes, numberedJson } from "./payload.ts";
import { type RoundTrips, timeSequential } from "./quantiles.ts";
import { serve } from "./serve.ts";
import { type Scheme, transportsOf } from "./transports-of.ts";

const EchoBytes = query("bench.echo", { request: bytes(), reply: bytes() });
const EchoJson = query("bench.echo-json", {
  request: json<NumberedJson>(),
  reply: json<NumberedJson>(),
});

/** `scheme`: the transport; default the best both sides have. */
type Opened = { readonly mesh: string; readonly scheme?: Scheme };

let node: MeshNode | undefined;

serve({
  answer: async ({ mesh, scheme }: Opened): Promise<string> => {
    node = await createNode({
      service: "answer",
      mesh,
      dataDir: ":memory:",
      discovery: [],
      ...transportsOf(scheme),
    });
    await node.reply(EchoBytes, (request) => request);
    await node.reply(EchoJson, (request) => request);
    return linkAddress(node);
  },
  open: async ({ mesh, scheme, address }: Opened & { address: string }): Promise<void> => {
    node = await createNode({
      service: "ask",
      mesh,
      dataDir: ":memory:",
      discovery: [staticPeers([address])],
      ...transportsOf(scheme),
    });
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
