/**
 * What every heartbeat must do: a list of cases, run for the real one, between processes, and for the simulated
 * one; and by a plain loop for broken ones, which shows that the list can fail.
 */
import { strict as assert } from "node:assert";
import type { HeartbeatPeer, Pulse } from "../../src/ports/heartbeat.ts";

/** What a node's event loop sees of its heartbeat. */
export type Look = {
  readonly pulse: Pulse | undefined;
  /** By the node's clock: when the answer of `pulse` came, -1 for none; and `answeredSentMs`. */
  readonly heardMs: number;
  readonly answeredSentMs: number;
};

export type RigNode = {
  readonly peer: HeartbeatPeer;
  watch(peer: HeartbeatPeer): Promise<void>;
  unwatch(nodeId: string): Promise<void>;
  attend(nodeId: string, closely: boolean): Promise<void>;
  look(nodeId: string): Promise<Look>;
  /** Its event loop does nothing else for so long. */
  block(ms: number): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  kill(): Promise<void>;
  stop(): Promise<void>;
};

export type Rig = {
  readonly intervalMs: number;
  /** Starts a heartbeat in a process of its own. */
  start(): Promise<RigNode>;
  until(what: string, condition: () => Promise<boolean>): Promise<void>;
  end(): Promise<void>;
};

export type HeartbeatCase = { readonly title: string; run(rig: Rig): Promise<void> };

const meet = async (a: RigNode, b: RigNode): Promise<void> => {
  await a.watch(b.peer);
  await b.watch(a.peer);
};

const pair = async (rig: Rig): Promise<[RigNode, RigNode]> => {
  const [a, b] = [await rig.start(), await rig.start()];
  await meet(a, b);
  await heard(rig, a, b);
  await heard(rig, b, a);
  return [a, b];
};

const heard = (rig: Rig, by: RigNode, of: RigNode): Promise<void> =>
  rig.until(`${of.peer.nodeId} is heard`, async () => {
    return (await by.look(of.peer.nodeId)).pulse !== undefined;
  });

/** So many more answers came: time passes, and questions are asked. */
const beats = async (rig: Rig, by: RigNode, of: RigNode, count: number): Promise<void> => {
  let { heardMs: last } = await by.look(of.peer.nodeId);
  for (let n = 0; n < count; n++) {
    await rig.until(`beat ${n} of ${of.peer.nodeId}`, async () => {
      const { heardMs } = await by.look(of.peer.nodeId);
      if (heardMs < last + rig.intervalMs / 4) return false;
      last = heardMs;
      return true;
    });
  }
};

/** How many come from one while 24 come from the other. */
const answers = async (rig: Rig, by: RigNode, of: RigNode, other: RigNode): Promise<number> => {
  let count = 0;
  let { heardMs: last } = await by.look(of.peer.nodeId);
  for (let n = 0; n < 24; n++) {
    await beats(rig, by, other, 1);
    const { heardMs } = await by.look(of.peer.nodeId);
    if (heardMs > last + rig.intervalMs / 4) count++;
    last = heardMs;
  }
  return count;
};

const pulseOf = async (by: RigNode, of: RigNode): Promise<Pulse> => {
  const { pulse } = await by.look(of.peer.nodeId);
  assert(pulse !== undefined, `${of.peer.nodeId} was never heard`);
  return pulse;
};

