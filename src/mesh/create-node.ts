/** The composition root: the one place that knows every implementation. */
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { mdns } from "../discovery/mdns/mdns.ts";
import { MeshError } from "../errors.ts";
import { ThreadHeartbeat } from "../heartbeat/thread-heartbeat.ts";
import { lmdbEngine } from "../journal/lmdb/lmdb-engine.ts";
import { memoryEngine } from "../journal/memory/memory-engine.ts";
import { walEngine } from "../journal/wal/wal-engine.ts";
import type { NodeOptions, ResolvedOptions } from "../options/node-options.ts";
import { resolveOptions } from "../options.ts";
import type { JournalEngine, JournalStore } from "../ports/journal-store.ts";
import type { Security } from "../ports/security.ts";
import { rowsRefusedByOlder } from "../runtime/journal/recovery.ts";
import { stream } from "../transport/stream/stream-transport.ts";
import { zeromq } from "../transport/zeromq/zeromq-transport.ts";
import { assembleNode } from "./assemble-node.ts";
import type { MeshNode } from "./mesh-node.ts";
import { stderrLogger, systemClock, systemRandom, xxh32 } from "./system-ports.ts";
import { YoungGarbage } from "./young-garbage.ts";

/** Data folders tried when none is given. */
const DIRECTORIES_MAX = 1_000;

/**
 * Starts a node: opens its journal, listens, finds peers. Resolves when it can be used; peers come when
 * they come.
 * @throws MeshError INVALID_OPTIONS, INVALID_KEYS, INSECURE_LISTEN, ADDRESS_IN_USE, JOURNAL_LOCKED,
 *   JOURNAL_DAMAGED, DISK_FULL
 */
export const createNode = async (input: NodeOptions): Promise<MeshNode> => {
  const options = resolveOptions(input);
  const security = await securityOf(options);
  const hash = await xxh32();
  const { store, dataDir } = await openStore(options);
  const node = await assembleNode({
    options,
    clock: options.clock ?? systemClock(),
    random: options.random ?? systemRandom(),
    security,
    logger: options.logger ?? stderrLogger(),
    hash,
    crc32: (bytes) => crc32(bytes),
    store,
    dataDir,
    transports: options.transports ?? [zeromq(), stream()],
    discovery: options.discovery ?? [mdns()],
    garbage: new YoungGarbage(),
    heartbeat: options.heartbeatThread ? new ThreadHeartbeat() : undefined,
  });
  if (options.signals) stopOnSignals(node);
  return node;
};

/**
 * Loaded when it is needed: a node without keys reads no certificate.
 * @throws MeshError INVALID_KEYS
 */
const securityOf = async ({
  security,
  mesh,
  service,
}: ResolvedOptions): Promise<Security | undefined> => {
  if (security === undefined) return undefined;
  const isFolder = typeof security === "string";
  const loaded = isFolder
    ? (await import("../security/load-security.ts")).loadSecurity(security)
    : security;
  const { self } = loaded;
  if (self.mesh === mesh && self.service === service) return loaded;
  const certified = `service "${self.service}" in mesh "${self.mesh}"`;
  const message = `the certificate is for ${certified}, this node is "${service}" in "${mesh}"`;
  throw new MeshError("INVALID_KEYS", `${message}: issue one for it`);
};

const diskEngine = (): JournalEngine =>
  walEngine(lmdbEngine(), { refusedAlone: (below) => rowsRefusedByOlder(below, crc32) });

const openStore = async (
  options: ResolvedOptions,
): Promise<{ store: JournalStore; dataDir: string }> => {
  const { bytesMax } = options.journal;
  // The log's limit is the journal's; marks, dead letters and the rest come on top.
  const limits = { bytesMax: bytesMax * 2 };
  if (options.dataDir !== undefined) {
    const { dataDir } = options;
    const engine = dataDir === ":memory:" ? memoryEngine() : diskEngine();
    return { store: await engine.open({ dataDir, ...limits }), dataDir };
  }
  for (let n = 1; n <= DIRECTORIES_MAX; n++) {
    const dataDir = join(".meshbus", options.service, String(n));
    try {
      return { store: await diskEngine().open({ dataDir, ...limits }), dataDir };
    } catch (error) {
      if (!MeshError.is(error, "JOURNAL_LOCKED")) throw error;
    }
  }
  throw new MeshError(
    "JOURNAL_LOCKED",
    `.meshbus/${options.service}/1 to ${DIRECTORIES_MAX} are all in use; give a dataDir`,
  );
};

const stopOnSignals = (node: MeshNode): void => {
  const stop = (): void => void node.stop();
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  void node.closed.then(() => {
    process.removeListener("SIGTERM", stop);
    process.removeListener("SIGINT", stop);
  });
};
