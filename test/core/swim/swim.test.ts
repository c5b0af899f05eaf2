import { describe, expect, it } from "vitest";
import type { Claim, SwimState } from "../../../src/core/swim/claim.ts";
import { MEMBERS_MAX, Swim } from "../../../src/core/swim/swim.ts";
import type { SwimMessage } from "../../../src/core/swim/swim-message.ts";
import { NEWS_MAX, type SwimEffect } from "../../../src/core/swim/swim-outbox.ts";
import { SWIM_TIMES } from "../../../src/core/swim/swim-times.ts";
import { SeededRandom } from "../../../src/testing/seeded-random.ts";
import { claim } from "./claim-arbitraries.ts";

const TIMES = SWIM_TIMES.lan;

const swim = (id: string, known: readonly string[] = [], epoch = 1): Swim => {
  const random = new SeededRandom(7, id);
  const made = new Swim({ id, epoch, times: TIMES, random: () => random.fraction() }, 0);
  made.learn(known.map((other) => claim(other)));
  return made;
};

type Sent = { readonly to: string } & SwimMessage;

const sentOf = (effects: readonly SwimEffect[]): Sent[] =>
  effects.flatMap((effect) =>
    effect.type === "send" ? [{ to: effect.to, ...effect.message }] : [],
  );

const message = (kind: SwimMessage["kind"], parts: Partial<SwimMessage> = {}): SwimMessage => ({
  ...{ kind, number: 0, target: "", buckets: 0, first: 0, hashes: [], wanted: [], claims: [] },
  ...parts,
});

/** Nodes whose messages arrive at once, unless somebody is away. */
class Mesh {
  readonly #nodes = new Map<string, Swim>();
  readonly away = new Set<string>();
  #nowMs = 0;

  add(id: string, node: Swim): void {
    this.#nodes.set(id, node);
  }

