/** From createNode to the first answered request, the peer found through mDNS, on fresh data folders. */
import { bytes, createNode, type MeshNode, query } from "meshbus";
import { numberedBytes } from "./payload.ts";
import { serve } from "./serve.ts";

const Echo = query("bench.echo", { request: bytes(), reply: bytes() });

let node: MeshNode | undefined;

serve({
  answer: async ({ mesh, dataDir }: { mesh: string; dataDir: string }): Promise<void> => {
    node = await createNode({ service: "answer", mesh, dataDir });
    await node.reply(Echo, (request) => request);
  },
  /** Milliseconds. */
  ask: async ({ mesh, dataDir }: { mesh: string; dataDir: string }): Promise<number> => {
    const payload = numberedBytes(0, 0);
    const startMs = performance.now();
    node = await createNode({ service: "ask", mesh, dataDir });
    await node.request(Echo, payload);
    return performance.now() - startMs;
  },
  stop: async (): Promise<void> => {
    await node?.stop();
  },
});
