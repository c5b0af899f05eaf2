/**
 * The ways in which a node hears of peers, all at once.
 *
 * Invariant: none of them can stop the node's start: whatever goes wrong is counted, logged and reported.
 */
import { MeshError } from "../errors.ts";
import type { Announcement, Discovery, PeerHint } from "../ports/discovery.ts";
import type { Environment } from "./environment.ts";

export type DiscoveryHost = {
  readonly env: Environment;
  found(peer: PeerHint): void;
  /** A discovery says that the peer is gone. */
  forgotten(nodeId: string): void;
};

export const startDiscoveries = async (
  { env, found, forgotten }: DiscoveryHost,
  sources: readonly Discovery[],
  self: Announcement,
): Promise<void> => {
  const { clock, random, logger, counters } = env;
  const security = env.access?.security;
  const context = {
    self,
    ...(security === undefined ? {} : { security, secrets: () => security.meshSecrets }),
    clock,
    random,
    logger,
    count: (name: string) => counters.count(name),
  };
  const start = async (source: Discovery): Promise<void> => {
    const problem = (error: MeshError): void => {
      counters.count(`discovery.${source.name}.problem`);
      logger.warn("discovery problem", { source: source.name, error: error.message });
      env.report({ type: "discovery-problem", source: source.name, message: error.message });
    };
    try {
      await source.start(context, { found, lost: forgotten, problem });
    } catch (error) {
      problem(asProblem(source.name, error));
    }
  };
  await Promise.all(sources.map(start));
};

const asProblem = (source: string, error: unknown): MeshError => {
  if (MeshError.is(error)) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new MeshError("OUTCOME_UNKNOWN", `discovery "${source}" did not start: ${why}`, {
    cause: error,
  });
};
