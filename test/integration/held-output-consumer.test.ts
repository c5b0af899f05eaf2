/**
 * Held output when a member is killed at each step of settling, with fail-over: what its handler sent
 * reaches the recorder once.
 */
import { afterEach, describe, expect, it } from "vitest";
import type { Behaviour, KillRule } from "../children/node-protocol.ts";
import { Chain } from "./held-output-chain.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);

type Step = {
  readonly name: string;
  /** Where the transport kills; absent: the handler does. */
  readonly rule?: KillRule;
  /** The producer had accepted the settle: the output is this member's to send, whenever it comes back. */
  readonly accepted: boolean;
};

const STEPS: readonly Step[] = [
  { name: "before the handler ends", accepted: false },
  {
    name: "after the commit, before the settle is sent",
    rule: { direction: "out", frame: "settle", having: "held", when: "before" },
    accepted: false,
  },
  {
    name: "after the settle was accepted, before it hears so",
    rule: { direction: "in", frame: "accepted", when: "before" },
    accepted: true,
  },
  {
    name: "after it heard Accepted, before the release is synced",
    rule: { direction: "in", frame: "accepted", when: "after" },
    accepted: true,
  },
  {
    name: "after the release, before the producer hears so",
    rule: { direction: "out", frame: "settle", having: "released", when: "before" },
    accepted: true,
  },
];

const dying: Behaviour[] = [{ type: "kill", only: [0, 1, 2, 3] }];
const doomed = (chain: Chain, { rule }: Step) =>
  chain.join("b1", rule, rule === undefined ? { behaviour: dying } : {});

describe("held output of a member killed", () => {
  for (const step of STEPS) {
    it(`${step.name}: leaves once when it comes back alone`, async () => {
      const chain = await Chain.start(await world());
      const b1 = await doomed(chain, step);
      await chain.post();
      expect(await b1.exited).toBe("SIGKILL");
      await chain.join("b1");
      await chain.proves();
    });

    it(`${step.name}: leaves once when another took over and it comes back later`, async () => {
      const chain = await Chain.start(await world());
      const b1 = await doomed(chain, step);
      await chain.post();
      expect(await b1.exited).toBe("SIGKILL");
      await chain.join("b2");
      await chain.settled();
      await chain.join("b1");
      await chain.proves();
    });
  }

  for (const step of STEPS.filter(({ accepted }) => !accepted)) {
    it(`${step.name}: is replaced by another member's when it never comes back`, async () => {
      const chain = await Chain.start(await world());
      const b1 = await doomed(chain, step);
      await chain.post();
      expect(await b1.exited).toBe("SIGKILL");
      await chain.join("b2");
      await chain.proves();
    });
  }
});

describe("held output of a member frozen in its handler", () => {
  it("is discarded when another took over meanwhile, and its effects are once", async () => {
    const chain = await Chain.start(await world());
    const behaviour: Behaviour[] = [{ type: "freeze", only: [0] }];
    const b1 = await chain.join("b1", undefined, { behaviour });
    await chain.post();
    await b1.sees("its first handler runs", () => b1.numbers("start", "jobs").length > 0);
    b1.frozen = true;
    await chain.a.sees("b1 is dead", async () => {
      return (await chain.a.peers()).some(({ nodeId, state }) => {
        return nodeId === b1.id && state === "dead";
      });
    });
    await chain.join("b2");
    await chain.settled();
    b1.thaw();
    await b1.handledAll("jobs", [0]);
    await b1.sees("what it did too late is discarded", async () => {
      const discarded = await b1.counter("output.discarded");
      return discarded >= b1.numbers("end", "jobs").length;
    });
    await chain.proves();
  });
});
