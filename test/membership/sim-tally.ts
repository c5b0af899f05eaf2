/**
 * What is measured, by who knows the truth: which processes run, and who can reach whom.
 *
 * A false death is a life and incarnation that some node of its own side took for dead while it ran; however many
 * took it for that, it counts once, and `falseDeathViews` counts each. Not counted as false: what was said across a
 * partition, and in the `GRACE_MS` after its end.
 */
import type { SwimState } from "../../src/core/swim/claim.ts";

export type SimReport = {
  readonly nodes: number;
  readonly seconds: number;
  readonly seed: number;
  readonly preset: string;
  readonly loss: number;
  readonly kills: number;
  /** From a kill until a living node takes the member for dead, over all of both. */
  readonly detectionMs: { readonly p50: number; readonly p99: number };
  /** From a kill until every living node does: the slowest kill. -1: not all knew at the end. */
  readonly allKnowMs: number;
  readonly falseDeaths: number;
  /** Those of them whose event loop is never blocked. */
  readonly falseDeathsOfHealthy: number;
  readonly falseDeathViews: number;
  readonly falseSuspicions: number;
  /** From the end of the partition until everybody took everybody for alive. -1: not by the end. */
  readonly healMs: number;
  readonly bytesPerNodeSecond: number;
  readonly messagesPerNodeSecond: number;
  /** Of the node that sent the most. */
  readonly busiestBytesPerSecond: number;
  readonly largestMessageBytes: number;
};

export class SimTally {
  readonly #nodes: number;
  readonly #killedAtMs: Float64Array;
  readonly #detections: number[] = [];
  /** Of each killed member: how many know, and since when the last one does. */
  readonly #knowing = new Map<number, { count: number; lastMs: number }>();
  readonly #blocked: number;
  readonly #falseDeaths = new Set<string>();
  readonly #healthyDeaths = new Set<string>();
  readonly #falseSuspicions = new Set<string>();
  readonly #bytes: Float64Array;
  #falseDeathViews = 0;
  #messages = 0;
  #largest = 0;
  healMs = -1;

  /** The first `blocked` nodes are. */
  constructor(nodes: number, blocked: number) {
    this.#nodes = nodes;
    this.#blocked = blocked;
    this.#killedAtMs = new Float64Array(nodes).fill(Number.POSITIVE_INFINITY);
    this.#bytes = new Float64Array(nodes);
  }

  sent(node: number, bytes: number): void {
    this.#messages++;
    this.#bytes[node] = (this.#bytes[node] as number) + bytes;
    this.#largest = Math.max(this.#largest, bytes);
  }

  killed(member: number, nowMs: number): void {
    this.#killedAtMs[member] = nowMs;
    this.#knowing.set(member, { count: 0, lastMs: nowMs });
  }

  /** A living node has another state of a member. `version` names the member's life and incarnation. */
  changed(
    member: number,
    version: string,
    state: SwimState,
    isReachable: boolean,
    nowMs: number,
  ): void {
    const knowing = this.#knowing.get(member);
    if (knowing !== undefined) {
      if (state !== "dead") return;
      knowing.count++;
      knowing.lastMs = nowMs;
      this.#detections.push(nowMs - (this.#killedAtMs[member] as number));
    } else if (isReachable && state === "dead") {
      this.#falseDeathViews++;
      this.#falseDeaths.add(version);
      if (member >= this.#blocked) this.#healthyDeaths.add(version);
    } else if (isReachable && state === "suspect") this.#falseSuspicions.add(version);
  }

  report(about: {
    readonly seconds: number;
    readonly seed: number;
    readonly preset: string;
    readonly loss: number;
    readonly isKnownByAll: boolean;
  }): SimReport {
    const { isKnownByAll, ...rest } = about;
    const sorted = Float64Array.from(this.#detections).sort();
    const at = (share: number): number =>
      sorted.length === 0
        ? -1
        : (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number);
    let allKnowMs = isKnownByAll && this.#knowing.size > 0 ? 0 : -1;
    if (isKnownByAll) {
      for (const [member, { lastMs }] of this.#knowing) {
        allKnowMs = Math.max(allKnowMs, lastMs - (this.#killedAtMs[member] as number));
      }
    }
    const bytes = this.#bytes.reduce((sum, one) => sum + one, 0);
    const perNodeSecond = (total: number): number =>
      Math.round((total / this.#nodes / about.seconds) * 10) / 10;
    return {
      nodes: this.#nodes,
      ...rest,
      kills: this.#knowing.size,
      detectionMs: { p50: at(0.5), p99: at(0.99) },
      allKnowMs,
      falseDeaths: this.#falseDeaths.size,
      falseDeathsOfHealthy: this.#healthyDeaths.size,
      falseDeathViews: this.#falseDeathViews,
      falseSuspicions: this.#falseSuspicions.size,
      healMs: this.healMs,
      bytesPerNodeSecond: perNodeSecond(bytes),
      messagesPerNodeSecond: perNodeSecond(this.#messages),
      busiestBytesPerSecond: Math.round(
        this.#bytes.reduce((a, b) => Math.max(a, b), 0) / about.seconds,
      ),
      largestMessageBytes: this.#largest,
    };
  }
}
