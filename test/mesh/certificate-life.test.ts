/**
 * Certificates that end, change and are taken back while nodes run: links follow, and no message is lost. In one
 * process, over TLS on loopback.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, expect, it } from "vitest";
import { staticPeers } from "../../src/discovery/static/static-peers.ts";
import { createNode } from "../../src/mesh/create-node.ts";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import { systemClock } from "../../src/mesh/system-ports.ts";
import type { Clock } from "../../src/ports/clock.ts";
import {
  beginRotation,
  deliverTrust,
  finishRotation,
  revoke,
  switchRotation,
} from "../../src/security/change-trust.ts";
import { type IssueKeysOptions, renewKeys } from "../../src/security/issue-keys.ts";
import { type LoadedSecurity, loadSecurity } from "../../src/security/load-security.ts";
import { toPem } from "../../src/security/pem.ts";
import { stream } from "../../src/transport/stream/stream-transport.ts";
import { until } from "../integration/until.ts";
import { KeysWorld } from "../security/keys-world.ts";

const TEST_MS = 240_000;
const ALL: Partial<IssueKeysOptions> = {
  allow: { publish: [">"], subscribe: [">"], send: [">"], handle: [">"], request: [">"] },
};
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const worlds: KeysWorld[] = [];
afterAll(() => {
  for (const world of worlds) world[Symbol.dispose]();
});
const nodes: MeshNode[] = [];
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop({ drainMs: 1_000 })));
});

type Started = {
  readonly node: MeshNode;
  readonly folder: string;
  readonly security: LoadedSecurity;
};

const newWorld = (): KeysWorld => {
  const world = new KeysWorld("shop");
  worlds.push(world);
  return world;
};

const start = async (
  keys: KeysWorld,
  service: string,
  peers: readonly Started[] = [],
  clock?: Clock,
): Promise<Started> => {
  const folder = keys.issue({ service, ...ALL });
  const security = loadSecurity(folder);
  const addresses = peers.flatMap(({ node }) => node.addresses);
  const node = await createNode({
    service,
    mesh: "shop",
    dataDir: ":memory:",
    security,
    transports: [stream()],
    discovery: addresses.length === 0 ? [] : [staticPeers(addresses)],
    heartbeatThread: false,
    heartbeatMs: 50,
    leaseMs: 200,
    logger: silent,
    ...(clock === undefined ? {} : { clock }),
  });
  nodes.push(node);
  for (const peer of peers) {
    await node.waitFor(peer.node.service);
    await peer.node.waitFor(service);
  }
  return { node, folder, security };
};

const isLinked = (at: Started, to: Started): boolean =>
  at.node.peers().some(({ nodeId, state }) => nodeId === to.node.id && state === "alive");
const show = (): string => nodes.map((node) => JSON.stringify(node.peers())).join("\n");
const pending = (at: Started): number => {
  const ledgers = Object.values(at.node.ledger());
  return ledgers.reduce((sum, ledger) => sum + ledger.pending, 0);
};

it(
  "a revoked peer loses its links wherever the list arrives, and what it was owed waits",
  async () => {
    const keys = newWorld();
    const orders = await start(keys, "orders");
    const audit = await start(keys, "audit", [orders]);
    const billing = await start(keys, "billing", [orders, audit]);
    const handled: string[] = [];
    await billing.node.subscribe("order.*", async (_, ctx) => void handled.push(ctx.message.id), {
      durable: true,
    });
    await orders.node.publish("order.placed", {});
    await until("handled", () => handled.length === 1, show);
    revoke(keys.authority, { nodeId: billing.node.id });
    deliverTrust(keys.authority, audit.folder); // the others hear of it from audit
    await until("cut off", () => !isLinked(orders, billing) && !isLinked(audit, billing), show);
    expect(isLinked(orders, audit)).toBe(true);
    await orders.node.publish("order.placed", {});
    await until(
      "it knocks in vain",
      () => {
        const { "security.denied": denied = 0 } = orders.node.counters();
        return denied >= 2;
      },
      show,
    );
    expect(isLinked(orders, billing)).toBe(false);
    expect(handled).toHaveLength(1);
    expect(pending(orders)).toBe(1);
    // The same group with a certificate that stands gets what waited.
    const second = await start(keys, "billing", [orders]);
    await second.node.subscribe("order.*", async (_, ctx) => void handled.push(ctx.message.id), {
      durable: true,
    });
    await until(
      "what waited is handled",
      () => handled.length === 2 && pending(orders) === 0,
      show,
    );
  },
  TEST_MS,
);

it(
  "a renewed certificate is taken over running links: none breaks, nothing is lost",
  async () => {
    const keys = newWorld();
    const orders = await start(keys, "orders");
    const billing = await start(keys, "billing", [orders]);
    let handled = 0;
    await billing.node.subscribe("order.*", async () => void handled++, { durable: true });
    const changes: string[] = [];
    void (async () => {
      for await (const change of orders.node.status()) changes.push(change.type);
    })();
    const before = billing.security.self.serial;
    let sent = 0;
    const stop = until(
      "a newer certificate",
      async () => {
        await orders.node.publish("order.placed", { n: ++sent });
        return billing.security.self.serial !== before && orders.security.self.serial !== "";
      },
      show,
    );
    renewKeys(keys.authority, billing.folder);
    renewKeys(keys.authority, orders.folder);
    await stop;
    await until("all are handled", () => handled === sent && pending(orders) === 0, show);
    expect(changes).not.toContain("peer-down");
  },
  TEST_MS,
);

it(
  "a peer whose rights shrank at its renewal loses its subscription, and what waits stays",
  async () => {
    const keys = newWorld();
    const orders = await start(keys, "orders");
    const billing = await start(keys, "billing", [orders]);
    const handled: number[] = [];
    await billing.node.subscribe("order.*", async () => void handled.push(1), { durable: true });
    await orders.node.publish("order.placed", {});
    await until("handled", () => handled.length === 1, show);
    await billing.node.reply("sum", async () => 1);
    expect(await orders.node.request("sum", {})).toBe(1);
    const refusals: string[] = [];
    void (async () => {
      for await (const change of billing.node.status()) {
        if (change.type === "subscription-refused") refusals.push(change.code);
      }
    })();
    narrow(keys, billing);
    await until("refused", () => refusals.includes("UNAUTHORIZED"), show);
    await orders.node.publish("order.placed", {});
    expect(isLinked(orders, billing)).toBe(true);
    expect(pending(orders)).toBe(1);
    expect(handled).toHaveLength(1);
    await until("both are refused", () => refusals.length === 2, show);
    await expect(orders.node.request("sum", {}, { timeoutMs: 300 })).rejects.toMatchObject({
      code: "NO_HANDLER",
    });
  },
  TEST_MS,
);

it(
  "a peer whose certificate has expired finishes what it has, gets nothing new, and is let go",
  async () => {
    const keys = newWorld();
    let aheadMs = 0;
    const real = systemClock();
    const clock: Clock = { ...real, wallMs: () => real.wallMs() + aheadMs };
    const orders = await start(keys, "orders", [], clock);
    const billing = await start(keys, "billing", [orders]);
    let finish: () => void = () => {};
    const ran: number[] = [];
    await billing.node.subscribe(
      "order.*",
      async (data) => {
        ran.push((data as { n: number }).n);
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
      },
      { durable: true },
    );
    await orders.node.publish("order.placed", { n: 1 });
    await until("it runs", () => ran.length === 1, show);
    aheadMs = 40 * 86_400_000;
    await until("expired", () => orders.node.counters()["security.expired"] === 1, show);
    await orders.node.publish("order.placed", { n: 2 });
    finish();
    await until("the first is settled", () => pending(orders) === 1, show);
    expect(ran).toEqual([1]);
    await until("let go", () => !isLinked(orders, billing), show);
    expect(pending(orders)).toBe(1);
  },
  TEST_MS,
);

it(
  "a change of the authority goes round without a link that breaks for good or a message lost",
  async () => {
    const keys = newWorld();
    const orders = await start(keys, "orders");
    const billing = await start(keys, "billing", [orders]);
    let handled = 0;
    let sent = 0;
    await billing.node.subscribe("order.*", async () => void handled++, { durable: true });
    const say = async (): Promise<void> => {
      await orders.node.publish("order.placed", { n: ++sent });
    };
    const spread = async (): Promise<void> => {
      const { number } = keys.authority.trust.revoked.revocations;
      deliverTrust(keys.authority, orders.folder); // billing hears of it from orders
      await until(
        "both know",
        async () => {
          await say();
          return [orders, billing].every(({ security }) => security.revocations().number >= number);
        },
        show,
      );
      // The mesh's secret changes with the authority, and goes with the list.
      const { secrets } = keys.authority.trust;
      for (const { security } of [orders, billing]) expect(security.meshSecrets).toEqual(secrets);
    };
    const [first] = keys.authority.trust.secrets;
    beginRotation(keys.authority);
    await spread();
    switchRotation(keys.authority);
    for (const { folder } of [orders, billing]) renewKeys(keys.authority, folder);
    await spread();
    const serials = [orders, billing].map(({ folder }) => loadSecurity(folder).self.serial);
    await until(
      "both show the new ones",
      () => {
        return [orders, billing].every(({ security }, at) => security.self.serial === serials[at]);
      },
      show,
    );
    finishRotation(keys.authority);
    await spread();
    expect(keys.authority.trust.secrets).toHaveLength(1);
    expect(billing.security.meshSecrets).not.toEqual([first]);
    const late = await start(keys, "late", [orders, billing]);
    expect(isLinked(orders, late)).toBe(true);
    await until("all are handled", () => handled === sent && pending(orders) === 0, show);
    expect(isLinked(orders, billing)).toBe(true);
  },
  TEST_MS,
);

/** The same node and key, and a certificate that allows to publish only. */
const narrow = (keys: KeysWorld, { folder, security }: Started): void => {
  const { self } = security;
  const { service, publicKey, curveKey } = self;
  const rights = { allow: { publish: [">"] } };
  const request = { service, rights, publicKey, curveKey, lifeMs: 86_400_000 };
  const chain = keys.authority.issue(request, Date.now());
  writeFileSync(join(folder, "node.crt"), toPem(chain), { mode: 0o600 });
};
