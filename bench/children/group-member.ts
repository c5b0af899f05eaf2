/**
 * A member of a group with keyed messages. It tells of each handler that begins, once a turn: what a killed
 * member did is known but for its last turn.
 */
import { createNode, type MeshNode } from "meshbus";
import { GROUP, Keyed, readKeyed } from "./keyed-payload.ts";
import { nowNs } from "./process-time.ts";
import { serve, tell } from "./serve.ts";

export type MemberOpen = {
  readonly mesh: string;
  readonly dataDir: string;
  /** How long a handler takes; 0: it returns at once. */
  readonly handleMs: number;
};

/** Handlers that began, four numbers each: key, number, due, begun (both microseconds, monotonic). */
export type Begun = readonly number[];

let node: MeshNode | undefined;
let begun: number[] = [];

const began = (payload: Uint8Array): void => {
  const { key, number, dueUs } = readKeyed(payload);
  if (begun.length === 0) {
    setImmediate(() => {
      tell(begun satisfies Begun);
      begun = [];
    });
  }
  begun.push(key, number, dueUs, Math.round(nowNs() / 1_000));
};

serve({
  join: async ({ mesh, dataDir, handleMs }: MemberOpen): Promise<void> => {
    node = await createNode({ service: "sink", mesh, dataDir });
    await node.subscribe(
      Keyed,
      (payload) => {
        began(payload);
        if (handleMs === 0) return undefined;
        return new Promise<void>((resolve) => void setTimeout(resolve, handleMs));
      },
      { group: GROUP, durable: true },
    );
  },
  counters: () => node?.counters(),
  stop: async (): Promise<void> => {
    await node?.stop();
  },
});
