/**
 * Every subscription this node knows as a producer, found by subject.
 *
 * Bounds: `subscriptionsMax` subscriptions; the cache of matches is cleared when it is full.
 */
import { comparePositions, type Position, ZERO } from "../../core/position.ts";
import type { Environment } from "../environment.ts";
import type { Journal } from "../journal/journal.ts";
import { compositeKey, prefixEnd } from "../journal/keys.ts";
import type { Ownerships } from "../ownership/ownerships.ts";
import { isShared } from "../subscription-id.ts";
import { type Definition, parseCursorRow, parseDefinition } from "./subscription-rows.ts";
import { SubscriptionState } from "./subscription-state.ts";

const CACHE_MAX = 8_192;
const SCAN_MAX = 1_024;

export class SubscriptionTable {
  readonly #env: Environment;
  readonly #journal: Journal;
  readonly #ownerships: Ownerships;
  readonly #pump: (state: SubscriptionState) => void;
  readonly #states = new Map<string, SubscriptionState>();
  readonly #events = new Map<string, readonly SubscriptionState[]>();
  readonly #commands = new Map<string, readonly SubscriptionState[]>();
  /** What is at or below may leave the log with any commit: no cursor begins before it. */
  trimmedTo: Position = ZERO;

  /** `pump`: what waits may have found a holder, or its key goes on. */
  constructor(
    env: Environment,
    journal: Journal,
    ownerships: Ownerships,
    pump: (state: SubscriptionState) => void,
  ) {
    this.#env = env;
    this.#journal = journal;
    this.#ownerships = ownerships;
    this.#pump = pump;
  }

  get size(): number {
    return this.#states.size;
  }

  get(id: string): SubscriptionState | undefined {
    return this.#states.get(id);
  }

  all(): IterableIterator<SubscriptionState> {
    return this.#states.values();
  }

  /** Subscriptions that messages of this kind and subject concern. */
  matching(kind: 0 | 1, subject: string): readonly SubscriptionState[] {
    const cache = kind === 1 ? this.#commands : this.#events;
    let found = cache.get(subject);
    if (found === undefined) {
      found = [...this.#states.values()].filter((state) => state.concerns(kind, subject));
      if (cache.size >= CACHE_MAX) cache.clear();
      cache.set(subject, found);
    }
    return found;
  }

  /** A new subscription that begins after `position`. */
  create(definition: Definition, position: Position): SubscriptionState {
    const head = this.#journal.head ?? ZERO;
    const kept = comparePositions(position, this.trimmedTo) < 0 ? this.trimmedTo : position;
    const start = { position: comparePositions(kept, head) > 0 ? head : kept, head };
    const state = this.#newState(definition, start);
    this.#add(state);
    return state;
  }

  remove(state: SubscriptionState): void {
    this.#states.delete(state.id);
    this.#forgetMatches();
    state.end();
    this.#ownerships.forget(state.id);
  }

  /** What earlier lives of this node knew. Those that are not durable ended with them. */
  restore(): SubscriptionState[] {
    const prefix = compositeKey("d");
    const end = prefixEnd(prefix);
    const abandoned: SubscriptionState[] = [];
    let from: Uint8Array = prefix;
    for (;;) {
      const bounds = end === undefined ? { from } : { from, to: end };
      const rows = this.#journal.scan("cursor", { ...bounds, limit: SCAN_MAX });
      for (const { value } of rows) {
        const state = this.#restoreOne(parseDefinition(value));
        if (!state.definition.durable) abandoned.push(state);
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < SCAN_MAX) return abandoned;
      from = Buffer.concat([last.key, Uint8Array.of(0)]);
    }
  }

  #restoreOne(definition: Definition): SubscriptionState {
    const bytes = this.#journal.get("cursor", compositeKey("p", definition.id));
    const head = this.#journal.head ?? ZERO;
    if (bytes === undefined) {
      const state = this.#newState(definition, { position: head, head });
      this.#add(state);
      return state;
    }
    const row = parseCursorRow(bytes);
    const start = { position: row.floor, head, row };
    const state = this.#newState(definition, start);
    state.restoreOpen(row, (position) => {
      const found = this.#journal.recordAt(position);
      if (found === undefined) return undefined;
      const { block, index } = found;
      return {
        keyHash: block.keyHash(index),
        bytes: block.envelopeEnd(index) - block.envelopeStart(index),
        expireAtMs: block.expireAtMs(index),
      };
    });
    this.#countSince(state, row.counted, head);
    this.#add(state);
    return state;
  }

  /** What was appended after the cursor was written: a second's blocks at most, unless a sync failed. */
  #countSince(state: SubscriptionState, counted: Position, head: Position): void {
    let at = counted;
    while (comparePositions(at, head) < 0) {
      const block = this.#journal.read(at);
      if (block === undefined) break;
      let count = 0;
      for (let index = 0; index < block.count; index++) {
        const position = { epoch: block.epoch, seq: block.firstSeq + index };
        if (comparePositions(position, at) > 0 && state.isOwed(block, index)) count++;
      }
      at = { epoch: block.epoch, seq: block.lastSeq };
      if (count > 0) state.appended(count, at);
    }
    state.counted = head;
  }

  #newState(
    definition: Definition,
    start: ConstructorParameters<typeof SubscriptionState>[3],
  ): SubscriptionState {
    const { committer } = this.#journal;
    const tokens = isShared(definition.group) ? this.#ownerships.of(definition.id) : undefined;
    const state = new SubscriptionState(this.#env, committer, definition, start, tokens);
    state.onWritten = () => this.#pump(state);
    if (tokens !== undefined) {
      tokens.onHolders = (shards) => {
        state.cursor.holdersChanged(shards);
        this.#pump(state);
      };
    }
    return state;
  }

  #add(state: SubscriptionState): void {
    this.#states.set(state.id, state);
    this.#forgetMatches();
  }

  #forgetMatches(): void {
    this.#events.clear();
    this.#commands.clear();
  }
}
