import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CreditBudget, CreditGrant } from "../../src/core/credit-grant.ts";
import { newEntry } from "../../src/core/entry.ts";
import { Opening } from "../../src/core/opening.ts";
import { MeshError } from "../../src/errors.ts";

const BUDGET: CreditBudget = { messages: 256, bytes: 1_048_576, minShare: 8 };

type Step = { readonly kind: string; readonly link: number; readonly bytes: number };

/** A producer, the credit it heard of, and what lies in its pipe and at the consumer. */
type Peer = {
  readonly key: string;
  readonly opening: Opening;
  live: boolean;
  pipe: number[];
  held: number[];
  heard: { numberLimit: number; bytesLimit: number };
};

/** Producers that obey, one consumer, nothing delayed but what the script delays. */
class Scene {
  readonly grant: CreditGrant<string>;
  readonly peers: Peer[] = [];
  #lives = 0;
  liveMax = 0;

  constructor(budget: CreditBudget) {
    this.grant = new CreditGrant(budget);
  }

  connect(slot: number): Peer {
    const key = `${slot}#${this.#lives++}`;
    const heard = { numberLimit: 0, bytesLimit: 0 };
    const peer = { key, opening: new Opening(), live: true, pipe: [], held: [], heard };
    this.grant.addLink(key);
    this.peers.push(peer);
    this.liveMax = Math.max(this.liveMax, this.peers.filter(({ live }) => live).length);
    return peer;
  }

  tell(peer: Peer): void {
    if (!peer.live) return;
    const limits = this.grant.limitsFor(peer.key);
    expect(limits.numberLimit).toBeGreaterThanOrEqual(peer.heard.numberLimit);
    expect(limits.bytesLimit).toBeGreaterThanOrEqual(peer.heard.bytesLimit);
    peer.heard = limits;
    peer.opening.grant(limits.numberLimit, limits.bytesLimit);
  }

  send(peer: Peer, bytes: number): boolean {
    if (!peer.live || !peer.opening.canSend(bytes)) return false;
    peer.opening.sent(newEntry(1, peer.opening.next, 0, -1, bytes, -1));
    peer.pipe.push(bytes);
    return true;
  }

  arrive(peer: Peer): void {
    const bytes = peer.pipe.shift();
    if (bytes === undefined || !peer.live) return;
    expect(this.grant.onDelivered(peer.key, bytes)).toBe(true);
    peer.held.push(bytes);
  }

  consume(peer: Peer): void {
    const bytes = peer.held.shift();
    if (bytes === undefined) return;
    this.grant.onConsumed(peer.key, bytes);
    if (peer.live) peer.opening.take(peer.opening.first);
  }

  cut(peer: Peer): void {
    peer.live = false;
    peer.pipe = [];
    this.grant.removeLink(peer.key);
  }

  /** What is really outstanding: here, or on its way. */
  outstanding(): { messages: number; bytes: number } {
    const all = this.peers.flatMap(({ pipe, held }) => [...pipe, ...held]);
    return { messages: all.length, bytes: all.reduce((sum, n) => sum + n, 0) };
  }
}

const play = (scene: Scene, { kind, link, bytes }: Step): void => {
  const peer = scene.peers.findLast(({ key }) => key.startsWith(`${link}#`));
  if (peer === undefined || (kind === "connect" && !peer.live)) scene.connect(link);
  else if (kind === "cut") scene.cut(peer);
  else if (kind === "tell") scene.tell(peer);
  else if (kind === "burst") while (scene.send(peer, bytes));
  else if (kind === "send") scene.send(peer, bytes);
  else if (kind === "arrive") for (let n = 0; n < 1 + (bytes % 20); n++) scene.arrive(peer);
  else if (kind === "idle") scene.grant.markIdle(peer.key);
  else for (const each of scene.peers) if (each.key.startsWith(`${link}#`)) scene.consume(each);
};

