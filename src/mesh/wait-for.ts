/** `node.waitFor()`: until a service is linked, or somebody live handles a contract. */
import type { AnyContract } from "../contract/contract.ts";
import { MeshError } from "../errors.ts";
import type { NodeRuntime } from "../runtime/node-runtime.ts";

export type WaitOptions = { readonly timeoutMs?: number; readonly signal?: AbortSignal };

const POLL_MS = 5;
const TIMEOUT_MS = 30_000;

export const waitFor = async (
  runtime: NodeRuntime,
  what: string | AnyContract,
  { timeoutMs = TIMEOUT_MS, signal }: WaitOptions,
  isStopping: () => boolean,
): Promise<void> => {
  const { clock } = runtime.env;
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  while (!isThere(runtime, what)) {
    if (signal?.aborted) throw new MeshError("ABORTED", "the caller's signal fired");
    if (isStopping()) throw new MeshError("STOPPED", "the node has stopped");
    if (clock.monotonicMs() >= deadlineMs) {
      const name = typeof what === "string" ? `service "${what}"` : `"${what.subject}"`;
      throw new MeshError("TIMEOUT", `${name} did not appear within ${timeoutMs} ms`);
    }
    await new Promise<void>((resolve) => void clock.setTimer(POLL_MS, resolve));
  }
};

const isThere = (
  { journal, links, requests, producer }: NodeRuntime,
  what: string | AnyContract,
): boolean => {
  if (typeof what === "string") {
    const own = journal.nodeId;
    return [...links.live()].some(({ service, nodeId }) => service === what && nodeId !== own);
  }
  if (what.kind === "query") return requests.hasHandler(what.subject);
  const states = producer.table.matching(what.kind === "command" ? 1 : 0, what.subject);
  return states.some((state) => state.outlets.size > 0);
};
