/**
 * Takes messages into the journal: now, later (delayed), or as what a handler left behind.
 *
 * A delayed message takes its position, and so its id, at once; the record there is empty and concerns
 * nobody (see delayed.ts). Output of a handler is taken whole or not at all.
 */
import { messageId, type NodeId } from "../../core/ids.ts";
import { MeshError } from "../../errors.ts";
import { ByteWriter } from "../../wire/byte-writer.ts";
import { EnvelopeView, writeEnvelope } from "../../wire/envelope.ts";
import type { HybridTime } from "../../wire/hybrid-time.ts";
import type { StagedMessage } from "../consumer/staged-message.ts";
import type { Environment } from "../environment.ts";
import type { Journal } from "../journal/journal.ts";
import type { JournalRecord } from "../journal/journal-options.ts";
import { Delayed, type DelayedMessage } from "./delayed.ts";
import { withId } from "./envelope-suffix.ts";

/** A message to accept: the record that the journal takes as it is, unless it is delayed. */
export type Outgoing = JournalRecord & {
  /** 0: at once. Its life begins when it falls due: `expireAtMs` is as if that were now. */
  readonly delayMs: number;
};

export type AcceptanceOptions = {
  readonly env: Environment;
  readonly journal: Journal;
  readonly journalBytesMax: number;
  /** A command is owed to whoever claims its subject, also when nobody has yet. */
  readonly ensureCommand: (subject: string) => void;
};

/** The target of a delayed message's place in the log: no subscription has this name. */
const NOBODY = "~delayed";
const EMPTY_ENVELOPE = { template: undefined, variables: undefined, bytes: new Uint8Array(0) };
/** What a record takes in the log beside its envelope, at most. */
const RECORD_BYTES = 64;
/** One block of a handler's output. */
const BLOCK_RECORDS = 1_024;
const BLOCK_BYTES = 4 * 2 ** 20;

export class Acceptance {
  readonly #env: Environment;
  readonly #journal: Journal;
  readonly #journalBytesMax: number;
  readonly #ensureCommand: (subject: string) => void;
  readonly #delayed: Delayed;
  readonly #writer = new ByteWriter(4_096);

  constructor(options: AcceptanceOptions) {
    const { env, journal } = options;
    this.#env = env;
    this.#journal = journal;
    this.#journalBytesMax = options.journalBytesMax;
    this.#ensureCommand = options.ensureCommand;
    const host = {
      env,
      appendDue: (...args: Parameters<Acceptance["appendDue"]>) => this.appendDue(...args),
    };
    this.#delayed = new Delayed(host, journal, journal.committer);
  }

  /** Looks for what fell due while the node was away. */
  start(): void {
    this.#delayed.start();
  }

  stop(): void {
    this.#delayed.stop();
  }

  /**
   * Gives the message a position; it is accepted when `onDurable` registered after this hears no error.
   * @throws MeshError JOURNAL_FULL, DISK_FULL, OUTCOME_UNKNOWN, STOPPED
   */
  accept(message: Outgoing): number {
    this.#expect(message);
    const { epoch } = this.#journal;
    const seq = this.#journal.append(recordOf(message));
    if (message.delayMs > 0) this.#delay(message, epoch, seq);
    return seq;
  }

  /** All or none, in one block; returns the first seq. */
  acceptMany(messages: readonly Outgoing[]): number {
    for (const message of messages) this.#expect(message);
    const { epoch } = this.#journal;
    const first = this.#journal.appendMany(messages.map(recordOf));
    for (const [at, message] of messages.entries()) {
      if (message.delayMs > 0) this.#delay(message, epoch, first + at);
    }
    return first;
  }

  /** Room for so many bytes, the reserve included. */
  hasRoom(bytes: number): boolean {
    const { accepting, logBytes, pendingBytes } = this.#journal;
    return accepting && logBytes + pendingBytes + bytes <= this.#journalBytesMax;
  }

