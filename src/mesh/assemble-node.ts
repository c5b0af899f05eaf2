/**
 * A node made of given parts: every port is an argument, so that the same node runs on a real machine, in a
 * test, and in a simulation.
 */

import { HybridClock, type HybridTime, MAX_AHEAD_MS } from "../core/hybrid-clock.ts";
import { PIECE_SIZES, type PieceSizes } from "../core/piece-sender.ts";
import { isLoopbackHost } from "../options/names.ts";
import type { ResolvedOptions } from "../options/node-options.ts";
import type { Clock } from "../ports/clock.ts";
import type { Discovery } from "../ports/discovery.ts";
import type { Hash } from "../ports/hash.ts";
import type { Heartbeat } from "../ports/heartbeat.ts";
import type { JournalStore } from "../ports/journal-store.ts";
import type { Logger } from "../ports/logger.ts";
import type { Random } from "../ports/random.ts";
import type { Security } from "../ports/security.ts";
import type { Garbage, Transport } from "../ports/transport.ts";
import { Access } from "../runtime/access.ts";
import type { RefusalHandler } from "../runtime/consumer/declarations.ts";
import { forgetMarks } from "../runtime/consumer/forgotten-marks.ts";
import { Counters } from "../runtime/counters.ts";
import type { Environment } from "../runtime/environment.ts";
import type { Crc32 } from "../runtime/journal/block-format.ts";
import { Journal } from "../runtime/journal/journal.ts";
import { JOURNAL_LIMITS } from "../runtime/journal/journal-options.ts";
import { LargeCopies } from "../runtime/link/large-copies.ts";
import { NodeRuntime } from "../runtime/node-runtime.ts";
import { MeshNode } from "./mesh-node.ts";
import { StatusStream } from "./status-stream.ts";

export type NodeAssembly = {
  readonly options: ResolvedOptions;
  readonly clock: Clock;
  readonly random: Random;
  /** Undefined: the node has no keys, and neither may its peers. */
  readonly security?: Security | undefined;
  readonly logger: Logger;
  readonly hash: Hash;
  readonly crc32: Crc32;
  /** Open; the node closes it, also when it cannot start. */
  readonly store: JournalStore;
  readonly dataDir: string;
  readonly transports: readonly Transport[];
  readonly discovery: readonly Discovery[];
  /** Undefined: what is heard on its links alone says whether a peer lives. */
  readonly heartbeat: Heartbeat | undefined;
  /** Simulations cut smaller frames. */
  readonly pieces?: PieceSizes | undefined;
  readonly garbage?: Garbage | undefined;
};

/** A subscription's oldest messages expire after this. */
const SUBSCRIPTION_AGE_MS = 7 * 24 * 3_600_000;
/** A subscription that is not durable is forgotten so long after its last member left. */
const ORPHAN_MS = 30_000;

/** Opens the journal, listens, looks for peers. @throws MeshError as createNode */
export const assembleNode = async (parts: NodeAssembly): Promise<MeshNode> => {
  const { options, store, logger } = parts;
  const status = new StatusStream();
  const counters = new Counters();
  let runtime: NodeRuntime | undefined;
  let node: MeshNode | undefined;
  try {
    const journal = await Journal.open({
      store,
      clock: parts.clock,
      random: parts.random,
      nodeId: parts.security?.self.nodeId,
      logger,
      crc32: parts.crc32,
      limits: { ...JOURNAL_LIMITS, bytesMax: options.journal.bytesMax },
      onHealth: (failing, error) => runtime?.journalHealth(failing, error),
      onDamage: (info) => {
        counters.count("journal.damagedBlocks");
        const { epoch, firstSeq, bytes } = info;
        status.push({ type: "journal-damaged", epoch, firstSeq, bytes });
      },
    });
    const env = environmentOf(parts, { status, counters, last: lastTimeOf(journal) });
    const { forgetMs } = options.journal;
    forgetMarks(journal, journal.committer, parts.clock.wallMs(), forgetMs);
    runtime = runtimeOf(parts, env, journal, (index, refusal) => node?.refused(index, refusal));
    node = new MeshNode({ runtime, options, dataDir: parts.dataDir, status, logger });
    await runtime.start();
    node.deadLetters.serve();
    return node;
  } catch (error) {
    if (runtime === undefined) await store.close();
    else await runtime.stop();
    throw error;
  }
};

/**
 * The time the last life of this node gave its last message. The clock goes on after it, whatever the wall
 * clock says now: times in a journal must not fall, or a subscription heard of late starts at a wrong place.
 */
const lastTimeOf = (journal: Journal): HybridTime | undefined => {
  const { head } = journal;
  const block = head === undefined ? undefined : journal.recordAt(head)?.block;
  return block && { ms: block.lastTimeMs, counter: block.lastTimeCounter };
};

const environmentOf = (
  parts: NodeAssembly,
  own: { status: StatusStream; counters: Counters; last: HybridTime | undefined },
): Environment => {
  const { options, clock, random, logger, hash, security } = parts;
  const { status, counters, last } = own;
  const isOpen = security === undefined && !isLoopbackHost(options.listen.host);
  if (isOpen) logger.warn("insecure: everybody on the network can join", { ...options.listen });
  return {
    access: security && new Access(security),
    insecure: isOpen,
    clock,
    random,
    hash,
    logger,
    counters,
    hybrid: new HybridClock(MAX_AHEAD_MS, last),
    limits: options.limits,
    peerLimits: options.peerLimits,
    pieces: parts.pieces ?? PIECE_SIZES,
    copies: new LargeCopies(clock),
    garbage: parts.garbage,
    times: {
      heartbeatMs: options.heartbeatMs,
      leaseMs: options.leaseMs,
      rebalanceMs: options.rebalanceMs,
      silenceMs: options.silenceMs,
      stalledMaxMs: options.stalledMaxMs,
      handshakeMs: options.handshakeMs,
      confirmTimeoutMs: options.confirmTimeoutMs,
    },
    report: (change) => status.push(change),
  };
};

const runtimeOf = (
  parts: NodeAssembly,
  env: Environment,
  journal: Journal,
  onRefused: RefusalHandler,
): NodeRuntime => {
  const { options, transports, discovery, heartbeat } = parts;
  const { bytesMax: journalBytesMax, lateMs, lateBytes } = options.journal;
  return new NodeRuntime({
    env,
    journal,
    transports,
    discovery,
    heartbeat,
    mesh: options.mesh,
    service: options.service,
    listen: options.listen,
    advertiseHost: options.advertise.host,
    loopbackOnly: isLoopbackHost(options.listen.host),
    producerLimits: {
      journalBytesMax,
      lateMs,
      lateBytes,
      subscriptionAgeMs: SUBSCRIPTION_AGE_MS,
      orphanMs: ORPHAN_MS,
    },
    retain: options.retain,
    heldMax: options.limits.heldMax,
    membership: options.membership,
    onRefused,
  });
};
