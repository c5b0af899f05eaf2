import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Beliefs } from "../../../src/core/swim/beliefs.ts";
import { type Claim, compareClaims } from "../../../src/core/swim/claim.ts";
import { LocalHealth } from "../../../src/core/swim/local-health.ts";
import { MemberNames } from "../../../src/core/swim/member-names.ts";
import { SWIM_TIMES } from "../../../src/core/swim/swim-times.ts";
import { claim, claims, MEMBERS } from "./claim-arbitraries.ts";

const TIMES = SWIM_TIMES.lan;
const LATER_MS = 60_000;

type World = {
  readonly beliefs: Beliefs;
  readonly names: MemberNames;
  readonly health: LocalHealth;
  readonly log: string[];
};

const world = (membersMax = 100): World => {
  const names = new MemberNames();
  const health = new LocalHealth();
  const log: string[] = [];
  const self = { id: "me", epoch: 1, membersMax };
  const beliefs = new Beliefs(self, names, TIMES, health, {
    changed: (member, state) => log.push(`${names.id(member)} ${state}`),
    suspected: (member) => log.push(`tell ${names.id(member)}`),
    forgotten: (id) => log.push(`forgot ${id}`),
    outlived: (epoch) => log.push(`outlived ${epoch}`),
  });
  return { beliefs, names, health, log };
};

const told = (said: readonly Claim[], as: "news" | "row" = "news"): World => {
  const made = world();
  for (const one of said) made.beliefs.hear(one, as, 0);
  return made;
};

/** What is believed of each member, without who accused. */
const view = ({ beliefs }: World): (Claim | undefined)[] =>
  MEMBERS.map((id) => {
    const member = beliefs.find(id);
    return member < 0 ? undefined : beliefs.table.claim(member);
  });

/** The dumb oracle: of each member the greatest claim. */
const greatest = (said: readonly Claim[]): (Claim | undefined)[] =>
  MEMBERS.map((id) => {
    const own = said.filter((one) => one.id === id).sort(compareClaims);
    const last = own.at(-1);
    return last === undefined ? undefined : { ...last, accuser: "" };
  });

