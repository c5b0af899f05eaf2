/**
 * A process with a valid certificate that sends far more than its quota and heeds nothing: frames by hand. Its last line
 * is what it sent and how it was refused.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../src/mesh/system-ports.ts";
import { loadSecurity } from "../../src/security/load-security.ts";
import { stream } from "../../src/transport/stream/stream-transport.ts";
import type { SubscriptionRecord } from "../../src/wire/declare.ts";
import { encodeEnvelope } from "../../src/wire/envelope.ts";
import { encodeFrame, type Frame, type KnownFrame } from "../../src/wire/frames.ts";
import { subscriptionRecord } from "../frames-by-hand.ts";
import { greet } from "./greet-by-hand.ts";
import { Wire } from "./secured-rig.ts";

export type Flood =
  | "messages"
  | "durable"
  | "requests"
  | "subscriptions"
  | "sessions"
  | "credentials";

export type FlooderOrder = {
  readonly folder: string;
  readonly address: string;
  readonly flood: Flood;
  /** Frames or sessions, or messages: what the quota counts. */
  readonly perSecond: number;
  readonly forMs: number;
};

export type FlooderReport = {
  readonly sent: number;
  readonly sessions: number;
  /** How often, by the code of a reject, a bye, a reply or a confirmation; "lost": without a word. */
  readonly refusals: Readonly<Record<string, number>>;
};

/** Its line when it is in for the first time. */
export const BEGUN = "begun";
const TICK_MS = 10;
const RETRY_MS = 5;
const BATCH_MESSAGES = 100;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const time = { ms: Date.now(), counter: 0 };
const payload = Buffer.from('{"by":"flooder"}');

class Flooder {
  readonly #order: FlooderOrder;
  readonly #security: ReturnType<typeof loadSecurity>;
  readonly #refusals: Record<string, number> = {};
  readonly #transport = stream();
  #sent = 0;
  #sessions = 0;
  #number = 1;

  constructor(order: FlooderOrder) {
    this.#order = order;
    this.#security = loadSecurity(order.folder);
  }

