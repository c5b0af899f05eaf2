import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { connect, createServer, type TLSSocket } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isRefusal, type PeerIdentity } from "../../src/ports/security.ts";
import { DAY_MS } from "../../src/security/authority.ts";
import {
  beginRotation,
  deliverTrust,
  finishRotation,
  revoke,
  switchRotation,
} from "../../src/security/change-trust.ts";
import { nodeIdOfKey } from "../../src/security/identity-key.ts";
import { issueKeys, renewKeys } from "../../src/security/issue-keys.ts";
import { type LoadedSecurity, loadSecurity } from "../../src/security/load-security.ts";
import { createIssuer } from "../../src/security/open-authority.ts";
import { KeysWorld } from "./keys-world.ts";

let world: KeysWorld;
const now = (): number => Date.now();

beforeEach(() => {
  world = new KeysWorld();
});
afterEach(() => world[Symbol.dispose]());

const verdict = (
  by: LoadedSecurity,
  of: { chain: readonly Uint8Array[] },
  nowMs = now(),
): string => {
  const answer = by.verify(of.chain, nowMs);
  return isRefusal(answer) ? answer.code : "accepted";
};

describe("a node's security", () => {
  it("knows another node of its mesh, and what it may do", () => {
    const orders = world.node();
    const billing = world.node({ service: "billing", allow: { subscribe: ["order.*"] } });
    const peer = orders.verify(billing.self.chain, now()) as PeerIdentity;
    expect(peer).toMatchObject({ mesh: "shop", service: "billing", nodeId: billing.self.nodeId });
    expect(peer.nodeId).toBe(nodeIdOfKey(peer.publicKey));
    expect(peer.may("subscribe", "order.placed")).toBe(true);
    expect(peer.may("publish", "order.placed")).toBe(false);
    const bytes = Buffer.from("a transcript");
    expect(orders.verifySignature(peer, bytes, billing.sign(bytes))).toBe(true);
    expect(orders.verifySignature(peer, bytes, orders.sign(bytes))).toBe(false);
    expect(orders.verifySignature(peer, bytes, new Uint8Array(3))).toBe(false);
  });

  it("refuses strangers, other meshes, others' issuers, and certificates of no node", () => {
    const orders = world.node();
    using stranger = new KeysWorld("shop");
    using other = new KeysWorld("bank");
    expect(verdict(orders, stranger.node().self)).toBe("untrusted");
    expect(verdict(orders, other.node().self)).toBe("wrong-mesh");
    const issuer = createIssuer(stranger.authority, stranger.path("issuer"));
    expect(verdict(orders, stranger.node({}, issuer).self)).toBe("untrusted");
    const own = createIssuer(world.authority, world.path("issuer"));
    const { der } = own.signing.certificate;
    expect(verdict(orders, { chain: [der] })).toBe("malformed");
    // A node is no issuer, whoever signed it.
    const [leaf] = orders.self.chain as [Uint8Array];
    const [second] = world.node().self.chain as [Uint8Array];
    expect(verdict(orders, { chain: [second, leaf] })).toBe("malformed");
    expect(verdict(orders, { chain: [leaf, der] })).toBe("untrusted");
    expect(verdict(orders, { chain: [] })).toBe("malformed");
    expect(verdict(orders, { chain: [leaf, der, der] })).toBe("malformed");
  });

  it("accepts what an issuer signed, until the issuer is revoked or has ended", () => {
    const orders = world.node();
    const issuer = createIssuer(world.authority, world.path("issuer"), DAY_MS);
    const late = world.node({ lifeMs: 30 * DAY_MS }, issuer);
    expect(verdict(orders, late.self)).toBe("accepted");
    // A certificate does not outlive its signer.
    expect(late.self.notAfterMs).toBeLessThanOrEqual(issuer.signing.certificate.notAfterMs);
    expect(verdict(orders, late.self, now() + 2 * DAY_MS)).toBe("expired");
    revoke(world.authority, { serial: issuer.signing.certificate.serial });
    expect(orders.learnRevocations(world.authority.trust.revoked.bytes)).toBe("new");
    expect(verdict(orders, late.self)).toBe("revoked");
    expect(orders.recheck(late.self, now())?.code).toBe("revoked");
  });

  it("allows clocks to differ by a minute and no more", () => {
    const orders = world.node({ lifeMs: DAY_MS });
    const { notBeforeMs, notAfterMs } = orders.self;
    expect(verdict(orders, orders.self, notBeforeMs - 59_000)).toBe("accepted");
    expect(verdict(orders, orders.self, notBeforeMs - 61_000)).toBe("not-yet-valid");
    expect(verdict(orders, orders.self, notAfterMs + 59_000)).toBe("accepted");
    expect(verdict(orders, orders.self, notAfterMs + 61_000)).toBe("expired");
  });

  it("refuses who was revoked, by certificate and by key, live peers too, and after a restart", () => {
    const folder = world.issue();
    const orders = loadSecurity(folder);
    const peers = [world.node(), world.node()] as const;
    const known = peers.map((each) => orders.verify(each.self.chain, now()) as PeerIdentity);
    const told: string[] = [];
    orders.onChange((what) => told.push(what));
    revoke(world.authority, { serial: peers[0].self.serial });
    revoke(world.authority, { nodeId: peers[1].self.nodeId });
    const { bytes } = world.authority.trust.revoked;
    expect(orders.learnRevocations(bytes)).toBe("new");
    expect(orders.learnRevocations(bytes)).toBe("old");
    expect(told).toEqual(["revoked"]);
    for (const peer of known) expect(orders.recheck(peer, now())?.code).toBe("revoked");
    expect(orders.isRevoked(peers[0].self.serial)).toBe(true);
    const again = loadSecurity(folder);
    for (const peer of peers) expect(verdict(again, peer.self)).toBe("revoked");
    expect(again.revocations()).toEqual(orders.revocations());
    expect(verdict(again, world.node().self)).toBe("accepted");
  });

  it("takes a list from nobody but an authority it trusts, and never an older one", () => {
    const orders = world.node();
    const first = orders.revocations().bytes;
    using stranger = new KeysWorld("shop");
    revoke(stranger.authority, { serial: orders.self.serial });
    const forged = stranger.authority.trust.revoked.bytes;
    expect(orders.learnRevocations(forged)).toBe("refused");
    revoke(world.authority, { serial: "00".repeat(16) });
    const good = world.authority.trust.revoked.bytes;
    const bent = Uint8Array.from(good);
    bent[20] = (bent[20] ?? 0) ^ 1;
    expect(orders.learnRevocations(bent)).toBe("refused");
    for (const junk of [new Uint8Array(0), Buffer.from("junk"), new Uint8Array(2_000_000)]) {
      expect(orders.learnRevocations(junk)).toBe("refused");
    }
    expect(orders.learnRevocations(good)).toBe("new");
    expect(orders.learnRevocations(first)).toBe("old");
  });

  it("stays with its peers through a change of authority, which travels with the list", () => {
    const { authority } = world;
    const [early, late] = [world.issue(), world.issue()];
    const [a, b] = [loadSecurity(early), loadSecurity(late)];
    const told: string[] = [];
    a.onChange((what) => told.push(what));
    beginRotation(authority);
    const list = (): Uint8Array => authority.trust.revoked.bytes;
    for (const each of [a, b]) expect(each.learnRevocations(list())).toBe("new");
    expect(told).toEqual(["authorities", "revoked"]);
    expect(a.tls().ca).toHaveLength(2);
    switchRotation(authority);
    renewKeys(authority, late);
    expect(b.reload()).toBe(true);
    // Old beside new, both ways, before and after a has heard of the switch.
    for (const heard of [false, true]) {
      if (heard) expect(a.learnRevocations(list())).toBe("new");
      expect([verdict(a, b.self), verdict(b, a.self)]).toEqual(["accepted", "accepted"]);
    }
    const old = a.self;
    renewKeys(authority, early);
    expect(a.reload()).toBe(true);
    finishRotation(authority);
    for (const each of [a, b]) expect(each.learnRevocations(list())).toBe("new");
    expect([verdict(a, b.self), verdict(b, a.self)]).toEqual(["accepted", "accepted"]);
    expect(b.recheck(old, now())?.code).toBe("untrusted");
    expect(verdict(b, old)).toBe("untrusted");
    expect(a.tls().ca).toHaveLength(1);
    expect(verdict(loadSecurity(early), loadSecurity(late).self)).toBe("accepted");
  });

  it("takes a renewed certificate from the disk, with the same id and keys", () => {
    const folder = world.issue({ allow: { publish: ["a.>"] }, lifeMs: DAY_MS });
    const orders = loadSecurity(folder);
    const before = orders.self;
    const told: string[] = [];
    orders.onChange((what) => told.push(what));
    expect(orders.reload()).toBe(false);
    renewKeys(world.authority, folder, now() + 60_000);
    expect(orders.reload()).toBe(true);
    expect(told).toEqual(["renewed"]);
    const { nodeId, serial, curveKey } = orders.self;
    expect(serial).not.toBe(before.serial);
    expect({ nodeId, curveKey }).toEqual({ nodeId: before.nodeId, curveKey: before.curveKey });
    expect(orders.self.may("publish", "a.b")).toBe(true);
    expect(orders.tls().cert).toBe(readFileSync(join(folder, "node.crt"), "latin1"));
  });

  it("takes a certificate that was renewed just before a list was heard", () => {
    const folder = world.issue();
    const orders = loadSecurity(folder);
    const { serial } = orders.self;
    renewKeys(world.authority, folder);
    revoke(world.authority, { serial: "22".repeat(16) });
    expect(orders.learnRevocations(world.authority.trust.revoked.bytes)).toBe("new");
    expect(orders.reload()).toBe(true);
    expect(orders.self.serial).not.toBe(serial);
    expect(orders.reload()).toBe(false);
  });

  it("keeps what works when what is on the disk does not", () => {
    const folder = world.issue();
    const orders = loadSecurity(folder);
    const { serial } = orders.self;
    writeFileSync(join(folder, "node.crt"), "not a certificate");
    expect(orders.reload()).toBe(false);
    writeFileSync(join(folder, "node.crt"), readFileSync(join(world.issue(), "node.crt")));
    expect(orders.reload()).toBe(false);
    expect(orders.self.serial).toBe(serial);
  });

  it("has an id that is given, where the authority itself gave it, to one key at a time", () => {
    const nodeId = "0123456789abcdefghjk";
    const orders = world.node({ nodeId });
    expect(orders.self.nodeId).toBe(nodeId);
    expect(verdict(world.node(), orders.self)).toBe("accepted");
    const taken = expect.objectContaining({
      code: "INVALID_KEYS",
      message: expect.stringContaining("living key"),
    });
    expect(() => world.issue({ nodeId })).toThrow(taken);
    const issuer = createIssuer(world.authority, world.path("issuer"));
    expect(() => world.issue({ nodeId: "1123456789abcdefghjk" }, issuer)).toThrow(/gives no ids/);
    revoke(world.authority, { serial: orders.self.serial });
    expect(world.node({ nodeId }).self.nodeId).toBe(nodeId);
  });

  it("issues nothing for a key that is revoked", () => {
    const folder = world.issue();
    revoke(world.authority, { nodeId: loadSecurity(folder).self.nodeId });
    expect(() => renewKeys(world.authority, folder)).toThrow(/revoked/);
  });

  it("takes a mesh secret that the list names, from anybody, and no other", () => {
    const { authority } = world;
    const orders = world.node();
    const first = orders.meshSecrets;
    expect(orders.revocations().secrets).toEqual(first);
    beginRotation(authority);
    const { revoked, secrets } = authority.trust;
    expect(secrets).toHaveLength(2);
    expect(secrets[0]).toEqual(first[0]);
    const forged = [secrets[0] as Uint8Array, new Uint8Array(32)];
    expect(orders.learnRevocations(revoked.bytes, forged)).toBe("new");
    expect(orders.meshSecrets).toBe(first);
    expect(orders.revocations().secrets).toEqual([]); // what it has is not what the list names
    for (const wrong of [[], [secrets[1] as Uint8Array], [...secrets].reverse()]) {
      expect(orders.learnRevocations(revoked.bytes, wrong)).toBe("old");
      expect(orders.meshSecrets).toBe(first);
    }
    expect(orders.learnRevocations(revoked.bytes, secrets)).toBe("old");
    expect(orders.meshSecrets).toEqual(secrets);
    expect(orders.revocations().secrets).toEqual(secrets);
    switchRotation(authority);
    expect(authority.trust.secrets).toEqual([...secrets].reverse());
    finishRotation(authority);
    expect(authority.trust.secrets).toEqual([secrets[1]]);
  });

  it("changes the mesh secret in folders at hand, which running nodes take", () => {
    const { authority } = world;
    const folder = world.issue();
    const orders = loadSecurity(folder);
    const issuer = createIssuer(authority, world.path("issuer"));
    for (const step of [beginRotation, switchRotation, finishRotation]) {
      step(authority);
      for (const each of [folder, issuer.folder]) deliverTrust(authority, each);
      expect(orders.reload()).toBe(true);
      expect(orders.meshSecrets).toEqual(authority.trust.secrets);
      expect(loadSecurity(folder).meshSecrets).toEqual(orders.meshSecrets);
      expect(issuer.trust.secrets).toEqual(orders.meshSecrets);
      if (step === switchRotation) renewKeys(authority, folder);
    }
  });

  it("delivers lists to issuers and nodes as files", () => {
    const issuer = createIssuer(world.authority, world.path("issuer"));
    const orders = loadSecurity(world.issue());
    revoke(world.authority, { nodeId: orders.self.nodeId });
    expect(deliverTrust(world.authority, issuer.folder)).toBe("new");
    expect(deliverTrust(world.authority, issuer.folder)).toBe("old");
    using stranger = new KeysWorld("shop");
    expect(() => deliverTrust(stranger.authority, issuer.folder)).toThrow(/does not trust/);
    const { publicKey, curveKey } = orders.self;
    const request = { service: "orders", rights: {}, lifeMs: DAY_MS, publicKey, curveKey };
    expect(() => issuer.issue(request, now())).toThrow(/revoked/);
  });
});