describe("beliefs", () => {
  it("are the greatest of the news, in whatever order and however often it came", () => {
    fc.assert(
      fc.property(fc.array(claims, { maxLength: 12 }), fc.nat(), (said, turn) => {
        const turned = said.map((_, at) => said[(at + turn) % said.length] as Claim);
        expect(view(told(said))).toEqual(greatest(said));
        expect(view(told([...turned, ...said].reverse()))).toEqual(greatest(said));
      }),
    );
  });

  it("keep their books: who lives, who is dead, who is a neighbour", () => {
    fc.assert(
      fc.property(fc.array(claims, { maxLength: 12 }), (said) => {
        const { beliefs } = told(said);
        const known = MEMBERS.map((id) => beliefs.find(id)).filter((member) => member >= 0);
        const live = known.filter((member) => beliefs.table.isLive(member));
        expect(beliefs.table.live).toBe(live.length + 1);
        expect([...beliefs.neighbours.list].sort()).toEqual(live.sort());
        expect(beliefs.tombs.size).toBe(known.length - live.length);
      }),
    );
  });

  it("end every suspicion that nobody refutes, and none that was refuted", () => {
    fc.assert(
      fc.property(fc.array(claims, { maxLength: 12 }), (said) => {
        const made = told(said);
        const before = view(made);
        for (let nowMs = 0; nowMs < LATER_MS; nowMs += 100) made.beliefs.expire(nowMs);
        const after = view(made);
        for (const [at, was] of before.entries()) {
          const state = was?.state === "suspect" ? "dead" : was?.state;
          expect(after[at]?.state).toBe(state);
        }
      }),
    );
  });

  it("never let a refuted suspicion kill, whenever the refutation comes before its end", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 500 }), fc.boolean(), (refutedMs, isVouched) => {
        const { beliefs } = told([
          claim("ann"),
          claim("ann", { state: "suspect", accuser: "bob" }),
        ]);
        const refutation = isVouched
          ? claim("ann", { vouch: 1, state: "stalled" })
          : claim("ann", { incarnation: 1 });
        for (let nowMs = 0; nowMs < LATER_MS; nowMs += 100) {
          if (nowMs >= refutedMs) beliefs.hear(refutation, "news", nowMs);
          beliefs.hear(claim("ann", { state: "suspect", accuser: `x${nowMs}` }), "news", nowMs);
          beliefs.expire(nowMs);
        }
        expect(beliefs.table.state(beliefs.find("ann"))).toBe(refutation.state);
      }),
    );
  });

  it("take a death that is read in a table for a suspicion, and tell the member", () => {
    const { beliefs, log } = told([claim("ann"), claim("bob")]);
    log.length = 0;
    beliefs.hear(claim("ann", { state: "dead" }), "row", 0);
    beliefs.hear(claim("bob", { state: "left" }), "row", 0);
    expect(log).toEqual(["ann suspect", "tell ann", "bob left"]);
    // It is not passed on: the member itself has the word now.
    const queued = beliefs.queue.take(10, 3).filter(({ id }) => id === "ann");
    expect(queued.map(({ state }) => state)).toEqual(["alive"]);
  });

  it("tell a suspect once more before it is given up", () => {
    const { beliefs, log } = told([claim("ann"), claim("ann", { state: "suspect", accuser: "b" })]);
    log.length = 0;
    for (let nowMs = 0; nowMs < LATER_MS; nowMs += 50) beliefs.expire(nowMs);
    expect(log).toEqual(["tell ann", "ann dead"]);
  });

  it("refute what is said of this node, and count it against its health", () => {
    const { beliefs, health } = world();
    for (const state of ["suspect", "stalled", "dead", "left"] as const) {
      const before = beliefs.table.claim(beliefs.me);
      beliefs.hear({ ...before, state }, "news", 0);
      const after = beliefs.table.claim(beliefs.me);
      expect(after).toEqual({ ...before, incarnation: before.incarnation + 1 });
      expect(beliefs.queue.take(1, 1)).toEqual([after]);
    }
    expect(health.score).toBe(4);
  });

  it("answer a doubt that is out of date by saying again what holds", () => {
    const { beliefs } = world();
    beliefs.hear(claim("me", { state: "suspect", incarnation: 3 }), "news", 0);
    while (beliefs.queue.size > 0) beliefs.queue.take(1, 1);
    beliefs.hear(claim("me", { state: "suspect", incarnation: 1 }), "news", 0);
    expect(beliefs.queue.take(1, 1)).toEqual([claim("me", { incarnation: 4 })]);
  });

  it("do not refute what is said of another life, and report a later one", () => {
    const { beliefs, log } = world();
    beliefs.hear(claim("me", { epoch: 2 }), "news", 0);
    expect(log).toEqual(["outlived 2"]);
    expect(beliefs.table.claim(beliefs.me)).toEqual(claim("me"));
  });

  it("stay with a goodbye against all that was said of that life before", () => {
    const { beliefs } = world();
    beliefs.hear(claim("me", { state: "dead", incarnation: 1 }), "news", 0);
    beliefs.leave();
    const left = beliefs.table.claim(beliefs.me);
    beliefs.hear(claim("me", { state: "suspect", incarnation: 2, vouch: 1 }), "news", 0);
    expect(beliefs.table.claim(beliefs.me)).toEqual(left);
    expect(left).toEqual(claim("me", { incarnation: 3, state: "left" }));
  });

  it("vouch for a member whose process is heard, as long as it is", () => {
    const { beliefs, log } = told([claim("ann")]);
    const ann = beliefs.find("ann");
    log.length = 0;
    beliefs.pulse(ann, 0);
    expect(log).toEqual([]);
    beliefs.accuse(ann, 10);
    beliefs.hear(claim("ann", { state: "suspect", accuser: "bob" }), "news", 20);
    expect(log).toEqual(["ann stalled", "ann stalled"]); // by itself, and against bob's word
    beliefs.hear(claim("ann", { vouch: 1, state: "dead" }), "news", 30);
    for (let probes = 0; probes < 300; probes++) beliefs.accuse(ann, 40);
    expect(log).toEqual(["ann stalled", "ann stalled", "ann stalled"]);
    expect(beliefs.table.claim(ann)).toEqual(claim("ann", { vouch: 2, state: "stalled" }));
    const silentMs = TIMES.pulseMs + 1;
    beliefs.accuse(ann, silentMs);
    expect(beliefs.table.state(ann)).toBe("suspect");
    beliefs.hear(claim("ann", { incarnation: 1 }), "news", silentMs);
    expect(beliefs.table.state(ann)).toBe("alive");
  });

  it("have room for newcomers by forgetting the dead first, and refuse what is past the limit", () => {
    const { beliefs, log } = world(3);
    expect(beliefs.hear(claim("ann"), "news", 0)).toBe(true);
    expect(beliefs.hear(claim("bob", { state: "dead" }), "news", 0)).toBe(true);
    expect(beliefs.hear(claim("cid"), "news", 0)).toBe(true);
    expect(log).toContain("forgot bob");
    expect(beliefs.hear(claim("dan"), "news", 0)).toBe(false);
    expect(beliefs.table.size).toBe(3);
  });

  it("forget the dead in time, and do not learn of them from tables that still have them", () => {
    const { beliefs, log } = told([claim("ann"), claim("ann", { state: "dead" })]);
    beliefs.expire(TIMES.tombstoneMs);
    expect(log.at(-1)).toBe("forgot ann");
    beliefs.hear(claim("ann", { state: "dead" }), "row", TIMES.tombstoneMs);
    expect(beliefs.find("ann")).toBe(-1);
  });
});