export const HEARTBEAT_CASES: readonly HeartbeatCase[] = [
  {
    title: "hears a peer that turns, again and again",
    async run(rig) {
      const [a, b] = await pair(rig);
      await beats(rig, a, b, 5);
      await rig.until("no lag", async () => (await pulseOf(a, b)).lagMs <= rig.intervalMs);
      await beats(rig, b, a, 5);
    },
  },
  {
    title: "says when the newest question left that was answered, and nothing before one was",
    async run(rig) {
      const a = await rig.start();
      assert.equal((await a.look("nobody")).answeredSentMs, Number.NEGATIVE_INFINITY);
      const b = await rig.start();
      await meet(a, b);
      await heard(rig, a, b);
      const first = (await a.look(b.peer.nodeId)).answeredSentMs;
      await beats(rig, a, b, 4);
      const { answeredSentMs, heardMs } = await a.look(b.peer.nodeId);
      assert(answeredSentMs > first, `${answeredSentMs} > ${first}`);
      assert(answeredSentMs <= heardMs + 1, `sent at ${answeredSentMs}, heard at ${heardMs}`);
    },
  },
  {
    title:
      "says that a blocked event loop does not turn, while it answers, and that it turns again",
    async run(rig) {
      const [a, b] = await pair(rig);
      const blockMs = 30 * rig.intervalMs;
      const over = b.block(blockMs);
      await rig.until("it lags", async () => {
        const { silentMs, lagMs } = await pulseOf(a, b);
        return lagMs > blockMs / 2 && silentMs < lagMs;
      });
      await over;
      await rig.until("it turns", async () => (await pulseOf(a, b)).lagMs <= rig.intervalMs);
    },
  },
  {
    title: "hears others while its own event loop is blocked",
    async run(rig) {
      const [a, b] = await pair(rig);
      const blockMs = 30 * rig.intervalMs;
      await a.block(blockMs);
      const { silentMs, lagMs } = await pulseOf(a, b);
      assert(silentMs < blockMs / 2, `${silentMs} ms silent after ${blockMs} ms of one's own`);
      assert(lagMs < blockMs / 2, `lag ${lagMs} ms`);
    },
  },
  {
    title: "asks a peer that is heard otherwise seldom, and at once and closely when it is not",
    async run(rig) {
      const [a, b] = await pair(rig);
      const c = await rig.start();
      await meet(a, c);
      await a.attend(b.peer.nodeId, false);
      await beats(rig, a, c, 2); // what was under way has come
      const seldom = await answers(rig, a, b, c);
      assert(seldom >= 3 && seldom <= 16, `${seldom} answers in 24 intervals`);
      const { heardMs: before } = await a.look(b.peer.nodeId);
      await a.attend(b.peer.nodeId, true);
      await rig.until("it is asked", async () => (await a.look(b.peer.nodeId)).heardMs > before);
      const closely = await answers(rig, a, b, c);
      assert(closely > 16, `${closely} answers in 24 intervals`);
    },
  },
  {
    title: "asks everybody closely while its own event loop is blocked",
    async run(rig) {
      const [a, b] = await pair(rig);
      await a.attend(b.peer.nodeId, false);
      const blockMs = 30 * rig.intervalMs;
      const { answeredSentMs: before } = await a.look(b.peer.nodeId);
      await a.block(blockMs);
      const { answeredSentMs, pulse } = await a.look(b.peer.nodeId);
      assert(answeredSentMs > before + blockMs / 2, "the lease goes on");
      assert(pulse !== undefined && pulse.silentMs < 3 * rig.intervalMs, "and the peer is heard");
    },
  },
  {
    title: "does not hear a process that is gone",
    async run(rig) {
      const [a, b] = await pair(rig);
      const c = await rig.start();
      await meet(a, c);
      await heard(rig, a, c);
      await b.kill();
      await rig.until("silence", async () => (await pulseOf(a, b)).silentMs > 10 * rig.intervalMs);
      await beats(rig, a, c, 2);
      assert((await pulseOf(a, b)).silentMs > 10 * rig.intervalMs, "heard after its end");
    },
  },
  {
    title: "does not hear a process that is paused, and hears it when it goes on",
    async run(rig) {
      const [a, b] = await pair(rig);
      await b.pause();
      await rig.until("silence", async () => (await pulseOf(a, b)).silentMs > 10 * rig.intervalMs);
      await b.resume();
      await rig.until("it is back", async () => (await pulseOf(a, b)).silentMs < rig.intervalMs);
    },
  },
  {
    title: "does not hear a later life of the node it watches, until it watches that one",
    async run(rig) {
      const [a, c] = await pair(rig);
      const b = await rig.start();
      await a.watch({ ...b.peer, nonce: new Uint8Array(16).fill(1) });
      await b.watch(a.peer);
      await beats(rig, a, c, 6);
      assert.equal((await a.look(b.peer.nodeId)).pulse, undefined);
      await a.watch(b.peer);
      await heard(rig, a, b);
    },
  },
  {
    title: "does not answer a node that it does not watch",
    async run(rig) {
      const [a, c] = await pair(rig);
      const b = await rig.start();
      await a.watch(b.peer);
      await beats(rig, a, c, 6);
      assert.equal((await a.look(b.peer.nodeId)).pulse, undefined);
    },
  },
  {
    title: "tells nothing of a peer that is not watched any more, nor what was heard of it before",
    async run(rig) {
      const [a, b] = await pair(rig);
      await a.unwatch(b.peer.nodeId);
      assert.equal((await a.look(b.peer.nodeId)).pulse, undefined);
      const c = await rig.start();
      await meet(a, c);
      await beats(rig, a, c, 2);
      assert.equal((await a.look(b.peer.nodeId)).pulse, undefined);
      await b.kill();
      await a.watch(b.peer);
      await beats(rig, a, c, 4);
      assert.equal((await a.look(b.peer.nodeId)).pulse, undefined);
    },
  },
  {
    title: "falls silent when it stops, which may be said twice",
    async run(rig) {
      const [a, b] = await pair(rig);
      await b.stop();
      await b.stop();
      const { answeredSentMs } = await a.look(b.peer.nodeId);
      await rig.until("silence", async () => (await pulseOf(a, b)).silentMs > 10 * rig.intervalMs);
      const later = (await a.look(b.peer.nodeId)).answeredSentMs;
      assert(later - answeredSentMs < 10 * rig.intervalMs, "the newest answered question stands");
    },
  },
];
