/** `meshbus keys`, as processes: an authority, an issuer that is killed, nodes that join it. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createToken, joinMesh, loadSecurity, openAuthority } from "../../src/security/index.ts";
import { until } from "./until.ts";

const run = promisify(execFile);
const MAIN = join(import.meta.dirname, "../../dist/cli/main.js");

let root: string;
const children = new Set<ChildProcess>();

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "meshbus-cli-"));
});
afterEach(async () => {
  for (const child of children) await stop(child, "SIGKILL");
  rmSync(root, { recursive: true, force: true });
});

const at = (name: string): string => join(root, name);

type Outcome = { code: number; stdout: string; stderr: string };
const keys = async (...args: string[]): Promise<Outcome> => {
  try {
    return { code: 0, ...(await run(process.execPath, [MAIN, "keys", ...args], { cwd: root })) };
  } catch (error) {
    return error as Outcome;
  }
};
const json = async <T = Record<string, unknown>>(...args: string[]): Promise<T> => {
  const { code, stdout, stderr } = await keys(...args, "--json");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as T;
};

const serve = async (listen = "127.0.0.1:0"): Promise<{ child: ChildProcess; address: string }> => {
  const args = [MAIN, "keys", "serve", "--json", "--listen", listen];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  children.add(child);
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    const { event, address } = JSON.parse(line) as { event: string; address: string };
    if (event !== "listening") continue;
    child.stdout?.resume();
    return { child, address };
  }
  throw new Error("the issuer did not listen");
};

const stop = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  children.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill(signal);
  await gone;
};

const authority = async (): Promise<void> => {
  await json("init", "--mesh", "shop");
};
const issuer = async (): Promise<void> => {
  await authority();
  await json("issuer", "--out", "issuer");
};

describe("meshbus keys", () => {
  it("makes an authority and a node's keys that a node loads, all private", async () => {
    await authority();
    const issued = await json(
      ...["issue", "--service", "orders", "--out", "keys/orders-1", "--days", "1"],
      ...["--publish", "order.>", "--publish", "audit.*", "--deny-publish", "order.secret"],
      ...["--subscribe", "payment.*", "--handle", "reserve", "--admin", "read"],
    );
    const { self } = loadSecurity(at("keys/orders-1"));
    expect(issued).toMatchObject({ nodeId: self.nodeId, serial: self.serial });
    expect(self.may("publish", "order.placed")).toBe(true);
    expect(self.may("publish", "order.secret")).toBe(false);
    expect(self.may("handle", "reserve")).toBe(true);
    expect(self.may("send", "reserve")).toBe(false);
    expect(self.admin).toBe("read");
    for (const folder of ["authority", "keys/orders-1"]) {
      expect(statSync(at(folder)).mode & 0o777).toBe(0o700);
      for (const name of readdirSync(at(folder))) {
        expect(statSync(join(at(folder), name)).mode & 0o777, name).toBe(0o600);
      }
    }
    const { stdout } = await keys("inspect", "keys/orders-1");
    expect(stdout).toContain(`name     meshbus://shop/orders/${self.nodeId}`);
    expect(stdout).toContain("deny     publish order.secret");
    expect(stdout).toContain(Buffer.from(self.curveKey).toString("base64url"));
  });

  it("says what is wrong, changes nothing then, and exits with 2", async () => {
    await authority();
    const wrong: [string[], RegExp][] = [
      [["issue", "--out", "x"], /--service is missing/],
      [["issue", "--service", "a/b", "--out", "x"], /service is "a\/b"/],
      [["issue", "--service", "a", "--out", "x", "--publish", "a..b"], /empty token/],
      [
        ["issue", "--service", "a", "--out", "x", "--admin", "root"],
        /must be one of none, read, full/,
      ],
      [["issue", "--service", "a", "--out", "x", "--days", "0"], /no number above 0/],
      [["issue", "--service", "a", "--out", "x", "--days", "999"], /398 days/],
      [["issue", "--service", "a", "--out", "x", "--fly", "b"], /--fly/],
      [["init", "--mesh", "shop"], /holds an authority already/],
      [["token", "--service", "a", "--issuer", "authority"], /tokens are an issuer's/],
      [["serve", "--issuer", "authority"], /no issuer/],
      [["rotate"], /--begin, --switch or --finish/],
      [["rotate", "--finish"], /no change is under way/],
      [["revoke"], /one of --serial, --node and --certificate/],
      [["inspect", "nowhere"], /there is no nowhere/],
      [["fly"], /no command "fly"/],
    ];
    for (const [args, message] of wrong) {
      const { code, stderr } = await keys(...args);
      expect({ args, code }).toEqual({ args, code: 2 });
      expect(stderr).toMatch(message);
      expect(stderr).not.toContain("    at ");
    }
    expect(existsSync(at("x"))).toBe(false);
  });

  it("revokes and changes the authority, and hands the list to folders at hand", async () => {
    await authority();
    for (const name of ["a", "b"]) await json("issue", "--service", name, "--out", name);
    const [a, b] = [loadSecurity(at("a")), loadSecurity(at("b"))];
    expect(await json("revoke", "--node", b.self.nodeId, "--to", "a")).toMatchObject({
      added: true,
    });
    expect(a.reload()).toBe(true);
    expect(a.verify(b.self.chain, Date.now())).toMatchObject({ code: "revoked" });
    const { stdout } = await keys("inspect", "a");
    expect(stdout).toContain("1 entries");
    await json("rotate", "--begin", "--to", "a");
    await json("rotate", "--switch", "--to", "a");
    await json("renew", "--keys", "a", "--authority", "authority");
    await json("rotate", "--finish", "--to", "a");
    const renewed = loadSecurity(at("a"));
    expect(renewed.self.nodeId).toBe(a.self.nodeId);
    expect(renewed.tls().ca).toHaveLength(1);
    await json("issue", "--service", "c", "--out", "c");
    const answer = renewed.verify(loadSecurity(at("c")).self.chain, Date.now());
    expect(answer).toMatchObject({ service: "c" });
  });

  it("leaves nothing half made where a command is killed, and goes on from there", async () => {
    await authority();
    const steps = ["authorities.crt", "revoked.list", "mesh.secret", "node.crt", "node.key"];
    for (const step of steps) {
      const out = `cut-at-${step}`;
      const args = [MAIN, "keys", "issue", "--service", "orders", "--out", out];
      const child = spawn(process.execPath, args, { cwd: root, stdio: "ignore" });
      children.add(child);
      await until(step, () => existsSync(join(at(out), step)) || child.exitCode !== null);
      await stop(child, "SIGKILL");
      // Whole, or nothing yet: then the same command makes it.
      if (!existsSync(join(at(out), "node.key"))) {
        await json("issue", "--service", "orders", "--out", out);
      }
      const { self } = loadSecurity(at(out));
      const recorded = [...openAuthority(at("authority")).issued()].map(({ serial }) => serial);
      expect(recorded).toContain(self.serial);
    }
    // Other keys' folders are nobody's to write to.
    for (const out of ["authority", "cut-at-node.key"]) {
      const { code, stderr } = await keys("issue", "--service", "orders", "--out", out);
      expect({ code, stderr }).toEqual({
        code: 2,
        stderr: expect.stringContaining("there already"),
      });
    }
    const token = [
      "--issuer",
      "127.0.0.1:1",
      "--token",
      `mbj1.${"A".repeat(43)}.${"B".repeat(16)}.${"C".repeat(32)}`,
    ];
    const { stderr } = await keys("join", ...token, "--out", "authority");
    expect(stderr).toContain("not a node's");
    expect(openAuthority(at("authority")).mesh).toBe("shop");
  });

  it("lets ten services join in one command each, and renews them", async () => {
    await issuer();
    const { child, address } = await serve();
    const joinOne = async (n: number): Promise<string> => {
      const service = `service-${n}`;
      const token = createToken(openAuthority(at("issuer")), { service });
      const out = `keys-${n}`;
      const joined = await json("join", "--issuer", address, "--token", token, "--out", out);
      expect(joined).toMatchObject({ mesh: "shop", service });
      return out;
    };
    const folders: string[] = [];
    for (let n = 0; n < 10; n++) folders.push(await joinOne(n));
    const nodes = folders.map((folder) => loadSecurity(at(folder)));
    expect(new Set(nodes.map(({ self }) => self.nodeId)).size).toBe(10);
    for (const node of nodes) {
      expect(nodes[0]?.verify(node.self.chain, Date.now())).toHaveProperty("service");
    }
    const { stdout } = await keys("renew", "--keys", "keys-0");
    expect(stdout).toContain("keys-0 is renewed until");
    expect(loadSecurity(at("keys-0")).self.serial).not.toBe(nodes[0]?.self.serial);
    await stop(child, "SIGTERM");
    expect(child.exitCode).toBe(0);
  });

  it("gives one key what a token stands for, however often the issuer is killed", async () => {
    await issuer();
    for (let round = 0; round < 4; round++) {
      const { token } = await json<{ token: string }>("token", "--service", "orders");
      const id = token.split(".")[2];
      const first = await serve();
      const racers = ["p", "q", "r", "s"].map((name) => `${name}-${round}`);
      const tryAll = (address: string): Promise<unknown> =>
        Promise.allSettled(
          racers
            .filter((out) => !existsSync(join(at(out), "node.crt")))
            .map((out) => joinMesh(at(out), { issuer: address, token })),
        );
      const tries = tryAll(first.address);
      // The token is claimed on the disk; the certificate may or may not have been signed, or sent.
      await until("the token is used", () => existsSync(at(`issuer/tokens/${id}.used`)));
      await stop(first.child, "SIGKILL");
      await tries;
      const second = await serve();
      await tryAll(second.address);
      await stop(second.child, "SIGTERM");
      const joined = racers.filter((out) => existsSync(join(at(out), "node.crt")));
      expect(joined).toHaveLength(1);
      const { self } = loadSecurity(at(joined[0] ?? ""));
      const lines = [...openAuthority(at("issuer")).issued()].filter((line) => line.token === id);
      expect(new Set(lines.map(({ keyId }) => keyId))).toEqual(new Set([self.nodeId]));
      // Nobody has a certificate that is not in the record.
      expect(lines.map(({ serial }) => serial)).toContain(self.serial);
    }
  });
});
