/**
 * At most once: a message goes to one live member of each group that wants it, or is dropped and counted.
 *
 * Nothing waits here: without credit, with a congested link or without a member the message is dropped, and
 * the caller is told why. What goes to the same members as the message before it is encoded once for all of
 * them (shared-run.ts). Bound: what consumers gave credit for.
 */
import { shardOf } from "../../core/shard-map.ts";
import type { EnvelopeTemplate } from "../../wire/envelope.ts";
import type { EnvelopeVariables } from "../../wire/envelope-rest.ts";
import { headOfBatch, headOfEnvelope } from "../../wire/large-frame.ts";
import type { Environment } from "../environment.ts";
import type { Link } from "../link/link.ts";
import type { LinkOutlets, Outlet } from "./outlet.ts";
import { SharedRun, takesBundles } from "./shared-run.ts";
import type { SubscriptionState } from "./subscription-state.ts";
import type { SubscriptionTable } from "./subscription-table.ts";

export type EmitVerdict = "taken" | "noSubscriber" | "noCredit" | "congested" | "tooLarge";

export type EmitterHost = {
  readonly env: Environment;
  readonly table: SubscriptionTable;
  outletsOf(link: Link): LinkOutlets<SubscriptionState> | undefined;
};

/** Fields beside the payload are small; the credit is charged with the true size. */
const FIELDS_BYTES = 1_024;

/** A larger one is copied anyway, and fills a frame by itself. */
const SHARED_BYTES_MAX = 32 * 1024;

export class Emitter {
  readonly #host: EmitterHost;
  readonly #run: SharedRun;

  constructor(host: EmitterHost) {
    this.#host = host;
    this.#run = new SharedRun((link) => host.outletsOf(link));
  }

  emit(
    subject: string,
    keyHash: number,
    template: EnvelopeTemplate,
    variables: EnvelopeVariables,
  ): EmitVerdict {
    const run = this.#run;
    const states = this.#host.table.matching(0, subject);
    const bytes = variables.payload.length + FIELDS_BYTES;
    if (variables.payload.length > SHARED_BYTES_MAX) {
      run.seal();
      this.#host.env.garbage?.made(bytes);
      return this.#handEach(states, false, keyHash, template, variables);
    }
    run.continue(states, bytes);
    const { others } = run;
    const isShared = run.members > 0;
    if (isShared) run.append(template, keyHash, variables);
    if (isShared && others.length === 0) return "taken";
    return this.#handEach(others, isShared, keyHash, template, variables);
  }

  #handEach(
    states: readonly SubscriptionState[],
    isTaken: boolean,
    keyHash: number,
    template: EnvelopeTemplate,
    variables: EnvelopeVariables,
  ): EmitVerdict {
    const { counters } = this.#host.env;
    let verdict: EmitVerdict = isTaken ? "taken" : "noSubscriber";
    for (const state of states) {
      if (!passes(state, variables)) continue;
      const outlet = outletFor(state, keyHash);
      if (outlet === undefined) continue;
      const refusal = this.#hand(outlet, keyHash, template, variables);
      if (refusal === undefined) {
        verdict = "taken";
      } else {
        counters.count(`emit.dropped.${refusal}`);
        if (verdict === "noSubscriber") verdict = refusal;
      }
    }
    if (verdict === "noSubscriber") counters.count("emit.dropped.noSubscriber");
    return verdict;
  }

  #hand(
    outlet: Outlet<SubscriptionState>,
    keyHash: number,
    template: EnvelopeTemplate,
    variables: EnvelopeVariables,
  ): Exclude<EmitVerdict, "taken"> | undefined {
    const { link } = outlet;
    const outlets = this.#host.outletsOf(link);
    if (outlets === undefined) return "noSubscriber";
    if (link.congested) return "congested";
    if (!link.pieces.takes(variables.payload.length + FIELDS_BYTES)) return "tooLarge";
    if (!outlet.takesVolatile(variables.payload.length + FIELDS_BYTES)) return "noCredit";
    const { pieces } = link;
    const { length } = variables.payload;
    if (pieces.isLarge(length) || (length > SHARED_BYTES_MAX && pieces.isCopied(length))) {
      this.#sendAlone(outlet, keyHash, template, variables);
      return undefined;
    }
    outlets.section(outlet, true, 0, outlet.volatileNext++);
    const { batch } = link;
    outlet.volatileBytes += takesBundles(link)
      ? batch.bundled(template, keyHash, variables)
      : batch.emitDelivery(0, keyHash, 0, 0, -1, false, template, variables);
    link.batchGrew();
    return undefined;
  }

  /** In a frame of its own; its payload is copied, for its owner may change it. */
  #sendAlone(
    outlet: Outlet<SubscriptionState>,
    keyHash: number,
    template: EnvelopeTemplate,
    variables: EnvelopeVariables,
  ): void {
    const { link } = outlet;
    const { payload } = variables;
    const head = headOfEnvelope(template, variables);
    const bytes = head.length + payload.length;
    const section = outlet.headOf(true, 0, outlet.volatileNext++);
    const how = { seq: 0, keyHash, attempts: 0, skip: 0, remainingMs: -1, resume: false };
    const around = Buffer.concat([headOfBatch(link.session, section, how, bytes), head]);
    outlet.volatileBytes += bytes;
    if (link.pieces.isLarge(payload.length))
      link.sendAlone(around, this.#host.env.copies.of(payload));
    else link.sendAlone(around, payload, true);
  }
}

const passes = ({ definition }: SubscriptionState, variables: EnvelopeVariables): boolean => {
  if (definition.filter.length === 0) return true;
  const headers = variables.headers ?? {};
  return definition.filter.every(({ name, value }) => headers[name] === value);
};

/** The owner of the key; without an owner the members in turn, those that can take it first. */
const outletFor = (
  state: SubscriptionState,
  keyHash: number,
): Outlet<SubscriptionState> | undefined => {
  const { outlets } = state;
  if (outlets.size === 0) return undefined;
  if (state.isKeyed && keyHash >= 0) {
    const owner = state.cursor.owners.of(shardOf(keyHash));
    const outlet = owner === undefined ? undefined : outlets.get(owner.id);
    if (outlet !== undefined) return outlet;
  }
  if (outlets.size === 1) return outlets.values().next().value;
  const all = [...outlets.values()];
  state.turn = (state.turn + 1) % all.length;
  for (let tries = 0; tries < all.length; tries++) {
    const outlet = all[(state.turn + tries) % all.length] as Outlet<SubscriptionState>;
    if (!outlet.link.congested && outlet.takesVolatile(0)) return outlet;
  }
  return all[state.turn];
};
