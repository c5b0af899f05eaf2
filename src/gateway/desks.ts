/**
 * The listenings of a gateway: opened for the first stream, shared with those that come after, ended when the
 * last has left.
 *
 * Invariants: one desk for each role, group and pattern, as one node is one member; a desk that ends is out of
 * the way before the next of its name opens, so that the node never sees two.
 */
import { MeshError } from "../errors.ts";
import type { HandlerContext } from "../mesh/handler-context.ts";
import type { MeshNode } from "../mesh/mesh-node.ts";
import type { Subscription } from "../mesh/subscription.ts";
import type { RequestContext } from "../mesh/user-handlers.ts";
import type { Clock } from "../ports/clock.ts";
import { askedOf, deliveryOf } from "./deliveries.ts";
import { Desk, type Seat, type Task } from "./desk.ts";
import { checkAlike, type Opening } from "./open-options.ts";
import { type Raw, rawListening } from "./raw-contract.ts";
import { Suspects } from "./suspects.ts";

export type Place = {
  readonly opening: Opening;
  readonly desk: Desk;
  readonly ready: Promise<Subscription>;
  /** Once it stands. */
  subscription: Subscription | undefined;
  /** Streams that wait for `ready`. */
  joining: number;
  stopped: Promise<void> | undefined;
};

/** Of the client whose stream leaves. */
type Leaving = { readonly isGone: boolean; readonly isAlone: boolean };

export class Desks {
  readonly #node: MeshNode;
  readonly #clock: Clock;
  #isStopped = false;
  readonly #suspects = new Suspects();
  readonly #places = new Map<string, Place>();

  constructor(node: MeshNode, clock: Clock) {
    this.#node = node;
    this.#clock = clock;
  }

  /** Resolves when the subscription stands; the seat has its place then. @throws why there is none */
  async sit(opening: Opening, seat: Seat): Promise<{ place: Place; subscription: Subscription }> {
    const name = `${opening.role} ${opening.group} ${opening.pattern}`;
    for (;;) {
      if (this.#isStopped) throw new MeshError("STOPPED", "the gateway stops or has stopped");
      const standing = this.#places.get(name);
      if (standing?.stopped !== undefined) {
        await standing.stopped;
        continue;
      }
      if (standing !== undefined) checkAlike(standing.opening, opening);
      const place = standing ?? this.#open(name, opening);
      place.joining++;
      const subscription = await place.ready.finally(() => place.joining--);
      if (place.stopped !== undefined) continue;
      place.desk.sit(seat);
      return { place, subscription };
    }
  }

  /** Resolves when what the seat settled is on its way; `has`: what it did not settle. */
  async leave(place: Place, seat: Seat, has: readonly Task[], client: Leaving): Promise<void> {
    place.desk.leave(seat, has, client.isGone, client.isAlone);
    if (!place.desk.isEmpty || place.joining > 0) return;
    await this.#stop(place);
  }

  /** The node ended a subscription that stood: another group has claimed the command before. */
  refused(): void {
    for (const { subscription, desk } of this.#places.values()) {
      const why = subscription?.refused;
      if (why === undefined) continue;
      for (const seat of [...desk.seats]) seat.end(why);
    }
  }

  /** Gives nothing more; resolves when all that is out has ended, and nothing is left. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const places = [...this.#places.values()];
    for (const { desk } of places) {
      desk.close();
      for (const seat of desk.seats) seat.stopping();
    }
    await Promise.all(places.map((place) => this.#stop(place)));
  }

  #stop(place: Place): Promise<void> {
    place.stopped ??= this.#ended(place);
    return place.stopped;
  }

  async #ended(place: Place): Promise<void> {
    const { role, group, pattern } = place.opening;
    try {
      await (await place.ready).stop();
    } finally {
      this.#places.delete(`${role} ${group} ${pattern}`);
    }
  }

  #open(name: string, opening: Opening): Place {
    const { role, concurrency, timeoutMs } = opening;
    const isQuery = role === "queries";
    const desk = new Desk({
      timeoutMs,
      tasksMax: isQuery ? concurrency : Number.POSITIVE_INFINITY,
      clock: this.#clock,
      name,
      suspects: isQuery ? undefined : this.#suspects,
    });
    const ready = this.#listen(opening, desk);
    const place: Place = {
      ...{ opening, desk, ready, joining: 0 },
      ...{ subscription: undefined, stopped: undefined },
    };
    this.#places.set(name, place);
    ready.then(
      (subscription) => {
        place.subscription = subscription;
      },
      () => this.#places.delete(name), // who waits for it is told
    );
    return place;
  }

  async #listen({ role, pattern, accepts, options }: Opening, desk: Desk): Promise<Subscription> {
    const node = this.#node;
    if (role === "queries") {
      const ask = (raw: Raw, ctx: RequestContext): Promise<never> => {
        const { content, bytes } = askedOf(pattern, raw, ctx);
        return desk.take(content, bytes, ctx.signal, undefined) as Promise<never>;
      };
      return node.reply(rawListening("query", pattern, accepts), ask as never, options);
    }
    const handle = (raw: Raw, ctx: HandlerContext): Promise<unknown> => {
      const { content, bytes } = deliveryOf(raw, ctx);
      return desk.take(content, bytes, ctx.signal, ctx);
    };
    return role === "events"
      ? node.subscribe(rawListening("event", pattern, accepts), handle as never, options)
      : node.handle(rawListening("command", pattern, accepts), handle as never, options);
  }
}
