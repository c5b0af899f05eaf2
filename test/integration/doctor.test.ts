/** `meshbus doctor`, as a process, beside real nodes and what is none. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { mdns } from "../../src/discovery/mdns/mdns.ts";
import { createNode } from "../../src/mesh/create-node.ts";
import { systemClock } from "../../src/mesh/system-ports.ts";
import { announcement, Recorder } from "../discovery/discovery-recorder.ts";
import { KeysWorld } from "../security/keys-world.ts";
import { call, examine, found } from "./doctor-run.ts";
import { ALL, SecuredWorld } from "./secured-world.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);

describe("doctor", () => {
  it("finds a node by mDNS, greets it and leaves", async () => {
    const mesh = await world();
    const node = await mesh.start("shop", { mdns: true });
    const report = await examine("--mesh", mesh.mesh, "--data-dir", join(mesh.folder, "new"));
    expect(report).toMatchObject({ code: 0, problems: 0 });
    expect(found(report, "multicast", "ok")).toContain("works on lo (127.0.0.1)");
    expect(found(report, "neighbours", "ok")[0]).toContain(`shop ${node.id} at ${node.address}`);
    expect(found(report, "greeting", "ok")).toEqual([
      `${node.address} is shop ${node.id}, of this mesh`,
    ]);
    await node.sees("the doctor left", async () =>
      (await node.peers()).every(({ state }) => state === "left"),
    );
  });

  it("says that nodes of another mesh are there, and that the meshes differ", async () => {
    const mesh = await world();
    const node = await mesh.start("shop", { mdns: true });
    const other = `${mesh.mesh}-other`;
    const report = await examine("--mesh", other, "--peer", node.address);
    expect(report.code).toBe(1);
    const [heard = ""] = found(report, "neighbours", "warning");
    expect(heard).toMatch(`no node of mesh "${other}" is heard, but of`);
    expect(heard).toMatch("compare the option mesh");
    const [greeting = ""] = found(report, "greeting", "problem");
    expect(greeting).toMatch(`${node.address} refused: WRONG_MESH`);
    expect(greeting).toMatch("give both the same option mesh");
  });

  it("says whose clock is far ahead, and which node is announced twice", async () => {
    const mesh = `doctor-${process.pid}`;
    const { wallMs, ...clock } = systemClock();
    const twin = announcement({ mesh, addresses: ["zmq://127.0.0.1:1"] });
    await using _first = await new Recorder(mdns(), { ...twin, epoch: 1 }).start();
    await using _second = await new Recorder(mdns(), { ...twin, epoch: 2 }).start();
    const ahead = await createNode({
      ...{ service: "ahead", mesh, dataDir: ":memory:", discovery: [], heartbeatThread: false },
      clock: { ...clock, wallMs: () => wallMs() + 120_000 },
    });
    onTestFinished(async () => void (await ahead.stop()));
    const report = await examine("--mesh", mesh, "--peer", ahead.addresses[0] ?? "");
    expect(found(report, "clock", "warning")[0]).toMatch("is over 60 s ahead of this host's ->");
    expect(found(report, "neighbours", "warning")[0]).toMatch(
      `${twin.nodeId} is announced 2 times`,
    );
  });

  it("tells the host's limits: a port that is taken, an address it has not, a folder in use", async () => {
    const mesh = await world();
    const node = await mesh.start("shop");
    const port = node.address.slice(node.address.lastIndexOf(":") + 1);
    const inUse = await examine(
      ...["--listen", `127.0.0.1:${port}`, "--data-dir", join(mesh.folder, "shop")],
    );
    expect(inUse).toMatchObject({ code: 1, problems: 1 });
    expect(found(inUse, "listen", "problem")[0]).toMatch(`TCP on 127.0.0.1:${port} is taken ->`);
    expect(found(inUse, "folder", "warning")[0]).toMatch("a running node has");
    const foreign = await examine("--listen", "203.0.113.7:7400");
    expect(found(foreign, "listen", "problem")[0]).toMatch(
      "203.0.113.7 is no address of this host (EADDRNOTAVAIL) ->",
    );
  });

  describe("beside what is no node", () => {
    let http: Server;
    let port: number;
    beforeAll(async () => {
      http = createServer((_request, response) => response.end("hello"));
      http.listen(0, "127.0.0.1");
      await once(http, "listening");
      ({ port } = http.address() as AddressInfo);
      return async () => {
        http.closeAllConnections();
        http.close();
        await once(http, "close");
      };
    });

    it("says that nobody listens, that a name is wrong, that another program answers", async () => {
      const mesh = await world();
      const gone = await mesh.start("gone");
      await gone.kill();
      const report = await examine(
        ...["--mesh", mesh.mesh, "--peer", gone.address, "--peer", `tcp://127.0.0.1:${port}`],
        ...["--peer", "no address", "--peer", "name.invalid:7400"],
      );
      expect(report).toMatchObject({ code: 1, problems: 4 });
      expect(found(report, "peer", "problem")).toEqual([
        expect.stringMatching(`nobody listens at ${gone.address} ->`),
        expect.stringMatching('"no address" is not an address'),
        expect.stringMatching("the name in name.invalid:7400 does not resolve"),
      ]);
      expect(found(report, "greeting", "problem")[0]).toMatch(
        `what listens at tcp://127.0.0.1:${port} does not greet as a node does ->`,
      );
    });
  });

  it("writes lines for people, and refuses wrong arguments with the usage's exit code", async () => {
    const text = await call("doctor", "--seconds", "1");
    expect(text.stdout).toMatch(/^ok {6}runtime {4}Node\.js /);
    expect(text.stdout).toMatch(/\d+ problems, \d+ warnings\n$/);
    expect(await call("--help")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("--peer"),
    });
    expect(await call("docter")).toMatchObject({
      code: 2,
      stderr: 'meshbus: there is no command "docter"\n',
    });
    expect(await call("doctor", "--seconds", "0")).toMatchObject({
      code: 2,
      stderr: "meshbus: --seconds 0 is not a number from 1 to 60\n",
    });
    expect((await call("doctor", "--mash", "x")).stderr).toMatch("Unknown option '--mash'");
  });

  it("says whose the keys are, and who trusts them", async () => {
    const secured = new SecuredWorld(await world());
    const { mesh } = secured.world;
    const orders = await secured.start("orders", ALL, { transports: ["tcp"] });
    const curved = await secured.start("curved", ALL, { transports: ["zmq"] });
    const keys = ["--keys", secured.folderOf("billing")];
    const dataDir = ["--data-dir", join(secured.world.folder, "new")];
    const report = await examine(...keys, ...dataDir, "--peer", orders.address);
    expect(report.problems).toBe(0);
    expect(found(report, "keys", "ok")[0]).toContain(`of billing ${secured.nodeIdOf("billing")}`);
    expect(found(report, "trust", "ok")[0]).toContain(`${orders.address} is orders ${orders.id}`);
    const bare = curved.address.replace(/\?.*/, "");
    const zeromq = await examine(...keys, ...dataDir, "--peer", curved.address, "--peer", bare);
    expect(found(zeromq, "trust", "warning")[0]).toContain("connected to only");
    expect(found(zeromq, "trust", "problem")[0]).toMatch(/lacks the key .* -> add \?curve=/);
    const wrong = await examine("--mesh", `${mesh}-other`, ...keys, ...dataDir);
    expect(found(wrong, "keys", "problem")[0]).toContain(`the keys are of mesh "${mesh}"`);
  });

  it("says that a peer and the keys do not trust each other, and why", async () => {
    const secured = new SecuredWorld(await world());
    const orders = await secured.start("orders", ALL, { transports: ["tcp"] });
    const plain = await secured.world.start("plain", { transports: ["tcp"] });
    const other = new KeysWorld(secured.world.mesh, secured.world.folder).issue({
      service: "other",
      ...ALL,
    });
    const dataDir = ["--data-dir", join(secured.world.folder, "new")];
    const foreign = await examine("--keys", other, ...dataDir, "--peer", orders.address);
    expect(found(foreign, "trust", "problem")[0]).toContain(orders.address);
    const without = ["--keys", secured.folderOf("orders"), ...dataDir, "--peer", plain.address];
    const [unkeyed = ""] = found(await examine(...without), "trust", "problem");
    expect(unkeyed).toMatch(/does not speak TLS .* -> has that node keys/);
    const keyless = await examine(
      "--mesh",
      secured.world.mesh,
      ...dataDir,
      "--peer",
      orders.address,
    );
    expect(keyless.problems).toBeGreaterThan(0);
    const empty = await examine("--keys", join(secured.world.folder, "nothing"), ...dataDir);
    expect(found(empty, "keys", "problem")[0]).toMatch(/inspect/);
  });
});
