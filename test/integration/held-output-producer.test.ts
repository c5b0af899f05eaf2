/**
 * Held output when the producer of the handled message is killed at each step of settling, alone or
 * together with the member: what the handlers sent reaches the recorder once.
 */
import { afterEach, describe, expect, it } from "vitest";
import type { KillRule } from "../children/node-protocol.ts";
import { Chain } from "./held-output-chain.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);

const STEPS: readonly { readonly name: string; readonly rule: KillRule }[] = [
  {
    name: "before it reads the settle",
    rule: { direction: "in", frame: "settle", having: "held", when: "before" },
  },
  {
    name: "after it took the settle, before its cursor is synced",
    rule: { direction: "in", frame: "settle", having: "held", when: "after" },
  },
  {
    name: "after its cursor is synced, before Accepted is sent",
    rule: { direction: "out", frame: "accepted", when: "before" },
  },
  {
    name: "after Accepted was sent, before it hears of the release",
    rule: { direction: "in", frame: "settle", having: "released", when: "before" },
  },
];

/** The producer accepts all jobs before a member is there, so that none is lost in its death. */
const posted = async (rule: KillRule): Promise<Chain> => {
  const chain = await Chain.start(await world(), rule);
  await chain.post();
  return chain;
};

describe("held output when its producer is killed", () => {
  for (const { name, rule } of STEPS) {
    it(`${name}: leaves once when the producer comes back`, async () => {
      const chain = await posted(rule);
      const first = chain.a;
      // The group was never heard of: its subscription reads from the start of what is retained.
      await chain.join("b1", undefined, FROM_START);
      expect(await first.exited).toBe("SIGKILL");
      await chain.join("a");
      await chain.proves();
    });

    it(`${name}: leaves once when the member dies too and another takes over`, async () => {
      const chain = await posted(rule);
      const first = chain.a;
      const b1 = await chain.join("b1", undefined, FROM_START);
      expect(await first.exited).toBe("SIGKILL");
      await b1.kill();
      await chain.join("b2", undefined, FROM_START);
      await chain.join("a");
      await chain.settled();
      await chain.join("b1", undefined, FROM_START);
      await chain.proves();
    });
  }
});

const FROM_START = {
  options: { group: "work", durable: true, from: "earliest" },
} as const;
