/**
 * Every principal tries every action on every subject, at a node that knows better: what its certificate allows
 * happens, what it does not allow does not.
 *
 * The principals' own checks are off; what is expected is written down here, not asked of the code under test.
 */
import type { RightsOptions } from "../../src/security/rights.ts";
import { until } from "../integration/until.ts";
import { type HostileCase, Tally } from "./hostile-case.ts";
import { SecuredRig } from "./secured-rig.ts";

const SUBJECTS = ["a.b", "a.c", "a.b.c", "x"] as const;
type Subject = (typeof SUBJECTS)[number];
const ACTIONS = ["publish", "emit", "send", "request", "subscribe", "handle", "reply"] as const;
type Action = (typeof ACTIONS)[number];

const everywhere = (patterns: readonly string[]): NonNullable<RightsOptions["allow"]> => ({
  publish: patterns,
  subscribe: patterns,
  send: patterns,
  handle: patterns,
  request: patterns,
});

type Principal = {
  readonly rights: RightsOptions;
  readonly may: (action: Action, subject: Subject) => boolean;
};

const PRINCIPALS: Readonly<Record<string, Principal>> = {
  nothing: { rights: {}, may: () => false },
  everything: { rights: { allow: everywhere([">"]) }, may: () => true },
  "one-token": {
    rights: { allow: everywhere(["a.*"]) },
    may: (_, subject) => subject === "a.b" || subject === "a.c",
  },
  "deny-wins": {
    rights: { allow: everywhere(["a.>"]), deny: everywhere(["a.b"]) },
    may: (_, subject) => subject === "a.c" || subject === "a.b.c",
  },
  "writer-only": {
    rights: { allow: { publish: [">"] } },
    may: (action) => action === "publish" || action === "emit",
  },
  "reader-only": {
    rights: { allow: { subscribe: [">"] } },
    may: (action) => action === "subscribe",
  },
  "asker-only": { rights: { allow: { request: [">"] } }, may: (action) => action === "request" },
  "worker-only": {
    rights: { allow: { handle: [">"] } },
    may: (action) => action === "handle" || action === "reply",
  },
};

const isRefused = (error: unknown): boolean => (error as { code?: string }).code === "UNAUTHORIZED";

export const RIGHTS_MATRIX: HostileCase = {
  name: "rights-matrix",
  async run({ log }) {
    const tally = new Tally(log);
    for (const [name, { rights, may }] of Object.entries(PRINCIPALS)) {
      await using rig = new SecuredRig();
      const victim = await rig.node("victim", "tcp");
      const seen = new Set<string>();
      for (const subject of SUBJECTS) {
        await victim.subscribe(
          subject,
          async (data) => {
            seen.add(`${(data as { how: string }).how} ${subject}`);
          },
          { durable: true },
        );
        await victim.handle(`${subject}`, async () => void seen.add(`send ${subject}`));
        await victim.reply(`${subject}`, async () => {
          seen.add(`request ${subject}`);
          return 1;
        });
      }
      const rogue = await rig.rogue("rogue", rights, "tcp", [victim]);
      const check = (action: Action, subject: Subject, happened: boolean): void =>
        tally.check(
          happened === may(action, subject),
          () => `${name} ${action} ${subject}: ${happened ? "happened" : "did not happen"}`,
        );
      for (const subject of SUBJECTS) {
        await rogue.publish(subject, { how: "publish" });
        rogue.emit(subject, { how: "emit" });
        await rogue.send(subject, {});
        const answer = rogue.request(subject, {}, { timeoutMs: 5_000 });
        check(
          "request",
          subject,
          await answer.then(
            () => true,
            (error) => !isRefused(error),
          ),
        );
        const taken = async (take: Promise<{ stop(): Promise<unknown> }>): Promise<boolean> =>
          take.then(
            async (one) => one.stop().then(() => true),
            (error) => !isRefused(error),
          );
        const options = { group: "rogue-group" };
        check("subscribe", subject, await taken(rogue.subscribe(subject, async () => {}, options)));
        check("reply", subject, await taken(rogue.reply(subject, async () => 2)));
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
        for (const action of ["publish", "emit", "send"] as const) {
          check(action, subject, seen.has(`${action} ${subject}`));
        }
      }
      // Last, and by another rogue: the victim's claims of the commands would hide a refusal.
      const free = await rig.node("free", "tcp");
      const worker = await rig.rogue("worker", rights, "tcp", [free]);
      for (const subject of SUBJECTS) {
        const handled = worker.handle(subject, async () => {});
        const happened = await handled.then(
          () => true,
          (error) => !isRefused(error),
        );
        check("handle", subject, happened);
      }
    }
    return tally.outcome;
  },
};
