import { afterAll, describe, expect, it, vi } from "vitest";
import type { Environment } from "../../src/runtime/environment.ts";
import type { Link } from "../../src/runtime/link/link.ts";
import { SignedEntries } from "../../src/runtime/signed-entries.ts";
import { revoke } from "../../src/security/change-trust.ts";
import type { LoadedSecurity } from "../../src/security/load-security.ts";
import type { RightsOptions } from "../../src/security/rights.ts";
import type { SubscriptionRecord } from "../../src/wire/declare.ts";
import { decodeSigned, encodeSigned, SIGNED_BYTES_MAX } from "../../src/wire/signed-entry.ts";
import { subscriptionRecord } from "../frames-by-hand.ts";
import { KeysWorld } from "../security/keys-world.ts";

const world = new KeysWorld("shop");
afterAll(() => world[Symbol.dispose]());

const DAY_MS = 86_400_000;
const MAY: RightsOptions = { allow: { subscribe: ["order.>"], handle: ["stock.*"] } };

const durable = (changes: Partial<SubscriptionRecord> = {}): SubscriptionRecord =>
  subscriptionRecord({
    birthTime: { ms: 5, counter: 1 },
    definedTime: { ms: 6, counter: 0 },
    weight: 0,
    ...changes,
  });
const ended = {
  role: "events",
  group: "billing",
  pattern: "order.*",
  time: { ms: 9, counter: 0 },
} as const;

/** A node's entries, at a time. */
const at = (security: LoadedSecurity, clock: { nowMs: number }) => {
  const counts = new Map<string, number>();
  const env = {
    clock: { wallMs: () => clock.nowMs, monotonicMs: () => clock.nowMs },
    counters: { count: (name: string) => void counts.set(name, (counts.get(name) ?? 0) + 1) },
  };
  return { entries: new SignedEntries(env as unknown as Environment, security), counts };
};
const link = { proven: undefined } as unknown as Link;

