/** A peer by hand that declares whatever it likes, hears no refusal, gives credit for all of it, and writes down what comes. */

import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import { systemClock } from "../../src/mesh/system-ports.ts";
import type { Security } from "../../src/ports/security.ts";
import type { SubscriptionRecord } from "../../src/wire/declare.ts";
import { EnvelopeView } from "../../src/wire/envelope.ts";
import { encodeFrame, type KnownFrame } from "../../src/wire/frames.ts";
import { subscriptionRecord } from "../frames-by-hand.ts";
import { until } from "../integration/until.ts";
import { greet } from "./greet-by-hand.ts";
import { type SecuredRig, Wire } from "./secured-rig.ts";

const MUCH = 1_000;

export class LyingTaker {
  readonly #wire: Wire;
  readonly #nodeId: string;
  readonly #session: number;
  #index = 0;

  private constructor(wire: Wire, nodeId: string) {
    this.#wire = wire;
    this.#nodeId = nodeId;
    this.#session = wire.find("welcome")?.session ?? 0;
  }

  static async start(rig: SecuredRig, security: Security, at: MeshNode): Promise<LyingTaker> {
    const transport = await rig.transport("tcp", security);
    const address = at.addresses[0] as string;
    const wire = new Wire(await transport.dial(address, { timeoutMs: 5_000 }));
    if (!(await greet(wire, security))) throw new Error("an honest greeting was refused");
    return new LyingTaker(wire, security.self.nodeId);
  }

  /** Declares it, and gives credit whatever is answered. Whether it was confirmed. */
  async take(
    role: SubscriptionRecord["role"],
    pattern: string,
  ): Promise<{ readonly index: number; readonly confirmed: boolean }> {
    const index = ++this.#index;
    const time = { ms: systemClock().wallMs(), counter: 0 };
    const record = subscriptionRecord({
      ...{ index, role, group: `lies-${index}`, pattern, birthCreator: this.#nodeId },
      ...{ birthTime: time, definedTime: time, distribution: "any" },
    });
    const rest = { drain: [], remove: [], complete: false, ended: [] };
    this.#send({ type: "declare", session: this.#session, add: [record], ...rest });
    const limits = { numberLimit: MUCH, bytesLimit: 1 << 20, paused: false };
    const volatile = { volatileNumberLimit: MUCH, volatileBytesLimit: 1 << 20 };
    const entries = [{ subscription: index, ...limits, ...volatile }];
    await until(
      `an answer to ${role} ${pattern}`,
      () => this.#answer(index) !== undefined,
      () => "",
    );
    this.#send({ type: "credit", session: this.#session, entries });
    return { index, confirmed: this.#answer(index) === "" };
  }

  /** What came, as "how index": of messages what their body says, of requests "request". */
  get got(): readonly string[] {
    const got: string[] = [];
    for (const { frame } of this.#wire.frames) {
      if (frame.type === "request") got.push(`request ${frame.subscription}`);
      if (frame.type !== "batch") continue;
      for (const { subscription, deliveries } of frame.sections) {
        for (const { bytes, envelopeStart, envelopeEnd } of deliveries) {
          const { payload } = new EnvelopeView(bytes, envelopeStart, envelopeEnd);
          const { how } = JSON.parse(Buffer.from(payload).toString()) as { how: string };
          got.push(`${how} ${subscription}`);
        }
      }
    }
    return got;
  }

  /** Everything that the other side sent before this has come. */
  async flushed(): Promise<void> {
    const seen = (): number =>
      this.#wire.frames.filter(({ frame }) => frame.type === "ping").length;
    const before = seen();
    await until(
      "two heartbeats",
      () => seen() >= before + 2,
      () => "",
    );
  }

  #answer(index: number): string | undefined {
    for (const { frame } of this.#wire.frames) {
      if (frame.type !== "declared") continue;
      const answer = frame.confirmations.find(({ subscription }) => subscription === index);
      if (answer !== undefined) return answer.code;
    }
    return undefined;
  }

  #send(frame: KnownFrame): void {
    this.#wire.connection.send(encodeFrame(frame));
  }
}