  perform(from: string, effects: readonly SwimEffect[]): void {
    for (const { to, ...sent } of sentOf(effects)) {
      if (this.away.has(to) || this.away.has(from)) continue;
      this.perform(to, this.#nodes.get(to)?.receive(from, sent, this.#nowMs) ?? []);
    }
  }

  run(forMs: number): void {
    for (const untilMs = this.#nowMs + forMs; this.#nowMs < untilMs; this.#nowMs += 10) {
      for (const [id, node] of this.#nodes) {
        if (!this.away.has(id) && node.dueMs <= this.#nowMs) {
          this.perform(id, node.advance(this.#nowMs));
        }
      }
    }
  }

  states(of: string): (SwimState | undefined)[] {
    return [...this.#nodes]
      .filter(([id]) => id !== of && !this.away.has(id))
      .map(([, node]) => node.stateOf(of));
  }
}

const IDS = ["ann", "bob", "cid", "dan"] as const;

const whole = (): { mesh: Mesh; nodes: Map<string, Swim> } => {
  const mesh = new Mesh();
  const nodes = new Map(IDS.map((id) => [id, swim(id, IDS)]));
  for (const [id, node] of nodes) mesh.add(id, node);
  return { mesh, nodes };
};

describe("a mesh of members", () => {
  it("takes in a newcomer that met one of them", () => {
    const { mesh, nodes } = whole();
    const eve = swim("eve");
    mesh.add("eve", eve);
    mesh.perform("eve", eve.met("ann", 1, 0));
    mesh.perform("ann", (nodes.get("ann") as Swim).met("eve", 1, 0));
    mesh.run(1_000);
    expect(mesh.states("eve")).toEqual(["alive", "alive", "alive", "alive"]);
    expect(eve.live).toBe(5);
    expect([...eve.neighbours()].sort()).toEqual([...IDS]);
  });

  it("finds a member that died, and hears of a goodbye at once", () => {
    const { mesh, nodes } = whole();
    mesh.away.add("dan");
    mesh.run(4_000);
    expect(mesh.states("dan")).toEqual(["dead", "dead", "dead"]);
    mesh.perform("cid", (nodes.get("cid") as Swim).leave(4_000));
    mesh.away.add("cid");
    expect(mesh.states("cid")).toEqual(["left", "left"]);
  });

  it("takes a member back that was unreachable and refutes, and one that started again", () => {
    const { mesh } = whole();
    mesh.away.add("dan");
    mesh.run(4_000);
    mesh.away.delete("dan");
    mesh.run(2_000);
    expect(mesh.states("dan")).toEqual(["alive", "alive", "alive"]);
    mesh.away.add("dan");
    mesh.run(4_000);
    const again = swim("dan", [], 2);
    mesh.add("dan", again);
    mesh.away.delete("dan");
    mesh.perform("dan", again.met("ann", 1, 8_000));
    mesh.run(2_000);
    expect(mesh.states("dan")).toEqual(["alive", "alive", "alive"]);
    expect(again.claimOf("dan")).toEqual(claim("dan", { epoch: 2, incarnation: 0 }));
  });

  it("finds by comparing tables what was never said", () => {
    const mesh = new Mesh();
    const ann = swim("ann", ["bob"]);
    mesh.add("ann", ann);
    mesh.add("bob", swim("bob", ["ann", "eve"]));
    mesh.add("eve", swim("eve", ["bob"]));
    mesh.run(3 * TIMES.exchangeMs);
    expect(mesh.states("eve")).toEqual(["alive", "alive"]);
    expect(mesh.states("ann")).toEqual(["alive", "alive"]);
  });

  it("keeps a member that is blocked and heard, and loses it when it is heard no more", () => {
    const { mesh, nodes } = whole();
    const ann = nodes.get("ann") as Swim;
    mesh.away.add("dan");
    for (let nowMs = 0; nowMs < 10_000; nowMs += 250) {
      mesh.perform("ann", ann.pulse("dan", nowMs));
      mesh.run(250);
    }
    expect(mesh.states("dan")).toEqual(["stalled", "stalled", "stalled"]);
    mesh.run(5_000);
    expect(mesh.states("dan")).toEqual(["dead", "dead", "dead"]);
  });
});

describe("a member", () => {
  it("tells the suspect first, and with every ping", () => {
    const ann = swim("ann", ["bob", "cid"]);
    const sent: Sent[] = [];
    for (let nowMs = 0; nowMs < 1_500; nowMs += 10) {
      // cid answers everything, bob nothing.
      sent.push(...sentOf([...ann.advance(nowMs), ...ann.heard("cid", nowMs)]));
    }
    expect(ann.stateOf("bob")).toBe("suspect");
    const first = sent.findIndex(({ claims }) => claims.some(({ state }) => state === "suspect"));
    expect(sent[first]).toMatchObject({ to: "bob", kind: "ping", number: 0 });
    const pings = sent.slice(first).filter(({ to, kind }) => to === "bob" && kind === "ping");
    expect(pings.length).toBeGreaterThan(0);
    for (const { claims } of pings) {
      expect(claims).toContainEqual(claim("bob", { state: "suspect", accuser: "ann" }));
    }
  });

  it("probes at once whose link broke", () => {
    const ann = swim("ann", ["bob"]);
    expect(sentOf(ann.linkLost("bob", 1))).toMatchObject([{ to: "bob", kind: "ping" }]);
    expect(sentOf(ann.linkLost("stranger", 1))).toEqual([]);
  });

  it("takes any frame for an answer", () => {
    const ann = swim("ann", ["bob"]);
    for (let nowMs = 0; nowMs < 20_000; nowMs += 50) {
      ann.advance(nowMs);
      ann.heard("bob", nowMs);
    }
    expect(ann.stateOf("bob")).toBe("alive");
    expect(ann.healthScore).toBe(0);
  });

  it("that stood still accuses nobody before it has heard what it missed", () => {
    const ann = swim("ann", ["bob", "cid"]);
    ann.receive("cid", message("news", { claims: [suspect("bob", "cid")] }), 0);
    for (let nowMs = 0; nowMs <= 400; nowMs += 10) {
      ann.advance(nowMs);
      ann.heard("cid", nowMs);
    }
    const states = ann.advance(60_000).filter(({ type }) => type === "state");
    expect(states).toEqual([]);
    expect(ann.stateOf("bob")).toBe("suspect");
    expect(ann.healthScore).toBeGreaterThan(0);
    ann.receive("bob", message("news", { claims: [claim("bob", { incarnation: 1 })] }), 60_001);
    expect(ann.stateOf("bob")).toBe("alive");
  });

  it("does not take quiet for standing still", () => {
    const ann = swim("ann", ["bob"]);
    let nowMs = 0;
    for (; nowMs < 5_000; nowMs += 10) {
      if (ann.dueMs <= nowMs) ann.advance(nowMs);
      ann.heard("bob", nowMs);
    }
    // Its queue has been empty for long; news makes gossip due, which is not late.
    ann.receive("bob", message("news", { claims: [claim("new")] }), nowMs);
    ann.advance(nowMs + 1);
    expect(ann.healthScore).toBe(0);
  });

  it("answers whoever it takes for dead by saying so", () => {
    const ann = swim("ann", ["bob"]);
    ann.receive("bob", message("news", { claims: [claim("bob", { state: "dead" })] }), 0);
    expect(ann.stateOf("bob")).toBe("dead");
    const [ack] = sentOf(ann.receive("bob", message("ping", { number: 9 }), 1));
    expect(ack).toMatchObject({ kind: "ack", number: 9 });
    expect(ack?.claims).toContainEqual(claim("bob", { state: "dead", accuser: "" }));
    const back = ann.receive(
      "bob",
      message("ack", { claims: [claim("bob", { incarnation: 1 })] }),
      2,
    );
    expect(sentOf(back)).toMatchObject([{ to: "bob", kind: "digest" }]);
  });

  it("reports a later life of itself", () => {
    const ann = swim("ann", ["bob"]);
    const heard = message("news", { claims: [claim("ann", { epoch: 9 })] });
    expect(ann.receive("bob", heard, 0)).toMatchObject([{ type: "outlived", epoch: 9 }]);
    const over = message("news", { claims: [claim("ann", { epoch: 9, state: "dead" })] });
    const told = { type: "outlived", epoch: 9, state: "dead" };
    expect(ann.receive("bob", over, 0)).toContainEqual(told);
  });

  it("outranks what is said of its earlier life once it has risen above it", () => {
    const ann = swim("ann", ["bob"]);
    const rumour = { claims: [claim("ann", { epoch: 9, state: "dead" })] };
    ann.receive("bob", message("news", rumour), 0);
    ann.rise(10, 0);
    expect(ann.claimOf("ann")).toMatchObject({ epoch: 10, incarnation: 0, state: "alive" });
    expect(ann.receive("bob", message("news", rumour), 0)).toEqual([]);
    expect(ann.rise(3, 0)).toEqual([]);
    expect(ann.claimOf("ann")?.epoch).toBe(10);
  });

  it("does not believe an accusation that it knew to be refuted in an earlier life of its own", () => {
    const ann = swim("ann", ["carl"]);
    ann.met("bob", 1, 0, 7);
    const old = { claims: [claim("bob", { incarnation: 6, state: "dead" })] };
    ann.receive("carl", message("news", old), 0);
    expect(ann.stateOf("bob")).toBe("alive");
  });

  it("refuses what is out of bounds, and reads no more claims than a message may have", () => {
    const ann = swim("ann", ["bob"]);
    const many = Array.from({ length: 100 }, (_, at): Claim => claim(`m${at}`));
    ann.receive("bob", message("news", { claims: many }), 0);
    expect(ann.live).toBe(2 + NEWS_MAX + 1);
    ann.receive("bob", message("news", { claims: [claim("x", { vouch: 999 })] }), 0);
    expect(ann.refused).toBe(1);
    expect(MEMBERS_MAX).toBeGreaterThan(10_000);
  });
});

const suspect = (id: string, accuser: string): Claim => claim(id, { state: "suspect", accuser });
