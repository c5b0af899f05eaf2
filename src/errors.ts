/**
 * The one error type of meshbus and its closed list of codes.
 *
 * Problem: a caller must be able to tell what went wrong, whether trying again can help, and what to
 * do, without parsing text. Approach: one class, told apart by brand (so that two copies of the
 * package in one process still recognise each other's errors), a closed union of codes, and one table
 * that both this file and docs/errors.md are made from.
 */

export type ErrorRow = {
  /** What the code means. */
  readonly meaning: string;
  /** Whether the same call can succeed later without a change by the caller. */
  readonly retryable: boolean;
  /** What to do about it. */
  readonly remedy: string;
};

const row = (meaning: string, retryable: boolean, remedy: string): ErrorRow =>
  Object.freeze({ meaning, retryable, remedy });

/** code -> meaning, retryable, remedy. The list grows only with a row here. */
export const ERROR_TABLE = Object.freeze({
  INVALID_OPTIONS: row(
    "an option is of the wrong type or out of its range; the message lists every wrong one",
    false,
    "correct the options named in the message",
  ),
  INVALID_SUBJECT: row(
    "a subject or pattern breaks the naming rules",
    false,
    "use dot-separated tokens of letters, digits, '-' and '_'; '*' and '>' only in patterns",
  ),
  SCHEMA_VIOLATION: row(
    "a value does not satisfy its contract's schema",
    false,
    "correct the value; details.issues lists each problem with its path",
  ),
  PAYLOAD_TOO_LARGE: row(
    "an encoded payload exceeds payloadBytesMax",
    false,
    "send less, raise limits.payloadBytesMax on every node, or store it and send a reference",
  ),
  INSECURE_LISTEN: row(
    "a node without keys was told to listen beyond loopback",
    false,
    "listen on 127.0.0.1, configure keys, or set insecure: true on a network you trust",
  ),
  ADDRESS_IN_USE: row(
    "the listen address is taken",
    true,
    "choose another port, or port 0 for a free one",
  ),
  DUPLICATE_NODE: row(
    "another live process uses this node's id",
    false,
    "give each process its own dataDir; never copy one while its owner runs",
  ),
  JOURNAL_FULL: row(
    'the journal reached journal.bytesMax and whenFull is "reject"',
    true,
    'let consumers catch up, raise journal.bytesMax, or use whenFull: "wait"',
  ),
  JOURNAL_LOCKED: row(
    "another process has this dataDir open",
    false,
    "stop the other process or choose another dataDir",
  ),
  JOURNAL_DAMAGED: row(
    "the journal cannot be opened or a block failed its checksum",
    false,
    "see docs/journal.md: damaged blocks are quarantined and counted, never served",
  ),
  DISK_FULL: row(
    "the disk has no room; nothing of this call was accepted",
    true,
    "free space; delivery and settling go on meanwhile",
  ),
  OUTCOME_UNKNOWN: row(
    "a disk sync failed: the message may or may not survive a restart",
    false,
    "check the disk; publish again with an idempotencyKey if a repeat is harmful",
  ),
  STOPPED: row("the node or subscription has stopped", false, "create a new one"),
  TIMEOUT: row("the deadline passed", true, "raise timeoutMs or look at the handler's latency"),
  ABORTED: row("the caller's AbortSignal fired", false, "nothing; the caller asked for it"),
  NO_HANDLER: row(
    "nobody handled the subject before the deadline",
    true,
    "start a service that handles it, or check the subject and the mesh name",
  ),
  REMOTE_ERROR: row(
    "the remote handler threw; name, message, code and details are its own",
    false,
    "see details; the stack stays in the remote service's log",
  ),
  COMMAND_CLAIMED: row(
    "another group already handles this command",
    false,
    "only one group handles a command; join its group or use another subject",
  ),
  SUBSCRIPTION_MISMATCH: row(
    "a live member of this subscription has another order or distribution",
    false,
    "deploy one definition, or use another group name",
  ),
  SUBSCRIPTION_LIMIT: row(
    "a limit on the number of subscriptions was reached",
    false,
    "use fewer patterns, or raise the subscriptionsMax that the message names",
  ),
  CONTRACT_MISMATCH: row(
    "the message's contract version is not compatible with the handler's",
    false,
    "deploy compatible contract versions; details name both, and meshbus doctor finds who reads what",
  ),
  VERSION_MISMATCH: row(
    "the peers have no protocol version in common",
    false,
    "upgrade the older node; details name both ranges",
  ),
  UNAUTHORIZED: row(
    "the certificate does not allow this, or nodes do not accept each other's",
    false,
    "issue one that does; docs/security.md says what is checked",
  ),
  INVALID_KEYS: row(
    "a keys folder, a certificate or a token cannot be used",
    false,
    "do what the message says of the file it names; docs/security.md describes them",
  ),
  FAULTY_DEPENDENCY: row(
    "a package that meshbus stands on has a known fault that others can use",
    false,
    "install the version that the message names, or a newer one",
  ),
  RATE_LIMITED: row(
    "a rate limit refused this",
    true,
    "slow down, or raise the limit that the message names",
  ),
  CIRCUIT_OPEN: row(
    "the circuit breaker of every instance that replies is open",
    true,
    "try again later; look at what the repliers depend on",
  ),
  EXPIRED: row("the message's own deadline passed", false, "send a new one"),
  PEER_LOST: row(
    "the link to the peer broke while the call was under way; its outcome is unknown",
    true,
    "try again if the operation is idempotent",
  ),
  ALREADY_SETTLED: row(
    "this message or handling was already settled, timed out or revoked",
    false,
    "settle once, before timeoutMs",
  ),
  STATE_UNAVAILABLE: row(
    "ctx.state exists only where messages cannot move to another member",
    false,
    'use group: false or failover: "wait", or a database of your own',
  ),
});

export type ErrorCode = keyof typeof ERROR_TABLE;

const BRAND = Symbol.for("meshbus.error");

export type MeshErrorOptions = {
  readonly cause?: unknown;
  /** Typed facts about the failure; must be JSON-serialisable. */
  readonly details?: Readonly<Record<string, unknown>>;
};

/** Every error meshbus raises. Compare `code`; test with `MeshError.is`, which also sees other copies. */
export class MeshError extends Error {
  override readonly name = "MeshError";
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: MeshErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = ERROR_TABLE[code].retryable;
    this.details = options.details ?? {};
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** True for a MeshError of any copy of the package; with `code`, only for that code. */
  static is(error: unknown, code?: ErrorCode): error is MeshError {
    return (
      typeof error === "object" &&
      error !== null &&
      (error as Record<symbol, unknown>)[BRAND] === true &&
      (code === undefined || (error as MeshError).code === code)
    );
  }
}
