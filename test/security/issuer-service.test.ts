import { sign } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MeshError } from "../../src/errors.ts";
import type { Clock, Timer } from "../../src/ports/clock.ts";
import { CLOCK_SKEW_MS, isRefusal } from "../../src/ports/security.ts";
import { joinMesh, renewFromIssuer } from "../../src/security/ask-issuer.ts";
import { type Authority, DAY_MS } from "../../src/security/authority.ts";
import { beginRotation, deliverTrust, revoke } from "../../src/security/change-trust.ts";
import { curveKeysOf, spkiOf } from "../../src/security/identity-key.ts";
import {
  decodeAnswer,
  encodeQuestion,
  encodeSigned,
  type IssueAnswer,
  readMessage,
  signedPart,
  writeMessage,
} from "../../src/security/issue-protocol.ts";
import { createToken } from "../../src/security/join-tokens.ts";
import { readNodeKeys } from "../../src/security/keys-folder.ts";
import { loadSecurity } from "../../src/security/load-security.ts";
import { createIssuer, renewIssuer } from "../../src/security/open-authority.ts";
import { toPem } from "../../src/security/pem.ts";
import { type IssuerService, serveIssuer } from "../../src/security/serve-issuer.ts";
import { until } from "../integration/until.ts";
import { KeysWorld } from "./keys-world.ts";

let world: KeysWorld;
let issuer: Authority;
let service: IssuerService;

beforeEach(async () => {
  world = new KeysWorld();
  issuer = createIssuer(world.authority, world.path("issuer"));
  service = await serveIssuer(issuer);
});
afterEach(async () => {
  await service.stop();
  world[Symbol.dispose]();
});

const token = (): string =>
  createToken(issuer, { service: "orders", allow: { publish: ["order.>"] }, admin: "read" });
const refusedKeys = (message: RegExp): object =>
  expect.objectContaining({ code: "INVALID_KEYS", message: expect.stringMatching(message) });