describe("CreditGrant", () => {
  it("keeps everything outstanding within the stated formula, whatever links do", () => {
    const kinds = ["connect", "cut", "tell", "tell", "burst", "send", "arrive", "arrive", "idle"];
    const bytesMax = 5_000;
    const steps = fc.array(
      fc.record({
        kind: fc.constantFrom(...kinds, "consume", "consume"),
        link: fc.nat(3),
        bytes: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: bytesMax })),
      }),
      { maxLength: 250, size: "max" },
    );
    const budgets = fc
      .record({
        messages: fc.integer({ min: 1, max: 40 }),
        bytes: fc.integer({ min: 1, max: 4_000 }),
        minShare: fc.integer({ min: 1, max: 5 }),
      })
      .filter(({ messages, minShare }) => minShare <= messages);
    fc.assert(
      fc.property(budgets, steps, (budget, script) => {
        const scene = new Scene(budget);
        const minShareBytes = Math.max(
          1,
          Math.floor((budget.bytes / budget.messages) * budget.minShare),
        );
        for (const step of script) {
          play(scene, step);
          const { messages, bytes } = scene.outstanding();
          const n = scene.liveMax;
          expect(messages).toBeLessThanOrEqual(scene.grant.pledged + n);
          expect(scene.grant.pledged).toBeLessThanOrEqual(
            budget.messages + n * (budget.minShare + 1),
          );
          expect(messages).toBeLessThanOrEqual(budget.messages + n * (budget.minShare + 1));
          expect(scene.grant.pledgedBytes).toBeLessThanOrEqual(
            budget.bytes + n * (minShareBytes + bytesMax),
          );
          expect(bytes).toBeLessThanOrEqual(budget.bytes + n * (minShareBytes + bytesMax));
        }
      }),
      { numRuns: 250 },
    );
  });

  it("is back to nothing pledged when every link has gone and everything is consumed", () => {
    const scene = new Scene(BUDGET);
    for (let slot = 0; slot < 5; slot++) {
      const peer = scene.connect(slot);
      scene.tell(peer);
      while (scene.send(peer, 100));
      while (peer.pipe.length > 3) scene.arrive(peer);
      scene.cut(peer);
    }
    expect(scene.grant.pledged).toBe(5 * (BUDGET.minShare - 3));
    for (const peer of scene.peers) while (peer.held.length > 0) scene.consume(peer);
    expect([scene.grant.pledged, scene.grant.pledgedBytes]).toEqual([0, 0]);
    scene.grant.addLink("next");
    scene.grant.markActive("next");
    expect(scene.grant.limitsFor("next")).toEqual({ numberLimit: 192, bytesLimit: 786_432 });
  });

  it("gives an idle link minShare and a lone busy one three quarters of the budget", () => {
    const grant = new CreditGrant<string>(BUDGET);
    grant.addLink("a");
    expect(grant.limitsFor("a")).toEqual({ numberLimit: 8, bytesLimit: 32_768 });
    grant.markActive("a");
    expect(grant.limitsFor("a")).toEqual({ numberLimit: 192, bytesLimit: 786_432 });
  });

  it("shares evenly between busy links after the windows have turned over", () => {
    const scene = new Scene(BUDGET);
    const peers = [0, 1, 2].map((slot) => scene.connect(slot));
    for (const peer of peers) scene.tell(peer);
    // The first is alone for a while, then all are busy.
    for (let round = 0; round < 2_000; round++) {
      for (const peer of round < 500 ? peers.slice(0, 1) : peers) {
        while (scene.send(peer, 100));
        for (let n = 0; n < 5; n++) scene.arrive(peer);
        for (let n = 0; n < 5; n++) scene.consume(peer);
        if (scene.grant.needsUpdate(peer.key)) scene.tell(peer);
      }
    }
    // 3 / (3n + 1) of 256 is 76; a window is between half used and fresh when it is looked at.
    for (const peer of peers) {
      const window = peer.pipe.length + peer.held.length;
      expect(window).toBeGreaterThan(76 / 3);
      expect(window).toBeLessThan(76 * 2);
    }
  });

  it("leaves room behind a link that fell idle with a full window", () => {
    const grant = new CreditGrant<string>(BUDGET);
    for (const link of ["hoarder", "second", "third"]) {
      grant.addLink(link);
      grant.markActive(link);
    }
    expect(grant.limitsFor("hoarder").numberLimit).toBe(192);
    expect(grant.limitsFor("second").numberLimit).toBe(54); // 3/4 of what 184 above a share leave
    expect(grant.limitsFor("third").numberLimit).toBe(19);
  });

  it("takes nothing from a busy link for idle ones, however many", () => {
    const grant = new CreditGrant<string>(BUDGET);
    for (let idle = 0; idle < 200; idle++) {
      grant.addLink(`idle-${idle}`);
      grant.limitsFor(`idle-${idle}`);
    }
    grant.addLink("busy");
    grant.markActive("busy");
    expect(grant.limitsFor("busy")).toEqual({ numberLimit: 192, bytesLimit: 786_432 });
    expect(grant.pledged).toBe(200 * 8 + 192);
    // One that left its messages here has no share any more: they count.
    grant.addLink("gone");
    grant.limitsFor("gone");
    for (let n = 0; n < 8; n++) grant.onDelivered("gone", 1);
    grant.removeLink("gone");
    for (let n = 0; n < 192; n++) {
      grant.onDelivered("busy", 1);
      grant.onConsumed("busy", 1);
    }
    expect(grant.limitsFor("busy").numberLimit).toBe(192 + ((256 - 8) * 3) / 4);
  });

  it("asks for an update once half of the last window has been consumed, and not before", () => {
    const grant = new CreditGrant<string>(BUDGET);
    grant.addLink("a");
    expect(grant.needsUpdate("a")).toBe(true);
    grant.markActive("a");
    const { numberLimit } = grant.limitsFor("a");
    expect(grant.needsUpdate("a")).toBe(false);
    let consumed = 0;
    while (!grant.needsUpdate("a")) {
      expect(grant.onDelivered("a", 10)).toBe(true);
      expect(grant.needsUpdate("a")).toBe(false);
      grant.onConsumed("a", 10);
      consumed++;
    }
    expect(consumed).toBe(numberLimit / 2);
    expect(grant.limitsFor("a").numberLimit).toBe(numberLimit + consumed);
  });

  it("asks for an update by bytes when messages are large", () => {
    const grant = new CreditGrant<string>(BUDGET);
    grant.addLink("a");
    grant.markActive("a");
    grant.limitsFor("a");
    for (let n = 1; n <= 4; n++) {
      grant.onDelivered("a", 100_000);
      grant.onConsumed("a", 100_000);
      expect(grant.needsUpdate("a")).toBe(n === 4);
    }
  });

  it("lets one message of any size pass when nothing is in flight, and refuses a second", () => {
    const grant = new CreditGrant<string>({ messages: 10, bytes: 100, minShare: 2 });
    grant.addLink("a");
    grant.limitsFor("a");
    expect(grant.onDelivered("a", 5_000)).toBe(true);
    expect(grant.onDelivered("a", 1)).toBe(false);
    expect(grant.pledgedBytes).toBe(5_000);
    grant.onConsumed("a", 5_000);
    const { bytesLimit } = grant.limitsFor("a");
    expect(bytesLimit).toBeGreaterThan(5_000);
    expect(grant.onDelivered("a", bytesLimit - 5_000)).toBe(true);
  });

  it("refuses what comes without leave, and records nothing of it", () => {
    const grant = new CreditGrant<string>(BUDGET);
    expect(grant.onDelivered("stranger", 1)).toBe(false);
    grant.addLink("a");
    expect(grant.onDelivered("a", 1)).toBe(false);
    expect([grant.pledged, grant.pledgedBytes]).toEqual([0, 0]);
    const { numberLimit } = grant.limitsFor("a");
    for (let n = 0; n < numberLimit; n++) expect(grant.onDelivered("a", 1)).toBe(true);
    expect(grant.onDelivered("a", 1)).toBe(false);
    grant.removeLink("a");
    expect(grant.onDelivered("a", 1)).toBe(false);
    expect(grant.limitsFor("a")).toEqual({ numberLimit: 0, bytesLimit: 0 });
    expect(grant.pledged).toBe(numberLimit);
  });

  it("does not widen when more is reported consumed than was delivered", () => {
    const grant = new CreditGrant<string>(BUDGET);
    grant.addLink("a");
    const limits = grant.limitsFor("a");
    for (let n = 0; n < 5; n++) grant.onConsumed("a", 1_000);
    expect(grant.limitsFor("a")).toEqual(limits);
    grant.onDelivered("a", 10);
    grant.onConsumed("a", 1_000_000);
    grant.markIdle("a");
    grant.limitsFor("a");
    expect(grant.pledgedBytes).toBe(32_768);
  });

  it("gives a link that comes and goes nothing more while handlers stand still", () => {
    const scene = new Scene({ messages: 20, bytes: 2_000, minShare: 2 });
    for (let life = 0; life < 500; life++) {
      const peer = scene.connect(0);
      scene.tell(peer);
      while (scene.send(peer, 1_000));
      while (peer.pipe.length > 0) scene.arrive(peer);
      scene.cut(peer);
    }
    const { messages, bytes } = scene.outstanding();
    expect(messages).toBeLessThanOrEqual(20 + 3);
    expect(bytes).toBeLessThanOrEqual(2_000 + 200 + 1_000);
    for (const peer of scene.peers) while (peer.held.length > 0) scene.consume(peer);
    const next = scene.connect(0);
    scene.tell(next);
    expect(scene.send(next, 1_000)).toBe(true);
  });

  it("never leaves a busy link without a way to go on", () => {
    const budgets = fc.record({
      messages: fc.integer({ min: 1, max: 12 }),
      bytes: fc.integer({ min: 1, max: 200 }),
      minShare: fc.constant(1),
    });
    const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(budgets, fc.integer({ min: 1, max: 20 }), sizes, (budget, links, list) => {
        const scene = new Scene(budget);
        const peers = Array.from({ length: links }, (_, slot) => scene.connect(slot));
        const sent = peers.map(() => 0);
        for (let round = 0; round < 60; round++) {
          peers.forEach((peer, at) => {
            if (scene.grant.needsUpdate(peer.key)) scene.tell(peer);
            const size = list[(sent[at] as number) % list.length] as number;
            if (scene.send(peer, size)) sent[at] = (sent[at] as number) + 1;
            scene.arrive(peer);
            if (round % 2 === 1) while (peer.held.length > 0) scene.consume(peer);
          });
        }
        for (const count of sent) expect(count).toBeGreaterThanOrEqual(25);
      }),
    );
  });

  it("refuses a budget that could never let anything pass", () => {
    for (const change of [{ messages: 0 }, { bytes: 0 }, { minShare: 0 }, { minShare: 257 }]) {
      expect(() => new CreditGrant({ ...BUDGET, ...change })).toThrowError(MeshError);
    }
    expect(() => new CreditGrant({ ...BUDGET, bytes: 1.5 })).toThrowError(MeshError);
  });
});
