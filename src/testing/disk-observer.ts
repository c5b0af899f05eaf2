/**
 * Reads what reaches a disk: journal records, dead letters, births. The history's word on "durable".
 *
 * `identify` names a record for the checkers: what was said, stored and handled has one name everywhere.
 */
import { crc32 } from "node:zlib";
import type { StoreWrite } from "../ports/journal-store.ts";
import { Block } from "../runtime/journal/block.ts";
import { compositeKey } from "../runtime/journal/keys.ts";
import { EnvelopeView } from "../wire/envelope.ts";
import type { Dead, History, Stored } from "./history.ts";

export type Identify = (
  envelope: EnvelopeView,
  at: { readonly epoch: number; readonly seq: number },
) => string;

export class DiskObserver {
  readonly #history: History;
  readonly #node: number;
  readonly #now: () => number;
  readonly #identify: Identify;
  /** Records by key of their block, for what is taken back. */
  readonly #unknown = new Map<string, Stored[]>();
  /** Records by key of their block, while it is in the log. */
  readonly #blocks = new Map<string, Stored[]>();
  /** Dead letters by key. */
  readonly #deadLetters = new Map<string, Dead>();

  constructor(history: History, node: number, now: () => number, identify: Identify) {
    this.#history = history;
    this.#node = node;
    this.#now = now;
    this.#identify = identify;
  }

  durable(writes: readonly StoreWrite[], how: "ok" | "unknown"): void {
    for (const { table, key, value } of writes) {
      if (table === "log") this.#log(nameOf(key), value, how);
      else if (table === "dead") this.#dead(nameOf(key), value, how);
      else if (table === "directory" && value !== undefined) this.#birth(nameOf(key), value);
    }
  }

  /** A new life opens the disk: what is there now is there. */
  opened(): void {
    for (const records of this.#unknown.values()) {
      for (const record of records) if (record.state === "unknown") record.state = "revived";
    }
    this.#unknown.clear();
  }

  /** A block of the log changed where it lies. */
  damaged(key: Uint8Array): void {
    for (const record of this.#blocks.get(nameOf(key)) ?? []) record.isDamaged = true;
  }

  #log(name: string, value: Uint8Array | undefined, how: "ok" | "unknown"): void {
    if (value === undefined) {
      this.#blocks.delete(name);
      for (const record of this.#unknown.get(name) ?? []) record.state = "burnt";
      this.#unknown.delete(name);
      return;
    }
    const block = Block.open(value, crc32);
    const records: Stored[] = [];
    for (let index = 0; index < block.count; index++) {
      records.push(this.#record(block, index, how));
    }
    this.#history.stored.push(...records);
    this.#blocks.set(name, records);
    if (how === "unknown") this.#unknown.set(name, records);
  }

  #record(block: Block, index: number, state: "ok" | "unknown"): Stored {
    const start = block.envelopeStart(index);
    const end = block.envelopeEnd(index);
    const { kind, subject } = block.subjects[block.subjectIndex(index)] as {
      kind: 0 | 1;
      subject: string;
    };
    const envelope = start === end ? undefined : new EnvelopeView(block.envelopeBytes, start, end);
    const at = { epoch: block.epoch, seq: block.firstSeq + index };
    return {
      node: this.#node,
      ...at,
      id: envelope === undefined ? "" : this.#identify(envelope, at),
      kind: kind === 1 ? "command" : "event",
      subject,
      key: envelope?.key,
      target: block.target(index),
      timeMs: envelope?.time.ms ?? 0,
      timeCounter: envelope?.time.counter ?? 0,
      expires: block.expireAtMs(index) >= 0,
      headers: envelope?.headers ?? {},
      atMs: this.#now(),
      state,
    };
  }

  #dead(name: string, value: Uint8Array | undefined, how: "ok" | "unknown"): void {
    if (value === undefined) {
      // Taken out by a sync that failed: the node does not know, and puts the same letter back.
      if (how === "ok") this.#deadLetters.delete(name);
      return;
    }
    const there = this.#deadLetters.get(name);
    if (there !== undefined && there.goneMs === undefined) return; // written again by a later commit
    const text = Buffer.from(value.subarray(0, value.indexOf(0x0a))).toString();
    const { subscription, epoch, seq, reason, attempts } = JSON.parse(text) as {
      subscription: string;
      epoch: number;
      seq: number;
      reason: string;
      attempts: number;
    };
    const place = { node: this.#node, subscription, epoch, seq };
    const dead: Dead = { ...place, reason, attempts, atMs: this.#now() };
    this.#deadLetters.set(name, dead);
    this.#history.dead.push(dead);
  }

  #birth(name: string, value: Uint8Array): void {
    const known = [...this.#history.known.values()].find(
      ({ id }) => nameOf(compositeKey("birth", id)) === name,
    );
    if (known === undefined) return;
    const { time } = JSON.parse(Buffer.from(value).toString()) as {
      time: { ms: number; counter: number };
    };
    known.births.push(time);
  }
}

const nameOf = (key: Uint8Array): string => Buffer.from(key).toString("latin1");
