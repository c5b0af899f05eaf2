/**
 * The latest claim about each member, eight bytes each.
 *
 * Invariants: `live` counts the members that are alive, stalled or suspect; a name is in use as long as it is in the
 * table. Who puts a claim has checked that it is the later one.
 * Bound: `membersMax`, the dead ones included; `add` refuses what is past it.
 */
import { type Claim, incarnationOf, isLive, type SwimState, stateOf, vouchOf } from "./claim.ts";
import type { MemberNames } from "./member-names.ts";

const INITIAL = 64;

export class MemberTable {
  readonly #names: MemberNames;
  readonly #membersMax: number;
  /** 0: not in the table. */
  #epochs = new Uint32Array(INITIAL);
  #words = new Uint32Array(INITIAL);
  #size = 0;
  #live = 0;

  constructor(names: MemberNames, membersMax: number) {
    this.#names = names;
    this.#membersMax = membersMax;
  }

  get size(): number {
    return this.#size;
  }

  get live(): number {
    return this.#live;
  }

  /** One above the highest number that may be in the table. */
  get span(): number {
    return Math.min(this.#epochs.length, this.#names.span);
  }

  has(number: number): boolean {
    return this.epoch(number) !== 0;
  }

  epoch(number: number): number {
    return number < this.#epochs.length ? (this.#epochs[number] ?? 0) : 0;
  }

  word(number: number): number {
    return this.#words[number] ?? 0;
  }

  state(number: number): SwimState {
    return stateOf(this.word(number));
  }

  isLive(number: number): boolean {
    return this.has(number) && isLive(this.state(number));
  }

  isLater(number: number, epoch: number, word: number): boolean {
    const known = this.epoch(number);
    return epoch === known ? word > this.word(number) : epoch > known;
  }

  /** Takes a member in; -1: the table is full. */
  add(id: string, epoch: number, word: number): number {
    if (this.#size >= this.#membersMax) return -1;
    const number = this.#names.take(id);
    if (number >= this.#epochs.length) this.#grow(number);
    this.#size++;
    this.#epochs[number] = epoch;
    this.#words[number] = word;
    if (isLive(stateOf(word))) this.#live++;
    return number;
  }

  /** Another claim about a member in the table. */
  put(number: number, epoch: number, word: number): void {
    if (this.isLive(number)) this.#live--;
    this.#epochs[number] = epoch;
    this.#words[number] = word;
    if (isLive(stateOf(word))) this.#live++;
  }

  remove(number: number): void {
    if (this.isLive(number)) this.#live--;
    this.#size--;
    this.#epochs[number] = 0;
    this.#words[number] = 0;
    this.#names.release(number);
  }

  claim(number: number, accuser = ""): Claim {
    const word = this.word(number);
    return {
      id: this.#names.id(number),
      epoch: this.epoch(number),
      incarnation: incarnationOf(word),
      vouch: vouchOf(word),
      state: stateOf(word),
      accuser,
    };
  }

  #grow(number: number): void {
    const doubled = this.#epochs.length * 2;
    const length = Math.max(number + 1, Math.max(this.#names.span, doubled));
    const epochs = new Uint32Array(length);
    const words = new Uint32Array(length);
    epochs.set(this.#epochs);
    words.set(this.#words);
    this.#epochs = epochs;
    this.#words = words;
  }
}
