/** A message that kills every process which handles it. */
import { afterEach, describe, expect, it } from "vitest";
import type { DeadLetterEntry } from "../../src/mesh/dead-letter-access.ts";
import type { ChildNode } from "./child-node.ts";
import { range } from "./until.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);
const LEDGER = "event audit sale.made";
const KILLER = 3;

describe("a message that kills what handles it", () => {
  it("ends in the dead letters after its attempts, and its neighbours are handled", async () => {
    const mesh = await world();
    const [shop, first] = await Promise.all([mesh.start("shop"), mesh.start("audit")]);
    await mesh.link(shop, first);
    let audit = first;
    let deaths = 0;
    const listen = (member: ChildNode): Promise<unknown> =>
      member.listen({
        name: "log",
        verb: "subscribe",
        subject: "sale.made",
        options: { durable: true, retry: { attempts: 2, baseMs: 0, capMs: 0 } },
        behaviour: [{ type: "kill", only: [KILLER] }],
      });
    await listen(audit);
    for (const n of range(0, 8)) await shop.publish("sale.made", n);
    const isDone = async (): Promise<boolean> => (await shop.ledger())[LEDGER]?.pending === 0;
    await shop.sees("the message is given up", async () => {
      if (audit.alive) return isDone();
      deaths++;
      expect(deaths).toBeLessThanOrEqual(4); // two in company, two alone
      audit = await mesh.start("audit");
      await mesh.link(shop, audit);
      await listen(audit).catch(() => {}); // it may die before it has answered
      return isDone();
    });
    expect(deaths).toBe(4);
    expect((await shop.ledger())[LEDGER]).toMatchObject({ accepted: 8, acked: 7, dead: 1 });
    let letter: DeadLetterEntry | undefined;
    await shop.sees("the dead letter is on disk", async () => {
      [letter] = await shop.deadLetters("audit");
      return letter !== undefined;
    });
    expect(letter).toMatchObject({ attempts: 2, reason: "2 attempts failed" });
    expect(letter?.errors.map(({ name }) => name)).toEqual(["ProcessDied", "ProcessDied"]);
  });
});
