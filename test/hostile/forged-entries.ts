/**
 * A member that tells what it may not: durable subscriptions and ends of others, unsigned, with stolen, bent and early
 * signatures, of a stranger's mesh and of a revoked member. Over a real link, after an honest greeting.
 */
import { createHash, randomBytes, sign } from "node:crypto";
import { revoke } from "../../src/security/change-trust.ts";
import { readNodeKeys } from "../../src/security/keys-folder.ts";
import type { EndedSubscription, SubscriptionRecord } from "../../src/wire/declare.ts";
import { encodeFrame } from "../../src/wire/frames.ts";
import { type EntryBody, encodeBody, type SignedEntry } from "../../src/wire/signed-entry.ts";
import { subscriptionRecord } from "../frames-by-hand.ts";
import { until } from "../integration/until.ts";
import { KeysWorld } from "../security/keys-world.ts";
import { greet } from "./greet-by-hand.ts";
import { type HostileCase, Tally } from "./hostile-case.ts";
import { ALL, SecuredRig, Wire } from "./secured-rig.ts";

const TRIES = 20;
const CONTEXT = Buffer.from("meshbus entry v1\0");
const NOTHING = { nodes: [], durable: [], ended: [], signed: [], entriesHash: 0, asks: false };

const time = (ms: number) => ({ ms, counter: 0 });
const recordOf = (group: string, pattern: string): SubscriptionRecord =>
  subscriptionRecord({
    ...{ group, pattern, birthCreator: "thief", weight: 0 },
    ...{ birthTime: time(1), definedTime: time(Date.now()) },
  });
const endOf = (group: string, pattern: string): EndedSubscription => ({
  ...{ role: "events", group, pattern, time: time(Date.now() + 50_000) },
});

/** Whoever has this folder says it. */
const saidBy = (folder: string, body: EntryBody): SignedEntry => {
  const { key, chain } = readNodeKeys(folder);
  const entry = encodeBody(body);
  return { entry, chain, signature: sign(null, Buffer.concat([CONTEXT, entry]), key) };
};

export const FORGED_ENTRIES: HostileCase = {
  name: "forged-entries",
  async run({ log }) {
    const tally = new Tally(log);
    await using rig = new SecuredRig();
    using stranger = new KeysWorld("shop");
    const { keys } = rig;
    const target = await rig.node("orders", "tcp");
    const billing = await rig.node("billing", "tcp", { peers: [target] });
    await billing.subscribe("order.*", async () => {}, { durable: true });
    const names = (): string => Object.keys(target.ledger()).sort().join();
    await until("it is known", () => names().includes("event billing order.*"), names);
    await billing.stop();
    const known = names();

    const folders = {
      rich: keys.issue({ service: "thief", ...ALL }),
      poor: keys.issue({ service: "poor", allow: { publish: [">"] } }),
      revoked: keys.issue({ service: "gone", ...ALL }),
      stranger: stranger.issue({ service: "billing", ...ALL }),
    };
    revoke(keys.authority, { serial: rig.load(folders.revoked).self.serial });
    const { bytes } = keys.authority.trust.revoked;
    const signedMs = Date.now();
    const other = saidBy(folders.rich, { durable: recordOf("x", "order.*"), signedMs });
    const bent = (entry: SignedEntry): SignedEntry => {
      const changed = Uint8Array.from(entry.entry);
      changed[8] = (changed[8] ?? 0) ^ 1;
      return { ...entry, entry: changed };
    };
    const made =
      (folder: string, at = signedMs) =>
      (group: string) =>
        saidBy(folder, { durable: recordOf(group, "order.*"), signedMs: at });
    const attacks: Readonly<Record<string, (group: string) => SignedEntry>> = {
      "a subscription by who may not take it": made(folders.poor),
      "a subscription of a stranger's mesh": made(folders.stranger),
      "a subscription by who is revoked": made(folders.revoked),
      "a subscription of a time to come": made(folders.rich, signedMs + 600_000),
      "a subscription of before its certificate": made(folders.rich, signedMs - 86_400_000),
      "another's certificate": (group) => ({
        ...made(folders.poor)(group),
        chain: readNodeKeys(folders.rich).chain,
      }),
      "another's signature": (group) => ({
        ...made(folders.rich)(group),
        signature: other.signature,
      }),
      "a bit turned": (group) => bent(made(folders.rich)(group)),
      "no signature": (group) => ({ ...made(folders.rich)(group), signature: randomBytes(64) }),
      "an end by another service": () =>
        saidBy(folders.rich, { ended: endOf("billing", "order.*"), signedMs }),
      "an end by who may not take it": () =>
        saidBy(folders.poor, { ended: endOf("billing", "order.*"), signedMs }),
    };
    const thief = rig.load(folders.poor);
    const transport = await rig.transport("tcp", thief);
    const wire = new Wire(
      await transport.dial(target.addresses[0] as string, { timeoutMs: 5_000 }),
    );
    if (!(await greet(wire, thief))) throw new Error("an honest greeting was refused");
    const session = wire.find("welcome")?.session ?? 0;
    const tell = (frame: object): void =>
      wire.connection.send(
        encodeFrame({ type: "directory", session, ...NOTHING, ...frame } as never),
      );
    wire.connection.send(
      encodeFrame({ type: "credentials", session, chain: [], revocations: bytes, secrets: [] }),
    );
    const count = (name: string): number => target.counters()[name] ?? 0;
    for (const [what, forged] of Object.entries(attacks)) {
      // What is signed well, and not its signer's to say, is denied; the rest is no entry.
      const counter = what.includes("another service") ? "security.denied" : "directory.refused";
      const before = count(counter);
      for (let n = 0; n < TRIES; n++) {
        const group = `g${createHash("sha256").update(`${what}${n}`).digest("hex").slice(0, 8)}`;
        tell({ signed: [forged(group)] });
      }
      await until(
        `${what}: all are refused`,
        () => count(counter) - before >= TRIES,
        () => JSON.stringify(target.counters()),
      );
      for (let n = 0; n < TRIES; n++)
        tally.check(names() === known, () => `${what}: ${names()}, not ${known}`);
    }
    const before = count("directory.unsigned");
    for (let n = 0; n < TRIES; n++)
      tell({ durable: [recordOf(`u${n}`, "order.*")], ended: [endOf("billing", "order.*")] });
    await until(
      "unsigned ones are refused",
      () => count("directory.unsigned") - before >= 2 * TRIES,
      () => JSON.stringify(target.counters()),
    );
    for (let n = 0; n < TRIES; n++)
      tally.check(names() === known, () => `unsigned: ${names()}, not ${known}`);
    // That the same by hand is heard with what is right shows that the tries above fail for their lies.
    tell({ signed: [other] });
    await until("an honest entry is heard", () => names().includes("event x order.*"), names);
    return tally.outcome;
  },
};
