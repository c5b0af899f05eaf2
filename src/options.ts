/**
 * Options of createNode(): checked, completed and frozen in this one place. Inner code never
 * defaults.
 *
 * Every wrong option is named in one INVALID_OPTIONS, with its range; defaults that follow from
 * another option (leaseMs, silenceMs, limits.frameBytesMax, journal.lateBytes) are computed here
 * too. What to use where no discovery, transport, logger, clock or randomness is given, the
 * composition root decides.
 */
import type { RetryPolicy } from "./core/retry-schedule.ts";
import { ENVELOPE_OVERHEAD_BYTES, FIXED_BOUNDS, NODE_BOUNDS } from "./options/bounds.ts";
import { assertListenAllowed, HOST_RULE } from "./options/listen-rule.ts";
import { isHost, isName, NAME_RULE } from "./options/names.ts";
import type { ResolvedOptions } from "./options/node-options.ts";
import { OptionReader } from "./options/option-reader.ts";
import { readRetry } from "./options/read-retry.ts";
import type { Clock } from "./ports/clock.ts";
import type { Discovery } from "./ports/discovery.ts";
import type { Logger } from "./ports/logger.ts";
import type { Random } from "./ports/random.ts";
import type { Security } from "./ports/security.ts";
import type { Transport } from "./ports/transport.ts";

const KNOWN: readonly string[] = Object.freeze([
  "service",
  "mesh",
  "dataDir",
  "listen.host",
  "advertise.host",
  "discovery",
  "transports",
  "journal.whenFull",
  "signals",
  "security",
  "insecure",
  "heartbeatThread",
  "membership",
  "logger",
  "clock",
  "random",
  ...Object.keys(NODE_BOUNDS),
]);

const RETRY_DEFAULT: RetryPolicy = Object.freeze({
  attempts: NODE_BOUNDS["retry.attempts"].default,
  baseMs: NODE_BOUNDS["retry.baseMs"].default,
  capMs: NODE_BOUNDS["retry.capMs"].default,
});

/**
 * @throws MeshError INVALID_OPTIONS (details.problems: [{ option, message }]); INSECURE_LISTEN when
 *   everything else is right
 */
export const resolveOptions = (input: unknown): ResolvedOptions => {
  const reader = new OptionReader("createNode()", input, KNOWN);
  const limits = readLimits(reader.section("limits"));
  const resolved: ResolvedOptions = Object.freeze({
    service: readService(reader),
    mesh: reader.text("mesh", isName, NAME_RULE) ?? "default",
    dataDir: reader.text("dataDir", isPath, PATH_RULE),
    listen: readListen(reader.section("listen")),
    advertise: Object.freeze({
      host: reader.section("advertise").text("host", isHost, HOST_RULE),
    }),
    discovery: readDiscovery(reader),
    transports: readTransports(reader),
    journal: readJournal(reader.section("journal"), limits.payloadBytesMax),
    retain: readRetain(reader.section("retain")),
    signals: reader.flag("signals", false),
    security: readSecurity(reader),
    insecure: reader.flag("insecure", false),
    heartbeatThread: reader.flag("heartbeatThread", true),
    membership: reader.oneOf("membership", ["lan", "default", "wan"], "default"),
    logger: reader.part<Logger>("logger", ["debug", "info", "warn", "error"]),
    clock: reader.part<Clock>("clock", CLOCK_METHODS),
    random: reader.part<Random>("random", ["bytes", "fraction"]),
    limits,
    peerLimits: readPeerLimits(reader.section("peerLimits")),
    retry: readRetry(reader.section("retry"), RETRY_DEFAULT),
    ...readTimes(reader),
  });
  reader.finish();
  const hasKeys = resolved.security !== undefined;
  assertListenAllowed(resolved.listen.host, hasKeys || resolved.insecure, "this node");
  return resolved;
};

const CLOCK_METHODS = ["wallMs", "monotonicMs", "setTimer", "clearTimer", "endOfTurn"];
const PATH_RULE = `a path of 1 to ${FIXED_BOUNDS.pathBytesMax} B, or ":memory:"`;

