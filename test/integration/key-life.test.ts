/**
 * The life of keys under traffic: two nodes with certificates of half a minute renew them through an issuer, over several
 * generations, while durable messages go both ways; in the middle a third one is revoked, and the mesh's authority
 * changes. Nodes and issuer are processes of their own.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { joinMesh, renewFromIssuer } from "../../src/security/ask-issuer.ts";
import {
  beginRotation,
  deliverTrust,
  finishRotation,
  revoke,
  switchRotation,
} from "../../src/security/change-trust.ts";
import { inspectCertificates } from "../../src/security/inspect-keys.ts";
import { createToken } from "../../src/security/join-tokens.ts";
import { readTrust } from "../../src/security/keys-folder.ts";
import { createIssuer, renewIssuer } from "../../src/security/open-authority.ts";
import { KeysWorld } from "../security/keys-world.ts";
import type { ChildNode } from "./child-node.ts";
import { ALL } from "./secured-world.ts";
import { range } from "./until.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);
const TEST_MS = 900_000;
const MAIN = join(import.meta.dirname, "../../dist/cli/main.js");
const LIFE_MS = 30_000;
const GENERATIONS = 4;
/** Both dialled at once as they met, and one of the two links went: that is no break. */
const REPLACED = "another link between the two nodes is kept";
/** Of who is revoked: it does not end by itself meanwhile. */
const LONG_MS = 86_400_000;
/** Ends a wait that would be in vain. */
const PHASE_MS = 180_000;
const SAY_EVERY_MS = 25;

const issuers = new Set<ChildProcess>();
afterEach(async () => {
  for (const child of issuers) {
    const gone = once(child, "exit");
    if (child.exitCode === null && child.kill("SIGKILL")) await gone;
  }
  issuers.clear();
});

const serve = async (folder: string): Promise<string> => {
  const args = [MAIN, "keys", "serve", "--json", "--issuer", folder, "--listen", "127.0.0.1:0"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  issuers.add(child);
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    const { event, address } = JSON.parse(line) as { event: string; address: string };
    if (event !== "listening") continue;
    child.stdout?.resume();
    return address;
  }
  throw new Error("the issuer did not listen");
};

/** Certificates take their time. */
const within = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
  const endMs = performance.now() + PHASE_MS;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`not within ${PHASE_MS} ms: ${what}`);
    await sleep(100);
  }
};

/** Says 1, 2, 3, ... until it is told to stop; how many were accepted. */
class Saying {
  readonly #node: ChildNode;
  readonly #subject: string;
  readonly #done: Promise<void>;
  #stopped = false;
  count = 0;

  constructor(node: ChildNode, subject: string) {
    this.#node = node;
    this.#subject = subject;
    this.#done = this.#run();
  }

  async stop(): Promise<number> {
    this.#stopped = true;
    await this.#done;
    return this.count;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#node.publish(this.#subject, this.count + 1, { options: { key: "k" } });
      this.count++;
      await sleep(SAY_EVERY_MS);
    }
  }
}

const aliveAt = async (node: ChildNode): Promise<string[]> =>
  (await node.peers()).filter(({ state }) => state === "alive").map(({ nodeId }) => nodeId);

