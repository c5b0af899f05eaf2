import { describe, expect, it } from "vitest";
import { GIVEN_UP_MAX, GivenUp } from "../../../src/runtime/producer/given-up.ts";
import { subscriptionId } from "../../../src/runtime/subscription-id.ts";
import { subscriptionRecord } from "../../frames-by-hand.ts";
import { openJournal, record } from "../journal/journal-fixture.ts";
import { ScriptedStore } from "../journal/scripted-store.ts";

const TIME = { ms: 5, counter: 0 };
const of = (group: string) => subscriptionRecord({ group, durable: false });
const idOf = (group: string): string => subscriptionId(of(group));

describe("subscriptions that were given up", () => {
  it("are so many, also after a restart; the one that was given up first is forgotten", async () => {
    const store = await ScriptedStore.open();
    const first = await openJournal({ store });
    first.journal.append(record("before"));
    await first.clock.settle();
    const { head } = first.journal;
    const before = new GivenUp(first.journal);
    for (let n = 0; n < GIVEN_UP_MAX; n++) before.add(idOf(`g${n}`), { ms: 10 + n, counter: 0 });
    await first.clock.settle();
    const second = await openJournal({ store });
    const after = new GivenUp(second.journal);
    after.add(idOf("new"), { ms: 100_000, counter: 0 });
    expect(after.startOf(of("g0"))).not.toEqual(head);
    expect(after.startOf(of("g1"))).toEqual(head);
    expect(after.startOf(of("new"))).toEqual(head);
  });

  it("are known until they are there again", async () => {
    const { journal, clock } = await openJournal();
    journal.append(record("before"));
    await clock.settle();
    const { head } = journal;
    const givenUp = new GivenUp(journal);
    const birth = givenUp.startOf(of("a"));
    givenUp.add(idOf("a"), TIME);
    expect(givenUp.startOf(of("a"))).toEqual(head);
    expect(givenUp.startOf(of("a"))).toEqual(birth);
    expect(birth).not.toEqual(head);
  });
});
