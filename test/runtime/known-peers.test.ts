import { describe, expect, it } from "vitest";
import { KnownPeers } from "../../src/runtime/known-peers.ts";
import { openJournal } from "./journal/journal-fixture.ts";
import { ScriptedStore } from "./journal/scripted-store.ts";

const life = (epoch: number) => ({ epoch, nonce: Uint8Array.of(epoch), jumped: 0 });
const at = (address: string, incarnation = 0) => ({
  service: "s",
  addresses: address === "" ? [] : [address],
  incarnation,
});
const names = (known: KnownPeers, count = 100) => known.places(count).map(({ nodeId }) => nodeId);

describe("the peers a node has met", () => {
  it("are known in the next life, those of the latest life first, whatever the clock said", async () => {
    const store = await ScriptedStore.open();
    const first = await openJournal({ store });
    const known = new KnownPeers(first.journal, 10);
    known.remember("old", life(1), at("tcp://a:1"), 9_000_000_000_000);
    known.remember("both", life(1), at("tcp://b:1"), 1);
    known.remember("nowhere", life(1), at(""), 1);
    await first.clock.settle();
    const second = await openJournal({ store });
    const again = new KnownPeers(second.journal, 10);
    expect(names(again)).toEqual(["old", "both"]);
    again.remember("both", life(1), at("tcp://b:1"), 2);
    again.remember("new", life(1), at("tcp://c:1"), 3);
    await second.clock.settle();
    const third = new KnownPeers((await openJournal({ store })).journal, 10);
    expect(names(third)).toEqual(["new", "both", "old"]);
    expect(names(third, 2)).toEqual(["new", "both"]);
    const lives: string[] = [];
    third.eachLife((nodeId) => lives.push(nodeId));
    expect(lives.sort()).toEqual(["both", "new", "nowhere", "old"]);
  });

  it("cost a row when something is new, and once an hour", async () => {
    const { journal, store, clock } = await openJournal();
    const known = new KnownPeers(journal, 10);
    const rows = async (): Promise<number> => {
      await clock.settle();
      return store.durable.flat().filter(({ table }) => table === "directory").length;
    };
    const before = await rows();
    known.remember("a", life(1), at("tcp://a:1"), 1_000);
    known.remember("a", life(1), at("tcp://a:1"), 2_000);
    expect((await rows()) - before).toBe(1);
    known.remember("a", life(1), at("tcp://a:2"), 3_000);
    expect((await rows()) - before).toBe(2);
    known.remember("a", life(1), at("tcp://a:2"), 3_604_000);
    expect((await rows()) - before).toBe(3);
    known.remember("a", life(2), at("tcp://a:2"), 3_605_000);
    expect((await rows()) - before).toBe(4);
    known.remember("a", life(2), at("tcp://a:2", 1), 3_606_000);
    expect((await rows()) - before).toBe(5);
  });

  it("are known with what they refuted, which holds for that life of them alone", async () => {
    const store = await ScriptedStore.open();
    const { journal, clock } = await openJournal({ store });
    new KnownPeers(journal, 10).remember("a", life(2), at("tcp://a:1", 7), 1);
    await clock.settle();
    const again = new KnownPeers((await openJournal({ store })).journal, 10);
    expect(again.incarnationOf("a", 2)).toBe(7);
    expect(again.incarnationOf("a", 3)).toBe(0);
    expect(again.incarnationOf("b", 2)).toBe(0);
  });

  it("are so many and no more", async () => {
    const { journal } = await openJournal();
    const known = new KnownPeers(journal, 2);
    for (const name of ["a", "b", "c"]) known.remember(name, life(1), at(`tcp://${name}:1`), 1);
    expect(names(known)).toEqual(["a", "b"]);
  });
});