describe("nodes whose certificates live for half a minute", () => {
  it(
    "renew them through an issuer, through a revocation and a change of authority, and lose nothing",
    async () => {
      const all = await world();
      const keys = new KeysWorld(all.mesh, all.folder);
      const { authority } = keys;
      const issuer = createIssuer(authority, keys.path("issuer"));
      const address = await serve(issuer.folder);
      const names = ["a", "b", "thief"] as const;
      const folders = new Map<string, string>();
      const nodes = new Map<string, ChildNode>();
      for (const name of names) {
        const folder = keys.path(name);
        const lifeMs = name === "thief" ? LONG_MS : LIFE_MS;
        const token = createToken(issuer, { service: name, lifeMs, ...ALL });
        await joinMesh(folder, { issuer: address, token });
        folders.set(name, folder);
        const setup = { transports: ["tcp"], node: { security: { keys: folder } } } as const;
        nodes.set(name, await all.start(name, setup));
      }
      const [a, b, thief] = names.map((name) => nodes.get(name)) as [
        ChildNode,
        ChildNode,
        ChildNode,
      ];
      const folderOf = (name: string): string => folders.get(name) as string;
      await all.link(a, b, thief);
      const options = { durable: true, group: "take" } as const;
      await a.listen({ name: "of-b", verb: "subscribe", subject: "says.b", options });
      await b.listen({ name: "of-a", verb: "subscribe", subject: "says.a", options });
      await thief.listen({ name: "of-a", verb: "subscribe", subject: "says.a" });
      const fromA = new Saying(a, "says.a");
      const fromB = new Saying(b, "says.b");
      const renewals = async (): Promise<number> =>
        Math.min(await a.counter("security.renewed"), await b.counter("security.renewed"));
      await within("the first renewals", async () => (await renewals()) >= 1);

      // One is revoked; only one node and the issuer are told.
      expect(await aliveAt(b)).toContain(thief.id);
      revoke(authority, { nodeId: thief.id });
      for (const folder of [issuer.folder, folderOf("a")]) deliverTrust(authority, folder);
      await within("the revoked one is out", async () => {
        const alive = [...(await aliveAt(a)), ...(await aliveAt(b))];
        return !alive.includes(thief.id);
      });
      await expect(renewFromIssuer(folderOf("thief"))).rejects.toMatchObject({
        code: "INVALID_KEYS",
      });

      // The authority changes, in its three steps, each when every node has the one before.
      const authorities = (name: string): number => readTrust(folderOf(name)).authorities.length;
      const bothHave = (count: number) => () =>
        authorities("a") === count && authorities("b") === count;
      const tell = (): void => {
        for (const folder of [issuer.folder, folderOf("b")]) deliverTrust(authority, folder);
      };
      const next = beginRotation(authority);
      tell();
      await within("both know the new authority", bothHave(2));
      switchRotation(authority);
      tell();
      renewIssuer(authority, issuer);
      const isSignedAnew = (name: string): boolean => {
        const { certificates } = inspectCertificates(join(folderOf(name), "node.crt"));
        return certificates.some(({ signerKeyId }) => signerKeyId === next.keyId);
      };
      await within("both have certificates below the new authority", () =>
        ["a", "b"].every(isSignedAnew),
      );
      finishRotation(authority);
      tell();
      await within("both have dropped the old authority", bothHave(1));
      await within("more renewals", async () => (await renewals()) >= GENERATIONS);

      const saidA = await fromA.stop();
      const saidB = await fromB.stop();
      await b.handled("of-a", saidA);
      await a.handled("of-b", saidB);
      const ledger = await a.settled("event take says.a", saidA);
      expect(ledger).toMatchObject({ acked: saidA, dead: 0, expired: 0, abandoned: 0 });
      expect(b.numbers("end", "of-a")).toEqual(range(1, saidA));
      expect(a.numbers("end", "of-b")).toEqual(range(1, saidB));
      // Whoever is out has heard nothing of what was said since.
      expect(thief.numbers("end", "of-a").length).toBeLessThan(saidA);
      expect([...(await aliveAt(a)), ...(await aliveAt(b))]).not.toContain(thief.id);
      expect(await a.counter("security.renewFailed")).toBe(0);
      expect(await b.counter("security.renewFailed")).toBe(0);
      const broken = [a, b].flatMap((node) =>
        node.events.filter(
          ({ change }) =>
            change?.type === "peer-down" &&
            [a.id, b.id].includes(String(change.nodeId)) &&
            !String(change.reason).endsWith(REPLACED),
        ),
      );
      expect(broken).toEqual([]);
    },
    TEST_MS,
  );
});
