/** A node with nothing to do, on embedded defaults: lmdb, ZeroMQ, mDNS. */
import { createNode, type MeshNode } from "meshbus";
import { processMemory } from "./process-memory.ts";
import { serve } from "./serve.ts";

let node: MeshNode | undefined;

serve({
  open: async ({ mesh, dataDir }: { mesh: string; dataDir: string }): Promise<void> => {
    node = await createNode({ service: "idle", mesh, dataDir });
  },
  memory: () => processMemory(),
  stop: async (): Promise<void> => {
    await node?.stop();
  },
});