describe("a signed entry", () => {
  it("is believed by who hears it from anybody, and says who signed", () => {
    const clock = { nowMs: Date.now() };
    const billing = world.node({ service: "billing", ...MAY });
    const said = at(billing, clock).entries.sign({ durable: durable() });
    const { entries, counts } = at(world.node(), clock);
    const heard = entries.heard(link, said.signed);
    expect(heard?.durable).toEqual(durable());
    expect(heard?.signer).toMatchObject({ service: "billing", nodeId: billing.self.nodeId });
    expect(entries.heard(link, decodeSigned(encodeSigned(said.signed)))).toBe(heard);
    expect(entries.kept(said.text)).toBe(heard);
    expect(counts).toEqual(new Map());
  });

  it("with a bit turned, of a stranger, another's name, without the right, or of a time to come is refused", () => {
    const clock = { nowMs: Date.now() };
    const billing = at(world.node({ service: "billing", ...MAY }), clock).entries;
    const thief = at(world.node({ service: "thief", ...MAY }), clock).entries;
    const poor = at(world.node({ service: "poor", allow: { publish: [">"] } }), clock).entries;
    using other = new KeysWorld("shop");
    const stranger = at(other.node({ service: "billing", ...MAY }), clock).entries;
    const late = at(world.node({ service: "late", ...MAY }), {
      nowMs: clock.nowMs + 61_000,
    }).entries;
    const good = billing.sign({ durable: durable() }).signed;
    const bent = Uint8Array.from(good.entry);
    bent[12] = (bent[12] as number) ^ 1;
    const bad = [
      { ...good, entry: bent },
      { ...good, signature: thief.sign({ durable: durable() }).signed.signature },
      { ...thief.sign({ durable: durable() }).signed, chain: good.chain },
      { ...good, chain: [] },
      { ...good, entry: new Uint8Array(0) },
      { ...good, entry: Buffer.from("junk") },
      stranger.sign({ durable: durable() }).signed,
      late.sign({ durable: durable() }).signed,
      poor.sign({ durable: durable() }).signed,
      poor.sign({ ended }).signed,
      billing.sign({ durable: durable({ pattern: ">" }) }).signed,
      billing.sign({ durable: durable({ pattern: "*.placed" }) }).signed,
      billing.sign({ durable: durable({ role: "commands" }) }).signed,
      billing.sign({ durable: durable({ role: "queries", pattern: "stock.a" }) }).signed,
    ];
    const { entries, counts } = at(world.node(), clock);
    for (const [n, one] of bad.entries())
      expect([n, entries.heard(link, one)]).toEqual([n, undefined]);
    expect(counts.get("directory.refused")).toBe(bad.length);
    const command = durable({ role: "commands", pattern: "stock.reserve" });
    expect(entries.heard(link, billing.sign({ durable: command }).signed)).toBeDefined();
    expect(entries.heard(link, billing.sign({ ended }).signed)).toBeDefined();
  });

  it("outlives its certificate by 30 days, is renewed before half of that, and not made after it", () => {
    const clock = { nowMs: Date.now() };
    const billing = world.node({ service: "billing", ...MAY, lifeMs: DAY_MS });
    const { notAfterMs } = billing.self;
    const own = at(billing, clock);
    const said = own.entries.sign({ durable: durable() });
    const { entries } = at(world.node(), clock);
    expect(own.entries.isAgeing(said)).toBe(false);
    clock.nowMs = notAfterMs + 16 * DAY_MS;
    expect(own.entries.isAgeing(said)).toBe(true);
    const heard = entries.heard(link, said.signed); // a newcomer, who has never met it
    expect(heard).toBeDefined();
    const tooLate = own.entries.sign({ durable: durable() }); // its key still signs, its certificate has ended
    expect(entries.heard(link, tooLate.signed)).toBeUndefined();
    clock.nowMs = notAfterMs + 31 * DAY_MS;
    expect(heard && entries.counts(heard)).toBe(false);
    expect(at(world.node(), clock).entries.heard(link, said.signed)).toBeUndefined();
  });

  it("counts no more once its signer is revoked, whoever has it, and for as long as it would have", () => {
    const clock = { nowMs: Date.now() };
    const billing = world.node({ service: "billing", ...MAY, lifeMs: DAY_MS });
    const said = at(billing, clock).entries.sign({ durable: durable() });
    const reader = world.node();
    const { entries } = at(reader, clock);
    const heard = entries.heard(link, said.signed);
    if (heard === undefined) throw new Error("not heard");
    revoke(world.authority, { serial: billing.self.serial });
    expect(reader.learnRevocations(world.authority.trust.revoked.bytes)).toBe("new");
    expect(entries.counts(heard)).toBe(false);
    expect(entries.heard(link, said.signed)).toBeUndefined();
    // The list keeps it although the certificate has ended.
    const later = billing.self.notAfterMs + 29 * DAY_MS;
    revoke(world.authority, { serial: "22".repeat(16) }, later);
    expect(reader.learnRevocations(world.authority.trust.revoked.bytes)).toBe("new");
    expect(reader.isRevoked(billing.self.serial)).toBe(true);
  });

  it("is verified once, and those of one link no faster than 200 a second", () => {
    const clock = { nowMs: Date.now() };
    const billing = at(world.node({ service: "billing", ...MAY }), clock).entries;
    const security = world.node();
    const verifies = vi.spyOn(security, "verifySignature");
    const { entries, counts } = at(security, clock);
    const said = Array.from({ length: 1_200 }, (_, n) =>
      billing.sign({ durable: durable({ group: `g${n}` }) }),
    );
    const heard = said.map(({ signed }) => entries.heard(link, signed));
    expect(heard.filter((one) => one !== undefined)).toHaveLength(1_024);
    expect(counts.get("directory.limited")).toBe(176);
    expect(verifies).toHaveBeenCalledTimes(1_024);
    for (let n = 0; n < 10; n++)
      for (const { signed } of said.slice(0, 1_000)) entries.heard(link, signed);
    expect(verifies).toHaveBeenCalledTimes(1_024); // again costs next to nothing
    clock.nowMs += 1_000;
    expect(said.slice(1_024).every(({ signed }) => entries.heard(link, signed) !== undefined)).toBe(
      true,
    );
    expect(verifies).toHaveBeenCalledTimes(1_200);
  });

  it("has a bound", () => {
    const signed = {
      entry: new Uint8Array(SIGNED_BYTES_MAX),
      chain: [],
      signature: new Uint8Array(64),
    };
    expect(() => decodeSigned(encodeSigned(signed))).toThrow(/exceeds 24576/);
    const chain = Array.from({ length: 3 }, () => new Uint8Array(2));
    expect(() =>
      decodeSigned(encodeSigned({ ...signed, entry: new Uint8Array(1), chain })),
    ).toThrow(/2 in a chain/);
  });
});