describe("a folder of keys", () => {
  it.each([
    ["node.key", 0o640],
    ["mesh.secret", 0o604],
    ["node.crt", 0o666],
  ])("with %s at mode %o is refused, and says what mends it", (name, mode) => {
    const folder = world.issue();
    chmodSync(join(folder, name), mode);
    const path = join(folder, name);
    const message = expect.stringContaining(`chmod 600 ${path}`);
    expect(() => loadSecurity(folder)).toThrow(
      expect.objectContaining({ code: "INVALID_KEYS", message }),
    );
  });

  it("open to others is refused", () => {
    const folder = world.issue();
    chmodSync(folder, 0o755);
    expect(() => loadSecurity(folder)).toThrow(new RegExp(`chmod 700 ${folder}`));
  });

  it.each(["node.key", "node.crt", "authorities.crt", "mesh.secret", "revoked.list"])(
    "with a broken or strange %s is refused by that name",
    (name) => {
      const folder = world.issue();
      const path = join(folder, name);
      using other = new KeysWorld("shop");
      const strange = readFileSync(join(other.issue(), name));
      for (const content of [strange, Buffer.from("x"), Buffer.alloc(2_000_000)]) {
        if (name === "mesh.secret" && content === strange) continue;
        writeFileSync(path, content);
        expect(() => loadSecurity(folder)).toThrow(
          expect.objectContaining({
            code: "INVALID_KEYS",
            message: expect.stringMatching(/node\.|authorities|secret|revoked/),
          }),
        );
      }
    },
  );

  it("whose certificate has ended is refused with what to do", () => {
    const folder = world.issue({ lifeMs: 20_000 });
    expect(() => loadSecurity(folder, now() + 120_000)).toThrow(/ended .*issue or renew it/);
  });

  it("is never written over", () => {
    const folder = world.issue();
    const before = readFileSync(join(folder, "node.key"));
    expect(() => issueKeys(world.authority, folder, { service: "orders" })).toThrow(
      /there already/,
    );
    expect(readFileSync(join(folder, "node.key"))).toEqual(before);
  });
});

