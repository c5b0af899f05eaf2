/** A process's side of the pipe: lines out at once, orders in. */
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import type { MeshNode } from "meshbus";
import { nowMs, type Order, type Told } from "./chaos-record.ts";

const BEAT_MS = 100;
/** Less than a lease. */
const STALL_MS = 500;

/** Returns when the line is in the pipe: from then on it is known, whatever becomes of this process. */
export const tell = (told: Told): void => {
  let bytes = Buffer.from(`${JSON.stringify(told)}\n`);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(1, bytes));
    } catch (error) {
      if ((error as { code?: string }).code !== "EAGAIN") throw error;
    }
  }
};

/** Without the process that reads the history there is nothing to do: this one ends with it. */
export const onOrder = (obey: (order: Order) => void): void => {
  createInterface({ input: process.stdin })
    .on("line", (line) => obey(JSON.parse(line) as Order))
    .on("close", () => process.exit(1));
};

/** On a busy machine processes stand still although nobody paused them. */
export const tellStalls = (): void => {
  let lastMs = nowMs();
  setInterval(() => {
    const atMs = nowMs();
    if (atMs - lastMs > STALL_MS) tell({ e: "stalled", atMs, fromMs: lastMs });
    lastMs = atMs;
  }, BEAT_MS);
};

/** Who is linked with this node, from now on until it stops. */
export const tellPeers = async (node: MeshNode): Promise<void> => {
  const changes = node.status(); // before the look: nothing falls between the two
  for (const { nodeId, transport } of node.peers()) {
    if (transport !== "") tell({ e: "peer", atMs: nowMs(), peer: nodeId, linked: true });
  }
  for await (const change of changes) {
    if (change.type !== "peer-up" && change.type !== "peer-down") continue;
    tell({ e: "peer", atMs: nowMs(), peer: change.nodeId, linked: change.type === "peer-up" });
  }
};