const isPath = (text: string): boolean =>
  text.length > 0 && Buffer.byteLength(text) <= FIXED_BOUNDS.pathBytesMax && !text.includes("\0");

const readService = (reader: OptionReader): string => {
  if (reader.raw("service") === undefined)
    reader.fail("service", `is missing, must be ${NAME_RULE}`);
  return reader.text("service", isName, NAME_RULE) ?? "";
};

const readListen = (section: OptionReader): ResolvedOptions["listen"] =>
  Object.freeze({
    host: section.text("host", isHost, HOST_RULE) ?? "127.0.0.1",
    port: section.integer("port", NODE_BOUNDS["listen.port"]),
  });

const readDiscovery = (reader: OptionReader): readonly Discovery[] | undefined =>
  reader.parts<Discovery>("discovery", ["start", "stop"], 0, FIXED_BOUNDS.discoveryMax);

const readTransports = (reader: OptionReader): readonly Transport[] | undefined => {
  const methods = ["start", "listen", "dial", "stop"];
  const transports = reader.parts<Transport>("transports", methods, 1, FIXED_BOUNDS.transportsMax);
  const schemes = (transports ?? []).map((transport) => transport?.scheme);
  const twice = schemes.find((scheme, index) => scheme && schemes.indexOf(scheme) !== index);
  if (twice !== undefined) reader.fail("transports", `has scheme "${twice}" twice, each only once`);
  return transports;
};

/** A folder, or the port: that it does what the port says, its user vouches for. */
const readSecurity = (reader: OptionReader): ResolvedOptions["security"] => {
  const keys = (reader.raw("security") as { keys?: unknown } | undefined)?.keys;
  if (keys === undefined) {
    return reader.part<Security>("security", ["start", "stop", "tls", "sign", "verify", "recheck"]);
  }
  if (typeof keys === "string" && keys !== ":memory:" && isPath(keys)) return keys;
  reader.fail("security", `has keys ${String(keys).slice(0, 80)}, must be a path of a folder`);
  return undefined;
};

const readJournal = (
  section: OptionReader,
  payloadBytesMax: number,
): ResolvedOptions["journal"] => {
  const bytesMax = section.integer("bytesMax", NODE_BOUNDS["journal.bytesMax"]);
  if (bytesMax < 4 * payloadBytesMax) {
    const rule = `4 x limits.payloadBytesMax ${payloadBytesMax}`;
    section.fail("bytesMax", `is ${bytesMax}, must be at least ${rule}`);
  }
  const late = NODE_BOUNDS["journal.lateBytes"];
  const lateDefault = Math.min(late.default, Math.floor(bytesMax / 4));
  const lateBytes = section.integer("lateBytes", late, lateDefault);
  if (lateBytes > bytesMax) {
    section.fail("lateBytes", `is ${lateBytes}, must be at most journal.bytesMax ${bytesMax}`);
  }
  return Object.freeze({
    bytesMax,
    whenFull: section.oneOf("whenFull", ["wait", "reject"], "wait"),
    lateMs: section.integer("lateMs", NODE_BOUNDS["journal.lateMs"]),
    lateBytes,
    forgetMs: section.integer("forgetMs", NODE_BOUNDS["journal.forgetMs"]),
  });
};

const readRetain = (section: OptionReader): ResolvedOptions["retain"] =>
  Object.freeze({
    ageMs: section.integer("ageMs", NODE_BOUNDS["retain.ageMs"]),
    bytes: section.integer("bytes", NODE_BOUNDS["retain.bytes"]),
  });

