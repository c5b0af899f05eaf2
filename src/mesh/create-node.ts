/** The composition root: the one place that knows every implementation. */
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { HybridClock } from "../core/hybrid-clock.ts";
import { mdns } from "../discovery/mdns/mdns.ts";
import { MeshError } from "../errors.ts";
import { lmdbEngine } from "../journal/lmdb/lmdb-engine.ts";
import { memoryEngine } from "../journal/memory/memory-engine.ts";
import { isLoopbackHost } from "../options/names.ts";
import type { NodeOptions, ResolvedOptions } from "../options/node-options.ts";
import { resolveOptions } from "../options.ts";
import type { JournalStore } from "../ports/journal-store.ts";
import { Counters } from "../runtime/counters.ts";
import type { Environment } from "../runtime/environment.ts";
import { Journal } from "../runtime/journal/journal.ts";
import { JOURNAL_LIMITS } from "../runtime/journal/journal-options.ts";
import { NodeRuntime } from "../runtime/node-runtime.ts";
import { zeromq } from "../transport/zeromq/zeromq-transport.ts";
import { MeshNode } from "./mesh-node.ts";
import { StatusStream } from "./status-stream.ts";
import { stderrLogger, systemClock, systemRandom, xxh32 } from "./system-ports.ts";

/** A subscription's oldest messages expire after this. */
const SUBSCRIPTION_AGE_MS = 7 * 24 * 3_600_000;
/** A subscription that is not durable is forgotten so long after its last member left. */
const ORPHAN_MS = 30_000;
const DIRECTORIES_MAX = 1_000;

/**
 * Starts a node: opens its journal, listens, finds peers. Resolves when it can be used; peers come when
 * they come.
 * @throws MeshError INVALID_OPTIONS, INSECURE_LISTEN, ADDRESS_IN_USE, JOURNAL_LOCKED, JOURNAL_DAMAGED,
 *   DISK_FULL
 */
export const createNode = async (input: NodeOptions): Promise<MeshNode> => {
  const options = resolveOptions(input);
  const clock = options.clock ?? systemClock();
  const random = options.random ?? systemRandom();
  const logger = options.logger ?? stderrLogger();
  const hash = await xxh32();
  const status = new StatusStream();
  const { limits } = options;
  const env: Environment = {
    clock,
    random,
    hash,
    logger,
    counters: new Counters(),
    hybrid: new HybridClock(),
    limits,
    times: {
      heartbeatMs: options.heartbeatMs,
      leaseMs: options.leaseMs,
      silenceMs: options.silenceMs,
      handshakeMs: options.handshakeMs,
      confirmTimeoutMs: options.confirmTimeoutMs,
    },
    report: (change) => status.push(change),
  };
  const { store, dataDir } = await openStore(options);
  let runtime: NodeRuntime | undefined;
  let node: MeshNode | undefined;
  try {
    const journal = await Journal.open({
      store,
      clock,
      random,
      logger,
      crc32: (bytes) => crc32(bytes),
      limits: { ...JOURNAL_LIMITS, bytesMax: options.journal.bytesMax },
      onHealth: (failing, error) => runtime?.journalHealth(failing, error),
      onDamage: (info) => {
        env.counters.count("journal.damagedBlocks");
        const { epoch, firstSeq, bytes } = info;
        status.push({ type: "journal-damaged", epoch, firstSeq, bytes });
      },
    });
    runtime = new NodeRuntime({
      env,
      journal,
      transports: options.transports ?? [zeromq()],
      discovery: options.discovery ?? [mdns()],
      mesh: options.mesh,
      service: options.service,
      listen: options.listen,
      advertiseHost: options.advertise.host,
      loopbackOnly: isLoopbackHost(options.listen.host),
      producerLimits: {
        journalBytesMax: options.journal.bytesMax,
        lateMs: options.journal.lateMs,
        lateBytes: options.journal.lateBytes,
        subscriptionAgeMs: SUBSCRIPTION_AGE_MS,
        orphanMs: ORPHAN_MS,
      },
      retain: options.retain,
      heldMax: limits.heldMax,
      onRefused: (index, refusal) => node?.refused(index, refusal),
    });
    node = new MeshNode({ runtime, options, dataDir, status, logger });
    await runtime.start();
    node.deadLetters.serve();
  } catch (error) {
    if (runtime === undefined) await store.close();
    else await runtime.stop();
    throw error;
  }
  if (options.signals) stopOnSignals(node);
  return node;
};

const openStore = async (
  options: ResolvedOptions,
): Promise<{ store: JournalStore; dataDir: string }> => {
  const { bytesMax } = options.journal;
  // The log's limit is the journal's; marks, dead letters and the rest come on top.
  const limits = { bytesMax: bytesMax * 2 };
  if (options.dataDir !== undefined) {
    const { dataDir } = options;
    const engine = dataDir === ":memory:" ? memoryEngine() : lmdbEngine();
    return { store: await engine.open({ dataDir, ...limits }), dataDir };
  }
  for (let n = 1; n <= DIRECTORIES_MAX; n++) {
    const dataDir = join(".meshbus", options.service, String(n));
    try {
      return { store: await lmdbEngine().open({ dataDir, ...limits }), dataDir };
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