describe("joining with a token", () => {
  it("makes a folder of keys that another node accepts, with the rights of the token", async () => {
    const folder = world.path("joined");
    const joined = await joinMesh(folder, { issuer: service.address, token: token() });
    const node = loadSecurity(folder);
    expect(joined).toMatchObject({ mesh: "shop", service: "orders", nodeId: node.self.nodeId });
    const peer = world.node().verify(node.self.chain, Date.now());
    expect(isRefusal(peer)).toBe(false);
    if (isRefusal(peer)) return;
    expect(peer.may("publish", "order.placed")).toBe(true);
    expect(peer.may("subscribe", "order.placed")).toBe(false);
    expect(peer.admin).toBe("read");
    expect(node.meshSecrets).toEqual(world.authority.trust.secrets);
  });

  it("works once: a second key is refused, the same one may ask again", async () => {
    const once = token();
    const at = { issuer: service.address, token: once };
    const folder = world.path("first");
    await joinMesh(folder, at);
    await expect(joinMesh(world.path("second"), at)).rejects.toEqual(refusedKeys(/was used/));
    const key = readFileSync(join(folder, "node.key"));
    rmSync(join(folder, "node.crt"));
    await joinMesh(folder, at);
    expect(readFileSync(join(folder, "node.key"))).toEqual(key);
    expect(loadSecurity(folder).self.service).toBe("orders");
  });

  it("works once for many that use it at the same moment", async () => {
    const once = token();
    const tries = Array.from({ length: 8 }, (_, n) =>
      joinMesh(world.path(`racer-${n}`), { issuer: service.address, token: once }),
    );
    const outcomes = await Promise.allSettled(tries);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const issued = [...issuer.issued()].filter(({ role }) => role === "node");
    expect(issued).toHaveLength(1);
  });

  it("is refused with a token that ended, was changed, or is another issuer's", async () => {
    const late = createToken(issuer, { service: "orders", expireMs: 1_000 }, Date.now() - 2_000);
    const join = (text: string, n: number): Promise<unknown> =>
      joinMesh(world.path(`refused-${n}`), { issuer: service.address, token: text });
    await expect(join(late, 1)).rejects.toEqual(refusedKeys(/has ended/));
    const good = token();
    const last = good.endsWith("A") ? "B" : "A";
    await expect(join(good.slice(0, -1) + last, 2)).rejects.toEqual(refusedKeys(/not known/));
    await expect(join("mbj1.junk", 3)).rejects.toEqual(refusedKeys(/no join token/));
    const other = createIssuer(world.authority, world.path("other"));
    const foreign = createToken(other, { service: "orders" });
    await expect(join(foreign, 4)).rejects.toEqual(
      refusedKeys(/not the issuer that the token names/),
    );
  });

  it("keeps no token readable at the issuer, and hands it to no server that is not the issuer", async () => {
    const secret = token().split(".")[3] ?? "";
    const folder = join(issuer.folder, "tokens");
    const kept = readdirSync(folder).map(
      (name) => name + readFileSync(join(folder, name), "latin1"),
    );
    expect(kept.join()).not.toContain(secret);
    const impostor = createIssuer(world.authority, world.path("impostor"));
    const fake = await serveIssuer(impostor);
    try {
      const tried = joinMesh(world.path("lured"), { issuer: fake.address, token: token() });
      await expect(tried).rejects.toEqual(refusedKeys(/not the issuer/));
      expect([...impostor.issued()]).toEqual([]);
    } finally {
      await fake.stop();
    }
  });

  it("slows down who guesses", async () => {
    const good = token();
    let refusals = 0;
    for (let n = 0; n < 14; n++) {
      const guess = `${good.slice(0, -4)}${String(n).padStart(4, "x")}`;
      await joinMesh(world.path("guesser"), { issuer: service.address, token: guess }).catch(
        (error: unknown) => {
          expect(MeshError.is(error, "INVALID_KEYS")).toBe(true);
          if (/too many/.test((error as Error).message)) refusals++;
        },
      );
    }
    expect(refusals).toBeGreaterThanOrEqual(3);
  });
});