describe("TLS 1.3 with these certificates", () => {
  it("connects two nodes, each of which sees who the other is", async () => {
    const issuer = createIssuer(world.authority, world.path("issuer"));
    const server = world.node({ service: "billing" }, issuer);
    const client = world.node();
    const optionsOf = (each: LoadedSecurity): object => {
      const { cert, key, ca } = each.tls();
      return { cert, key, ca: [...ca], minVersion: "TLSv1.3", rejectUnauthorized: true };
    };
    const listener = createServer({ ...optionsOf(server), requestCert: true });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    const { port } = listener.address() as AddressInfo;
    const seenByServer = new Promise<Uint8Array | undefined>((resolve) => {
      listener.once("secureConnection", (socket: TLSSocket) => {
        resolve(socket.getPeerX509Certificate()?.raw);
        socket.end("hello");
      });
    });
    const socket = connect({
      ...optionsOf(client),
      port,
      host: "127.0.0.1",
      checkServerIdentity: () => undefined,
    });
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once("secureConnect", resolve).once("error", reject);
      });
      expect(socket.getProtocol()).toBe("TLSv1.3");
      expect(socket.authorized).toBe(true);
      expect(socket.getPeerX509Certificate()?.raw).toEqual(Buffer.from(server.self.certificate));
      expect(await seenByServer).toEqual(Buffer.from(client.self.certificate));
    } finally {
      socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    }
  });

  it("does not connect a stranger", async () => {
    using strangers = new KeysWorld("shop");
    const { cert, key, ca } = world.node().tls();
    const listener = createServer({
      cert,
      key,
      ca: [...ca],
      requestCert: true,
      minVersion: "TLSv1.3",
    });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    const { port } = listener.address() as AddressInfo;
    const refused = new Promise<boolean>((resolve) => {
      listener.once("tlsClientError", () => resolve(true));
      listener.once("secureConnection", () => resolve(false));
    });
    const own = strangers.node().tls();
    const socket = connect({
      cert: own.cert,
      key: own.key,
      ca: [...ca],
      port,
      host: "127.0.0.1",
      checkServerIdentity: () => undefined,
    });
    socket.on("error", () => {});
    try {
      expect(await refused).toBe(true);
    } finally {
      socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    }
  });
});
