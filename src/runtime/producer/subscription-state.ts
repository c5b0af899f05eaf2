/**
 * One subscription as its producer keeps it: definition, cursor, ledger, and when their rows are written.
 *
 * A cursor is written a few dozen times a second at most: one that is lost with a crash is a redelivery,
 * which inboxes absorb.
 */
import type { Entry } from "../../core/entry.ts";
import { newEntry } from "../../core/entry.ts";
import { Ledger } from "../../core/ledger.ts";
import { comparePositions, type Position } from "../../core/position.ts";
import { compilePattern } from "../../core/subject.ts";
import { SubscriptionCursor } from "../../core/subscription-cursor.ts";
import type { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import { EnvelopeView } from "../../wire/envelope.ts";
import type { Environment } from "../environment.ts";
import type { Block } from "../journal/block.ts";
import type { CommitOwner } from "../journal/commit-owner.ts";
import type { Committer } from "../journal/committer.ts";
import { compositeKey } from "../journal/keys.ts";
import type { SubscriptionTokens } from "../ownership/subscription-tokens.ts";
import type { Outlet } from "./outlet.ts";
import { type CursorRow, type Definition, encodeRow, OpenWords } from "./subscription-rows.ts";
import { UnwrittenEnds } from "./unwritten-ends.ts";

/** A failed attempt, as dead letters tell it. */
export type AttemptError = {
  readonly name: string;
  readonly message: string;
  readonly atMs: number;
};

type BlockSubject = Block["subjects"][number];

/** Settled messages after which the cursor is written without waiting. */
const FLUSH_SETTLED = 4_096;
const FLUSH_MS = 25;
/** Blocks appended for a subscription after which its count is written. */
const FLUSH_BLOCKS = 64;

export class SubscriptionState implements CommitOwner {
  definition: Definition;
  readonly cursor: SubscriptionCursor;
  readonly ledger: Ledger;
  /** Sessions with members, by node id. */
  readonly outlets = new Map<string, Outlet<SubscriptionState>>();
  /** Errors of messages that wait for a retry. */
  readonly errors = new Map<Entry, AttemptError[]>();
  /** Dead as the next cursor row says, and still in their keys' way until that row is on disk. */
  readonly ending = new Set<Entry>();
  /** Keys of messages that expired here; they go on when the cursor is on disk. */
  readonly #unwritten = new UnwrittenEnds();
  /** Keys that waited for the cursor to be written go on. */
  onWritten: () => void = () => {};
  /** Positions after the first up to the second are counted as accepted when they are read. */
  readonly #uncounted: readonly [Position, Position];
  /** All others are counted when they are appended, so far up to here. */
  counted: Position;
  /** Messages of this subscription read so far; what was counted and never read was damaged. */
  scannedCount: number;
  /** Positions directly before the next that do not concern the subscription. */
  skip = 0;
  durableFloor: Position;
  /** The block the last message was sent from. */
  block: Block | undefined;
  /** Why nothing is sent although there is something to send. */
  pausedFor: string | undefined;
  dueTimer: Timer | undefined;
  orphanTimer: Timer | undefined;
  turn = 0; // volatile messages take members in turn
  readonly #env: Environment;
  readonly #committer: Committer;
  readonly #tokens: SubscriptionTokens | undefined;
  readonly #cursorKey: Uint8Array;
  readonly #definitionKey: Uint8Array;
  readonly #matches: (subject: string) => boolean;
  #definitionChanged = true;
  #flushTimer: Timer | undefined;
  #settledSinceFlush = 0;
  #blocksSinceFlush = 0;
  #flushingFloor: Position | undefined;
  #ended = false;
  #pastHorizon = false;

  constructor(
    env: Environment,
    committer: Committer,
    definition: Definition,
    start: { readonly position: Position; readonly head: Position; readonly row?: CursorRow },
    tokens: SubscriptionTokens | undefined,
  ) {
    this.#env = env;
    this.#committer = committer;
    this.definition = definition;
    this.#tokens = tokens;
    const { position, head, row } = start;
    this.cursor = new SubscriptionCursor(row?.floor ?? position, {
      keyed: definition.distribution === "key",
      windowMax: env.limits.inFlightMax,
      lookAheadMax: env.limits.lookAheadMax,
      ...(tokens === undefined ? {} : { holderOf: (shard) => tokens.holderOf(shard) }),
    });
    this.ledger = row === undefined ? new Ledger() : Ledger.decode(Buffer.from(row.ledger, "hex"));
    this.#uncounted = row === undefined ? [position, head] : (row.uncounted ?? [head, head]);
    this.counted = row?.counted ?? head;
    this.scannedCount = row?.scannedCount ?? 0;
    this.durableFloor = row?.floor ?? position;
    this.#cursorKey = compositeKey("p", definition.id);
    this.#definitionKey = compositeKey("d", definition.id);
    this.#matches = compilePattern(definition.pattern);
  }

  get id(): string {
    return this.definition.id;
  }

  get isKeyed(): boolean {
    return this.definition.distribution === "key";
  }

  /** Who holds which shard, where keys have owners. */
  get tokens(): SubscriptionTokens | undefined {
    return this.isKeyed ? this.#tokens : undefined;
  }

  /** Whether messages of this kind and subject concern the subscription, headers aside. */
  concerns(kind: 0 | 1, subject: string): boolean {
    if ((kind === 1) !== (this.definition.role === "commands")) return false;
    return this.#matches(subject);
  }

  /** Whether the record is this subscription's. */
  isOwed(block: Block, index: number): boolean {
    const target = block.target(index);
    if (target !== undefined) return target === this.id;
    const { kind, subject } = block.subjects[block.subjectIndex(index)] as BlockSubject;
    return this.concerns(kind, subject) && this.passes(block, index);
  }

  get hasFilter(): boolean {
    return this.definition.filter.length > 0;
  }

  /** Whether the record passes the header filter. */
  passes(block: Block, index: number): boolean {
    const { filter } = this.definition;
    if (filter.length === 0) return true;
    const view = new EnvelopeView(
      block.envelopeBytes,
      block.envelopeStart(index),
      block.envelopeEnd(index),
    );
    const { headers } = view;
    return filter.every(({ name, value }) => headers[name] === value);
  }

  define(definition: Definition): void {
    this.definition = definition;
    this.#definitionChanged = true;
  }

  /** Messages of a durable block that are this subscription's. */
  appended(count: number, head: Position): void {
    this.ledger.add("accepted", count);
    this.counted = head;
    if (++this.#blocksSinceFlush >= FLUSH_BLOCKS) this.#committer.dirty(this);
  }

  /** Everything up to here was looked at when it was appended; known on disk with the next commit. */
  looked(head: Position): void {
    if (comparePositions(this.counted, head) >= 0) return;
    this.counted = head;
    this.#committer.dirtyLater(this);
  }

  /**
   * Nothing of this subscription waits unread: the cursor may jump to the head of the journal, so that a
   * quiet subscription does not keep the log from being trimmed.
   */
  catchUp(head: Position): void {
    const { cursor, ledger } = this;
    if (ledger.accepted !== this.scannedCount) return;
    if (this.#readsUncounted) return;
    if (comparePositions(cursor.scanned, head) >= 0) return;
    const { floor } = cursor;
    cursor.read(head);
    this.skip = 0;
    if (comparePositions(cursor.floor, floor) > 0) this.touched(0, false);
  }

  /** A floor that moved without a settle (what was read concerned nobody) reaches the disk too. */
  keepFloor(): void {
    if (comparePositions(this.cursor.floor, this.durableFloor) > 0) this.touched(0, false);
  }

  /** A message at this position was read: counts it, if that was not done when it was appended. */
  scanned(epoch: number, seq: number): void {
    this.scannedCount++;
    if (this.#pastHorizon) return;
    const at = { epoch, seq };
    const [from, to] = this.#uncounted;
    if (comparePositions(at, to) > 0) this.#pastHorizon = true;
    else if (comparePositions(at, from) > 0) this.ledger.add("accepted", 1);
  }

  /** A message expired, and was settled for that: its key waits until the cursor is on disk. */
  expired(entry: Entry): void {
    this.errors.delete(entry);
    this.ledger.add("expired", 1);
    this.#unwritten.add(entry.keyHash);
    this.touched(1, this.isKeyed && entry.keyHash >= 0);
  }

  /** Whether the message's key waits for an expiry to be on disk. */
  mustWait(entry: Entry): boolean {
    return this.isKeyed && this.#unwritten.holds(entry.keyHash);
  }

  /** Messages were settled: the cursor is written soon, or now when many were or the caller waits for it. */
  touched(count: number, now: boolean): void {
    this.#settledSinceFlush += count;
    if (now || this.#settledSinceFlush >= FLUSH_SETTLED) {
      this.#committer.dirty(this);
    } else {
      this.#flushTimer ??= this.#env.clock.setTimer(FLUSH_MS, () => {
        this.#flushTimer = undefined;
        if (!this.#ended) this.#committer.dirty(this);
      });
    }
  }

  flush(): void {
    if (this.#ended) {
      this.#committer.write("cursor", this.#cursorKey, undefined);
      this.#committer.write("cursor", this.#definitionKey, undefined);
      return;
    }
    this.#settledSinceFlush = 0;
    this.#blocksSinceFlush = 0;
    this.#flushingFloor = this.cursor.floor;
    this.#unwritten.flush();
    this.#committer.write("cursor", this.#cursorKey, this.#cursorRow());
    if (this.#definitionChanged) {
      this.#committer.write("cursor", this.#definitionKey, encodeRow(this.definition));
    }
  }

  committed(error: MeshError | undefined): void {
    if (error === undefined && this.#flushingFloor !== undefined) {
      this.durableFloor = this.#flushingFloor;
      this.#definitionChanged = false;
    }
    this.#flushingFloor = undefined;
    if (this.#unwritten.committed(error === undefined) && !this.#ended) this.onWritten();
  }

  /** The rows go; nothing of this subscription is kept. */
  end(): void {
    this.#ended = true;
    for (const timer of [this.#flushTimer, this.dueTimer, this.orphanTimer]) {
      if (timer !== undefined) this.#env.clock.clearTimer(timer);
    }
    this.#committer.dirty(this);
  }

  /** Restores what was unsettled between floor and `scanned`. `recordOf` finds a message in the journal. */
  restoreOpen(
    row: CursorRow,
    recordOf: (
      position: Position,
    ) => { keyHash: number; bytes: number; expireAtMs: number } | undefined,
  ): void {
    const now = this.#env.clock.monotonicMs();
    for (let at = 0; at + 3 < row.open.length; at += 4) {
      const [epoch = 0, first = 0, attempts = 0, waitMs = -1] = row.open.slice(at, at + 4);
      for (let seq = first; seq < first + Math.max(1, -attempts); seq++) {
        const record = recordOf({ epoch, seq });
        if (record === undefined) {
          this.ledger.add("damaged", 1);
          continue;
        }
        const { keyHash, bytes, expireAtMs } = record;
        if (waitMs === -1 && attempts <= 0) {
          this.cursor.add(epoch, seq, 0, keyHash, bytes, expireAtMs);
          continue;
        }
        const entry = newEntry(epoch, seq, 0, keyHash, bytes, expireAtMs);
        entry.attempts = attempts;
        if (waitMs === -2) this.cursor.addStopped(entry);
        else this.cursor.addParked(entry, now + Math.max(0, waitMs));
      }
    }
    this.cursor.read(row.scanned);
  }

  #cursorRow(): Uint8Array {
    const open = new OpenWords(this.#env.clock.monotonicMs());
    for (const entry of this.cursor.unsettled()) {
      if (!this.ending.has(entry)) open.add(entry);
    }
    return encodeRow({
      v: 2,
      floor: this.cursor.floor,
      scanned: this.cursor.scanned,
      counted: this.counted,
      ...(this.#readsUncounted ? { uncounted: this.#uncounted } : {}),
      scannedCount: this.scannedCount,
      open: open.end(),
      ledger: Buffer.from(this.#ledgerRow()).toString("hex"),
    });
  }

  #ledgerRow(): Uint8Array {
    if (this.ending.size === 0) return this.ledger.encode();
    const ledger = new Ledger();
    ledger.merge(this.ledger);
    ledger.add("dead", this.ending.size);
    return ledger.encode();
  }

  get #readsUncounted(): boolean {
    const [from, to] = this.#uncounted;
    return comparePositions(from, to) < 0 && comparePositions(this.cursor.scanned, to) < 0;
  }
}