const readLimits = (section: OptionReader): ResolvedOptions["limits"] => {
  const limit = (name: LimitName): number => section.integer(name, NODE_BOUNDS[`limits.${name}`]);
  const payloadBytesMax = limit("payloadBytesMax");
  const frameBytesMin = payloadBytesMax + ENVELOPE_OVERHEAD_BYTES;
  const frameBound = NODE_BOUNDS["limits.frameBytesMax"];
  const frameBytesMax = section.integer("frameBytesMax", frameBound, frameBytesMin);
  if (frameBytesMax < frameBytesMin) {
    const rule = `payloadBytesMax + ${ENVELOPE_OVERHEAD_BYTES} = ${frameBytesMin}`;
    section.fail("frameBytesMax", `is ${frameBytesMax}, must be at least ${rule}`);
  }
  return Object.freeze({
    payloadBytesMax,
    frameBytesMax,
    subscriptionsMax: limit("subscriptionsMax"),
    peersMax: limit("peersMax"),
    inFlightMax: limit("inFlightMax"),
    lookAheadMax: limit("lookAheadMax"),
    nodePrefetchBytes: limit("nodePrefetchBytes"),
    requestsMax: limit("requestsMax"),
    heldMax: limit("heldMax"),
    deadLetterErrorsMax: limit("deadLetterErrorsMax"),
    idempotencyKeysMax: limit("idempotencyKeysMax"),
  });
};

const readPeerLimits = (section: OptionReader): ResolvedOptions["peerLimits"] => {
  const limit = (name: keyof ResolvedOptions["peerLimits"]): number =>
    section.integer(name, NODE_BOUNDS[`peerLimits.${name}`]);
  return Object.freeze({
    subscriptionsMax: limit("subscriptionsMax"),
    requestBytesMax: limit("requestBytesMax"),
    unreadBytesMax: limit("unreadBytesMax"),
    sessionsPerMinute: limit("sessionsPerMinute"),
    controlPerSecond: limit("controlPerSecond"),
    messagesPerSecond: limit("messagesPerSecond"),
    bytesPerSecond: limit("bytesPerSecond"),
  });
};

type LimitName = keyof ResolvedOptions["limits"];

type Times = Pick<
  ResolvedOptions,
  | "heartbeatMs"
  | "leaseMs"
  | "silenceMs"
  | "stalledMaxMs"
  | "rebalanceMs"
  | "handshakeMs"
  | "requestTimeoutMs"
  | "confirmTimeoutMs"
  | "idempotencyMs"
  | "drainMs"
>;

const readTimes = (reader: OptionReader): Times => {
  const heartbeatMs = reader.integer("heartbeatMs", NODE_BOUNDS.heartbeatMs);
  const leaseDefault = Math.max(NODE_BOUNDS.leaseMs.default, 4 * heartbeatMs);
  const leaseMs = reader.integer("leaseMs", NODE_BOUNDS.leaseMs, leaseDefault);
  const silenceMs = reader.integer("silenceMs", NODE_BOUNDS.silenceMs, 3 * leaseMs);
  const atLeast = `must be at least 2 x heartbeatMs ${heartbeatMs}`;
  if (leaseMs < 2 * heartbeatMs) reader.fail("leaseMs", `is ${leaseMs}, ${atLeast}`);
  if (silenceMs < 2 * heartbeatMs) reader.fail("silenceMs", `is ${silenceMs}, ${atLeast}`);
  return {
    heartbeatMs,
    leaseMs,
    silenceMs,
    stalledMaxMs: reader.integer("stalledMaxMs", NODE_BOUNDS.stalledMaxMs),
    rebalanceMs: reader.integer("rebalanceMs", NODE_BOUNDS.rebalanceMs),
    handshakeMs: reader.integer("handshakeMs", NODE_BOUNDS.handshakeMs),
    requestTimeoutMs: reader.integer("requestTimeoutMs", NODE_BOUNDS.requestTimeoutMs),
    confirmTimeoutMs: reader.integer("confirmTimeoutMs", NODE_BOUNDS.confirmTimeoutMs),
    idempotencyMs: reader.integer("idempotencyMs", NODE_BOUNDS.idempotencyMs),
    drainMs: reader.integer("drainMs", NODE_BOUNDS.drainMs),
  };
};