describe("renewing", () => {
  const joinOne = async (name = "node"): Promise<string> => {
    const folder = world.path(name);
    await joinMesh(folder, { issuer: service.address, token: token() });
    return folder;
  };

  it("changes the time and nothing else, and brings the newest list", async () => {
    const folder = await joinOne();
    const before = loadSecurity(folder);
    revoke(world.authority, { serial: "11".repeat(16) });
    beginRotation(world.authority); // which brings another secret as well
    deliverTrust(world.authority, issuer.folder);
    await renewFromIssuer(folder);
    expect(loadSecurity(folder).meshSecrets).toEqual(world.authority.trust.secrets);
    const after = loadSecurity(folder);
    expect(after.self.serial).not.toBe(before.self.serial);
    expect(after.self.nodeId).toBe(before.self.nodeId);
    expect(after.curve).toEqual(before.curve);
    expect(after.self.may("publish", "order.placed")).toBe(true);
    expect(after.revocations().number).toBeGreaterThan(before.revocations().number);
  });

  it("happens by itself at half of the life, while the node runs", async () => {
    const security = loadSecurity(await joinOne());
    const { serial, nodeId } = security.self;
    const told: string[] = [];
    const counted: string[] = [];
    security.onChange((what) => told.push(what));
    const clock = new LateClock();
    const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    security.start({ clock, logger: silent, count: (name) => counted.push(name) });
    try {
      clock.aheadMs = DAY_MS / 2 - 60_000;
      clock.fire();
      expect(security.self.serial).toBe(serial);
      clock.aheadMs = DAY_MS / 2 + 60_000;
      clock.fire();
      await until("a renewal", () => told.length > 0);
      expect(told).toEqual(["renewed"]);
      expect(counted).toEqual(["security.renewed"]);
      expect(security.self.serial).not.toBe(serial);
      expect(security.self.nodeId).toBe(nodeId);
    } finally {
      await security.stop();
    }
  });

  it("goes on asking an issuer that is away, and works once it is back", async () => {
    const security = loadSecurity(await joinOne());
    const { address } = service;
    await service.stop();
    const counted: string[] = [];
    const clock = new LateClock();
    const warned: string[] = [];
    const logger = {
      debug: () => {},
      info: () => {},
      warn: (text: string) => void warned.push(text),
      error: () => {},
    };
    security.start({ clock, logger, count: (name) => counted.push(name) });
    try {
      clock.aheadMs = DAY_MS / 2 + 60_000;
      clock.fire();
      await until("a failed renewal", () => counted.includes("security.renewFailed"));
      expect(warned).toEqual(["the certificate could not be renewed"]);
      service = await serveIssuer(issuer, { port: Number(address.split(":")[1]) });
      // Not at once, to spare an issuer that has trouble.
      clock.fire();
      clock.aheadMs += 2 * 3_600_000;
      clock.fire();
      await until("a renewal", () => counted.includes("security.renewed"));
    } finally {
      await security.stop();
    }
  });

  it("tells the issuer what its peers say is revoked, so that none of it is renewed", async () => {
    const [honest, stolen] = [await joinOne("honest"), await joinOne("stolen")];
    const { serial } = loadSecurity(stolen).self;
    revoke(world.authority, { serial });
    beginRotation(world.authority);
    const { revoked, secrets } = world.authority.trust;
    const number = revoked.revocations.number;
    const security = loadSecurity(honest);
    const clock = new LateClock();
    const counted: string[] = [];
    security.start({ clock, logger: silentLogger, count: (name) => counted.push(name) });
    try {
      expect(security.learnRevocations(revoked.bytes, secrets)).toBe("new"); // over a link
      clock.fire();
      await until("the issuer is told", () => counted.includes("security.listTold"));
      expect(issuer.trust.revoked.revocations.number).toBe(number);
      expect(issuer.trust.secrets).toEqual(secrets);
      await expect(renewFromIssuer(stolen)).rejects.toThrow(/revoked/);
      await renewFromIssuer(honest);
    } finally {
      await security.stop();
    }
  });

  it("brings a newer list along, its own revocation too, and no forged one", async () => {
    const [one, two] = [await joinOne("one"), await joinOne("two")];
    revoke(world.authority, { serial: loadSecurity(two).self.serial });
    const { revoked } = world.authority.trust;
    expect(loadSecurity(one).learnRevocations(revoked.bytes)).toBe("new"); // on its disk
    await renewFromIssuer(one);
    expect(issuer.trust.revoked.revocations.number).toBe(revoked.revocations.number);
    await expect(renewFromIssuer(two)).rejects.toThrow(/revoked/);
    using stranger = new KeysWorld();
    revoke(stranger.authority, { serial: loadSecurity(one).self.serial });
    const answer = await askByHand(await joinOne("three"), stranger.authority.trust.revoked.bytes);
    expect(answer.refusal).toMatch(/no authority that this issuer trusts/);
    expect(issuer.trust.revoked.revocations.number).toBe(revoked.revocations.number);
  });

  it("is refused for a revoked certificate", async () => {
    const folder = await joinOne();
    const { self } = loadSecurity(folder);
    revoke(world.authority, { nodeId: self.nodeId });
    deliverTrust(world.authority, issuer.folder);
    await expect(renewFromIssuer(folder)).rejects.toEqual(refusedKeys(/revoked/));
  });

  it("asks no server but an issuer of its own authority", async () => {
    const folder = await joinOne();
    await service.stop();
    using strangers = new KeysWorld("shop");
    const foreign = createIssuer(strangers.authority, strangers.path("issuer"));
    service = await serveIssuer(foreign, { port: Number(service.address.split(":")[1]) });
    await expect(renewFromIssuer(folder)).rejects.toEqual(refusedKeys(/no issuer of this node/));
  });

  it("gives the whole life again after one that was cut to the issuer's end", async () => {
    const short = createIssuer(world.authority, world.path("short"), 3_600_000);
    const at = await serveIssuer(short);
    try {
      const folder = world.path("cut");
      const day = createToken(short, { service: "orders" });
      await joinMesh(folder, { issuer: at.address, token: day });
      const lifeOf = (): number => {
        const { notBeforeMs, notAfterMs } = loadSecurity(folder).self;
        return notAfterMs - notBeforeMs - CLOCK_SKEW_MS;
      };
      expect(lifeOf()).toBeLessThanOrEqual(3_600_000);
      renewIssuer(world.authority, short, 30 * DAY_MS);
      await renewFromIssuer(folder);
      expect(lifeOf()).toBe(DAY_MS);
    } finally {
      await at.stop();
    }
  });

  it("goes on with a renewed certificate of the issuer itself", async () => {
    const folder = await joinOne();
    renewIssuer(world.authority, issuer, 30 * DAY_MS);
    const { serial } = issuer.signing.certificate;
    await renewFromIssuer(folder);
    const { chain } = loadSecurity(folder).self;
    expect(Buffer.from(chain[1] ?? []).equals(issuer.signing.certificate.der)).toBe(true);
    expect(serial).toBe(issuer.signing.certificate.serial);
  });
});

