/**
 * Every principal tries every action on every subject: what its certificate allows happens, what it does not allow does
 * not. Three times: at the caller, who asks first what it may do itself; at the receiver, of what a peer says whose own
 * checks are off; at the sender, to a peer by hand that declares what it may not have and hears no refusal.
 */
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import { until } from "../integration/until.ts";
import { type HostileCase, Tally } from "./hostile-case.ts";
import { LyingTaker } from "./lying-taker.ts";
import { PATTERNS, PRINCIPALS, type Says, SUBJECTS, type Takes } from "./rights-principals.ts";
import { SecuredRig } from "./secured-rig.ts";

const ROLES = { subscribe: "events", handle: "commands", reply: "queries" } as const;
const SAYS: readonly Says[] = ["publish", "emit", "send", "request"];
const TAKES: readonly Takes[] = ["subscribe", "handle", "reply"];

type Principal = (typeof PRINCIPALS)[string];
type Check = (
  at: string,
  action: Says | Takes,
  what: string,
  happened: boolean,
  may: boolean,
) => void;

const isRefused = (error: unknown): boolean => (error as { code?: string }).code === "UNAUTHORIZED";
/** Whether it was not refused; other ends of it are no matter of rights. */
const isAllowed = (call: () => unknown): Promise<boolean> =>
  (async () => call())().then(
    () => true,
    (error) => !isRefused(error),
  );
const taken = (take: () => Promise<{ stop(): Promise<unknown> }>): Promise<boolean> =>
  isAllowed(async () => (await take()).stop());

/** Takes everything, and knows what came. */
const everythingAt = async (node: MeshNode): Promise<ReadonlySet<string>> => {
  const seen = new Set<string>();
  for (const subject of SUBJECTS) {
    await node.subscribe(
      subject,
      async (data) => void seen.add(`${(data as { how: string }).how} ${subject}`),
      { durable: true },
    );
    await node.handle(subject, async () => void seen.add(`send ${subject}`));
    await node.reply(subject, async () => {
      seen.add(`request ${subject}`);
      return 1;
    });
  }
  return seen;
};

const atCaller = async ({ rights, may }: Principal, check: Check): Promise<void> => {
  await using rig = new SecuredRig();
  const other = await rig.node("other", "tcp");
  await everythingAt(other);
  const security = rig.security("caller", rights);
  const caller = await rig.node("caller", "tcp", { security, peers: [other] });
  const alone = await rig.node("alone", "tcp", { security: rig.security("alone", rights) });
  for (const subject of SUBJECTS) {
    const calls: Readonly<Record<Says, () => unknown>> = {
      publish: () => caller.publish(subject, { how: "publish" }),
      emit: () => caller.emit(subject, { how: "emit" }),
      send: () => caller.send(subject, {}),
      request: () => caller.request(subject, {}, { timeoutMs: 5_000 }),
    };
    for (const action of SAYS)
      check("caller", action, subject, await isAllowed(calls[action]), may(action, subject));
    // By one without peers: the other's claims of the commands would hide a refusal.
    const takes: Readonly<Record<Takes, () => Promise<{ stop(): Promise<unknown> }>>> = {
      subscribe: () => alone.subscribe(subject, async () => {}),
      handle: () => alone.handle(subject, async () => {}),
      reply: () => alone.reply(subject, async () => 1),
    };
    for (const action of TAKES)
      check("caller", action, subject, await taken(takes[action]), may(action, subject));
  }
};

const atReceiver = async ({ rights, may }: Principal, check: Check): Promise<void> => {
  await using rig = new SecuredRig();
  const victim = await rig.node("victim", "tcp");
  const seen = await everythingAt(victim);
  const rogue = await rig.rogue("rogue", rights, "tcp", [victim]);
  for (const subject of SUBJECTS) {
    await rogue.publish(subject, { how: "publish" });
    rogue.emit(subject, { how: "emit" });
    await rogue.send(subject, {});
    await isAllowed(() => rogue.request(subject, {}, { timeoutMs: 5_000 }));
  }
  await until(
    "all that was said has ended",
    () => {
      const ledgers = Object.values(rogue.ledger());
      return ledgers.length > 0 && ledgers.every(({ pending }) => pending === 0);
    },
    () => JSON.stringify(rogue.ledger()),
  );
  for (const subject of SUBJECTS) {
    for (const action of SAYS)
      check("receiver", action, subject, seen.has(`${action} ${subject}`), may(action, subject));
  }
};

const atSender = async ({ rights, may, mayTake }: Principal, check: Check): Promise<void> => {
  await using rig = new SecuredRig();
  const victim = await rig.node("victim", "tcp");
  const taker = await LyingTaker.start(rig, rig.security("taker", rights), victim);
  const cells: { action: Takes; what: string; expected: boolean; index: number }[] = [];
  const take = async (action: Takes, what: string, expected: boolean): Promise<void> => {
    const { index, confirmed } = await taker.take(ROLES[action], what);
    check("sender, as confirmed", action, what, confirmed, expected);
    cells.push({ action, what, expected, index });
  };
  for (const action of TAKES)
    for (const subject of SUBJECTS) await take(action, subject, may(action, subject));
  // Commands and queries have no patterns.
  for (const pattern of PATTERNS) await take("subscribe", pattern, mayTake("subscribe", pattern));
  for (const subject of SUBJECTS) {
    await victim.publish(subject, { how: "publish" });
    victim.emit(subject, { how: "emit" });
    await victim.send(subject, { how: "send" });
    victim.request(subject, {}, { timeoutMs: 1_000 }).catch(() => {});
  }
  await taker.flushed();
  const got = new Set(taker.got.map((one) => one.split(" ")[1]));
  for (const { action, what, expected, index } of cells)
    check("sender, as sent", action, what, got.has(String(index)), expected);
};

export const RIGHTS_MATRIX: HostileCase = {
  name: "rights-matrix",
  async run({ log }) {
    const tally = new Tally(log);
    for (const [name, principal] of Object.entries(PRINCIPALS)) {
      const check: Check = (at, action, what, happened, may) =>
        tally.check(
          happened === may,
          () => `${at}: ${name} ${action} ${what}: ${happened ? "happened" : "did not happen"}`,
        );
      await atCaller(principal, check);
      await atReceiver(principal, check);
      await atSender(principal, check);
    }
    return tally.outcome;
  },
};