  async run(): Promise<FlooderReport> {
    const context = { clock: systemClock(), logger: silent, frameBytesMax: 1 << 20 };
    await this.#transport.start({ ...context, count: () => {}, security: this.#security });
    const endMs = performance.now() + this.#order.forMs;
    while (performance.now() < endMs) {
      await this.#session(endMs);
      if (this.#order.flood !== "sessions") await sleep(RETRY_MS);
    }
    await this.#transport.stop();
    return { sent: this.#sent, sessions: this.#sessions, refusals: this.#refusals };
  }

  async #session(endMs: number): Promise<void> {
    const wire = await this.#greeted();
    if (wire === undefined) return;
    if (this.#sessions === 1) process.stdout.write(`${BEGUN}\n`);
    this.#number = 1;
    const session = wire.find("welcome")?.session ?? 0;
    const { flood, perSecond } = this.#order;
    if (flood === "sessions") {
      this.#sent++;
      wire.connection.close();
      return;
    }
    const tick = Math.ceil((perSecond * TICK_MS) / 1_000);
    while (performance.now() < endMs && !wire.isClosed) {
      for (let left = tick; left > 0 && !wire.isClosed; ) {
        const { frames, counts } = this.#next(wire, session, Math.min(left, BATCH_MESSAGES));
        for (const frame of frames) wire.connection.send(encodeFrame(frame));
        left -= counts;
        this.#sent += counts;
      }
      for (const { frame } of wire.frames.splice(0)) this.#heard(frame);
      await sleep(TICK_MS);
    }
    for (const { frame } of wire.frames.splice(0)) this.#heard(frame);
    wire.connection.close();
  }

  async #greeted(): Promise<Wire | undefined> {
    const { address } = this.#order;
    try {
      const wire = new Wire(await this.#transport.dial(address, { timeoutMs: 5_000 }));
      if (await greet(wire, this.#security)) {
        this.#sessions++;
        await wire.until("declare"); // what it may send to
        return wire;
      }
      const reject = wire.find("reject");
      this.#refused(reject?.code ?? "lost");
    } catch (error) {
      this.#refused((error as { code?: string }).code ?? "lost");
    }
    return undefined;
  }

  #indexOf(wire: Wire, role: SubscriptionRecord["role"], pattern: string): number {
    const records = this.#declared.length > 0 ? this.#declared : declaredIn(wire);
    this.#declared = records;
    return records.find((one) => one.role === role && one.pattern === pattern)?.index ?? 0;
  }

  #declared: readonly SubscriptionRecord[] = [];

  #next(
    wire: Wire,
    session: number,
    most: number,
  ): { readonly frames: readonly KnownFrame[]; readonly counts: number } {
    const { flood } = this.#order;
    switch (flood) {
      case "messages":
      case "durable": {
        const volatile = flood === "messages";
        const first = this.#number;
        this.#number += most;
        const subscription = this.#indexOf(wire, "events", `flood.${flood}`);
        const envelope = encodeEnvelope({ subject: `flood.${flood}`, kind: 0, time, payload });
        const deliveries = Array.from({ length: most }, (_, at) => ({
          seq: volatile ? 0 : first + at,
          keyHash: -1,
          attempts: 0,
          skip: 0,
          remainingMs: -1,
          resume: false,
          bytes: envelope,
          envelopeStart: 0,
          envelopeEnd: envelope.length,
        }));
        const epoch = volatile ? 0 : 2_000_000_000;
        const head = { subscription, first, epoch, volatile, floorEpoch: 0, floorSeq: 0, term: 1 };
        const sections = [{ ...head, deliveries, bundles: [] }];
        return { frames: [{ type: "batch", session, sections }], counts: most };
      }
      case "requests": {
        const envelope = encodeEnvelope({ subject: "flood.ask", kind: 2, time, payload });
        const subscription = this.#indexOf(wire, "queries", "flood.ask");
        const request = { type: "request", session, subscription, remainingMs: 5_000 } as const;
        return { frames: [{ ...request, id: this.#number++, envelope }], counts: 1 };
      }
      case "subscriptions": {
        const index = this.#number++;
        const add = [recordOf(index, this.#security.self.nodeId)];
        const rest = { drain: [], remove: [], complete: false, ended: [] };
        return { frames: [{ type: "declare", session, add, ...rest }], counts: 1 };
      }
      case "credentials": {
        const [leaf = payload] = this.#security.self.chain;
        const forged = Buffer.from(leaf);
        forged.set(randomBytes(8), forged.length - 8);
        const rest = { chain: [forged], revocations: new Uint8Array(0), secrets: [] };
        return { frames: [{ type: "credentials", session, ...rest }], counts: 1 };
      }
      case "sessions":
        return { frames: [], counts: most };
    }
  }

  #heard(frame: Frame): void {
    if (frame.type === "bye") this.#refused(frame.code);
    if (frame.type === "reply" && frame.error !== undefined) this.#refused(frame.error.code);
    if (frame.type !== "declared") return;
    for (const { code } of frame.confirmations) if (code !== "") this.#refused(code);
  }

  #refused(code: string): void {
    this.#refusals[code] = (this.#refusals[code] ?? 0) + 1;
  }
}

const declaredIn = (wire: Wire): readonly SubscriptionRecord[] =>
  wire.frames.flatMap(({ frame }) => (frame.type === "declare" ? frame.add : []));

const recordOf = (index: number, birthCreator: string): SubscriptionRecord =>
  subscriptionRecord({
    ...{ index, group: `flood-${index}`, pattern: `flood.n${index}`, birthCreator },
    ...{ birthTime: time, definedTime: time, distribution: "any" },
  });

const [order] = process.argv.slice(2);
if (order !== undefined) {
  const report = await new Flooder(JSON.parse(order) as FlooderOrder).run();
  process.stdout.write(`${JSON.stringify(report)}\n`);
}
