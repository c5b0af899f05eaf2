/**
 * At-most-once messages that go to the same members one after another: encoded once, whatever their number.
 *
 * Problem: each link's batch would encode a message anew, ask for its credit and look for its member. Approach:
 * who takes the messages of these subscriptions is found once, and holds until the end of the turn, or until
 * 16 KiB are full or a member's credit is used up; messages gather as bundles, which belong to no link, and
 * each link gets them with a few bytes of its own in front.
 *
 * Only what leaves no choice is shared: a subscription without filter, one member, which takes bundles, has
 * credit and a link that is not congested. Others are the caller's, message by message.
 *
 * Invariants: a member's numbers and bytes are counted when a run is sealed, and nothing else is sent to it at
 * most once before; while a run is open, each of its links seals it before it sends what it gathered.
 */
import { BUNDLE_FEATURE } from "../../wire/bundle.ts";
import { BundleWriter } from "../../wire/bundle-writer.ts";
import { ByteWriter } from "../../wire/byte-writer.ts";
import type { EnvelopeTemplate } from "../../wire/envelope.ts";
import type { EnvelopeVariables } from "../../wire/envelope-rest.ts";
import type { Link } from "../link/link.ts";
import type { LinkOutlets, Outlet } from "./outlet.ts";
import type { SubscriptionState } from "./subscription-state.ts";

type Outlets = (link: Link) => LinkOutlets<SubscriptionState> | undefined;

/**
 * A run is sealed when it reaches this size: a quarter of what a socket gives at once, so that most frames lie in one
 * chunk at their reader and are not copied there.
 */
const RUN_BYTES = 16 * 1024;
/** Up to this, what was gathered is copied into each link's batch. */
const COPY_BYTES_MAX = 8 * 1024;
const NOBODY: readonly SubscriptionState[] = Object.freeze([]);

export class SharedRun {
  readonly #outletsOf: Outlets;
  readonly #writer = new ByteWriter(RUN_BYTES + 8 * 1024);
  readonly #bundles = new BundleWriter(this.#writer);
  #states: readonly SubscriptionState[] | undefined;
  #others: readonly SubscriptionState[] = NOBODY;
  #outlets: Outlet<SubscriptionState>[] = [];
  #count = 0;
  #bytes = 0;
  /** What the member with the least credit takes. */
  #countMax = 0;
  #bytesMax = 0;

  constructor(outletsOf: Outlets) {
    this.#outletsOf = outletsOf;
  }

  /** Members that get what is appended. */
  get members(): number {
    return this.#outlets.length;
  }

  /** Subscriptions that do not share. */
  get others(): readonly SubscriptionState[] {
    return this.#others;
  }

  /** Makes it a run of these subscriptions in which a message of at most so many bytes has room. */
  continue(states: readonly SubscriptionState[], bytes: number): void {
    const fits = this.#count < this.#countMax && this.#bytes + bytes <= this.#bytesMax;
    if (states === this.#states && fits) return;
    this.seal();
    this.#begin(states, bytes);
  }

  /** Adds a message for all members. */
  append(template: EnvelopeTemplate, keyHash: number, variables: EnvelopeVariables): void {
    this.#bytes += this.#bundles.append(template, keyHash, variables);
    this.#count++;
    if (this.#writer.position >= RUN_BYTES) this.seal();
  }

  /** Hands what was gathered to the links. */
  readonly seal = (): void => {
    const outlets = this.#outlets;
    this.#states = undefined;
    this.#others = NOBODY;
    if (outlets.length === 0) return;
    const count = this.#count;
    const bytes = this.#bytes;
    this.#outlets = [];
    this.#count = 0;
    this.#bytes = 0;
    for (const { link } of outlets) link.beforeFlush = undefined;
    if (count === 0) return;
    this.#bundles.close();
    const bundles = this.#writer.take();
    for (const outlet of outlets) {
      const { link } = outlet;
      const { batch } = link;
      this.#outletsOf(link)?.restart();
      if (batch.empty) batch.begin(link.session);
      batch.beginSection(outlet.headOf(true, 0, outlet.volatileNext));
      if (bundles.length < COPY_BYTES_MAX) batch.bundles(bundles, count);
      else batch.endWith(bundles, count);
      outlet.volatileNext += count;
      outlet.volatileBytes += bytes;
      link.batchGrew();
    }
  };

  #begin(states: readonly SubscriptionState[], bytes: number): void {
    const others: SubscriptionState[] = [];
    this.#countMax = Number.MAX_SAFE_INTEGER;
    this.#bytesMax = Number.MAX_SAFE_INTEGER;
    for (const state of states) {
      const outlet = this.#sharing(state, bytes);
      if (outlet === undefined) {
        others.push(state);
        continue;
      }
      this.#outlets.push(outlet);
      this.#countMax = Math.min(this.#countMax, outlet.volatileLeft);
      this.#bytesMax = Math.min(this.#bytesMax, outlet.volatileBytesLeft);
    }
    this.#others = others;
    if (this.#outlets.length === 0) return;
    this.#states = states;
    for (const { link } of this.#outlets) {
      link.beforeFlush = this.seal;
      link.askTurn();
    }
  }

  #sharing(state: SubscriptionState, bytes: number): Outlet<SubscriptionState> | undefined {
    if (state.outlets.size !== 1 || state.definition.filter.length > 0) return undefined;
    const outlet = state.outlets.values().next().value as Outlet<SubscriptionState>;
    const { link } = outlet;
    if (!takesBundles(link) || this.#outletsOf(link) === undefined) return undefined;
    return !link.congested && outlet.takesVolatile(bytes) ? outlet : undefined;
  }
}

export const takesBundles = (link: Link): boolean => (link.peer.features & BUNDLE_FEATURE) !== 0;