describe("an issuer under attack", () => {
  it("answers on while sockets hang, send junk, or claim 4 GiB", async () => {
    const [host, port] = service.address.split(":") as [string, string];
    const stuck: Socket[] = [];
    for (let n = 0; n < 24; n++) stuck.push(connectTcp(Number(port), host).on("error", () => {}));
    for (let n = 0; n < 4; n++) {
      const junk = connectTcp(Number(port), host).on("error", () => {});
      junk.write(Buffer.alloc(4_096, n));
      stuck.push(junk);
    }
    const huge = connect({ host, port: Number(port), rejectUnauthorized: false });
    huge.on("error", () => {});
    const closed = new Promise((resolve) => huge.once("close", resolve));
    huge.once("secureConnect", () => huge.write(Buffer.from("ffffffff00", "hex")));
    huge.resume();
    await closed;
    try {
      await joinMesh(world.path("through"), { issuer: service.address, token: token() });
    } finally {
      for (const socket of stuck) socket.destroy();
    }
  });
});

/** A member that hands the issuer a list of its own making. */
const askByHand = async (folder: string, list: Uint8Array): Promise<IssueAnswer> => {
  const { key, keyPem, chain } = readNodeKeys(folder);
  const [host = "", port = ""] = service.address.split(":");
  const cert = toPem(chain);
  const socket = connect({
    host,
    port: Number(port),
    cert,
    key: keyPem,
    rejectUnauthorized: false,
  });
  await once(socket, "secureConnect");
  const request = encodeQuestion({
    ...{ token: "", chain, revocations: 0, list, secrets: [], tellsOnly: true },
    publicKey: spkiOf(key),
    curveKey: curveKeysOf(key).publicKey,
  });
  const signature = sign(null, signedPart(socket, request), key);
  writeMessage(socket, encodeSigned({ request, signature }));
  const answer = decodeAnswer(await readMessage(socket, 1 << 21));
  socket.destroy();
  return answer;
};

const silentLogger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Runs ahead of the real time by `aheadMs`; timers go off when told. */
class LateClock implements Clock {
  aheadMs = 0;
  #due: (() => void)[] = [];

  wallMs(): number {
    return Date.now() + this.aheadMs;
  }

  monotonicMs(): number {
    return performance.now() + this.aheadMs;
  }

  setTimer(_delayMs: number, fn: () => void): Timer {
    this.#due.push(fn);
    return {};
  }

  clearTimer(): void {
    this.#due = [];
  }

  endOfTurn(fn: () => void): void {
    queueMicrotask(fn);
  }

  fire(): void {
    for (const fn of this.#due.splice(0)) fn();
  }
}