  /** See OutputSink. Room is looked at before the first append, so that no later one is refused. */
  release(
    messages: readonly StagedMessage[],
    done: (error: MeshError | undefined) => void,
  ): boolean {
    let bytes = 0;
    for (const { envelope } of messages) bytes += envelope.length + RECORD_BYTES;
    if (!this.hasRoom(bytes)) return false;
    const wallMs = this.#env.clock.wallMs();
    const time = this.#env.hybrid.now(wallMs);
    let block: Outgoing[] = [];
    let blockBytes = 0;
    for (const message of messages) {
      if (block.length >= BLOCK_RECORDS || blockBytes >= BLOCK_BYTES) {
        this.acceptMany(block);
        block = [];
        blockBytes = 0;
      }
      block.push(outgoingOf(message, wallMs, time));
      blockBytes += message.envelope.length;
    }
    if (block.length > 0) this.acceptMany(block);
    this.#journal.onDurable(done);
    return true;
  }

  /** Appends a delayed message whose time has come; false when there is no room or the journal fails. */
  appendDue(message: DelayedMessage, done: (error: MeshError | undefined) => void): boolean {
    const { kind, subject, keyHash, expireAtMs, envelope: bytes } = message;
    const { ms, counter } = this.#env.hybrid.now(this.#env.clock.wallMs());
    const rest = { template: undefined, variables: undefined, target: undefined, reserve: true };
    if (kind === 1) this.#ensureCommand(subject);
    try {
      this.#journal.append({
        ...{ kind, subject, keyHash, bytes, expireAtMs, timeMs: ms, timeCounter: counter },
        ...rest,
      });
    } catch (error) {
      if (!MeshError.is(error)) throw error;
      return false;
    }
    this.#journal.onDurable(done);
    return true;
  }

  // --- inside --------------------------------------------------------------------------------

  #expect(message: Outgoing): void {
    if (message.kind === 1 && message.delayMs <= 0) this.#ensureCommand(message.subject);
  }

  #delay(message: Outgoing, epoch: number, seq: number): void {
    const { kind, subject, keyHash, delayMs, expireAtMs } = message;
    const dueMs = this.#env.clock.wallMs() + delayMs;
    const id = messageId(this.#journal.nodeId as NodeId, epoch, seq);
    this.#delayed.add(
      dueMs,
      { epoch, seq },
      {
        kind,
        subject,
        keyHash,
        expireAtMs: expireAtMs < 0 ? -1 : expireAtMs + delayMs,
        messageId: id,
        envelope: named(this.#encode(message), id),
      },
    );
  }

  /** The message encoded on its own, outside any block. */
  #encode(message: Outgoing): Uint8Array {
    const { bytes, template, variables } = message;
    if (bytes !== undefined) return bytes;
    if (template === undefined || variables === undefined) {
      throw new TypeError("a message needs bytes, or a template and variables");
    }
    this.#writer.reset();
    writeEnvelope(this.#writer, template, variables);
    return this.#writer.take();
  }
}

/** A caller's own id stays. */
const named = (envelope: Uint8Array, id: string): Uint8Array =>
  new EnvelopeView(envelope).id === undefined ? withId(envelope, id) : envelope;

/** A delayed message's place in the log is empty. */
const recordOf = (message: Outgoing): JournalRecord =>
  message.delayMs > 0 ? { ...message, expireAtMs: -1, target: NOBODY, ...EMPTY_ENVELOPE } : message;

const outgoingOf = (message: StagedMessage, wallMs: number, time: HybridTime): Outgoing => {
  const { kind, subject, keyHash, expireAfterMs, delayMs, envelope: bytes } = message;
  return {
    kind: kind === "command" ? 1 : 0,
    subject,
    keyHash,
    expireAtMs: expireAfterMs < 0 ? -1 : wallMs + expireAfterMs,
    target: undefined,
    timeMs: time.ms,
    timeCounter: time.counter,
    template: undefined,
    variables: undefined,
    bytes,
    reserve: true,
    delayMs,
  };
};
