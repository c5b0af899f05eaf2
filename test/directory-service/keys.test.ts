/** A directory of a mesh with keys: nodes find each other by it over TLS, and strangers learn nothing. */
import { afterAll, afterEach, expect, it } from "vitest";
import { directoryService } from "../../src/directory-service/directory-service.ts";
import { type Directory, serveDirectory } from "../../src/directory-service/serve-directory.ts";
import { createNode } from "../../src/mesh/create-node.ts";
import { ALL, SecuredRig } from "../hostile/secured-rig.ts";
import { until } from "../integration/until.ts";

let rig = new SecuredRig();
const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await rig[Symbol.asyncDispose]();
  rig = new SecuredRig();
});
afterAll(() => rig[Symbol.asyncDispose]());
const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const served = async (): Promise<Directory> => {
  const node = await rig.node("directory", "tcp");
  const directory = await serveDirectory(node, { mesh: "shop", logger });
  ends.push(() => directory.stop());
  return directory;
};

it("lets members find each other, and tells strangers nothing", async () => {
  const directory = await served();
  const discovery = () => [directoryService([directory.address])];
  const orders = await rig.node("orders", "tcp", { discovery: discovery() });
  const billing = await rig.node("billing", "tcp", { discovery: discovery() });
  await orders.waitFor("billing", { timeoutMs: 20_000 });
  await billing.waitFor("orders", { timeoutMs: 20_000 });
  // Without keys, and with keys of another mesh.
  const open = await createNode({
    ...{ service: "open", mesh: "shop", dataDir: ":memory:", logger, heartbeatThread: false },
    discovery: discovery(),
  });
  ends.push(() => open.stop());
  const { KeysWorld } = await import("../security/keys-world.ts");
  const other = new KeysWorld("shop");
  ends.push(async () => other[Symbol.dispose]());
  const thief = await rig.node("thief", "tcp", {
    security: other.node({ service: "thief", ...ALL }),
    discovery: discovery(),
  });
  await until(
    "both have tried",
    () => [open, thief].every((one) => (one.counters()["discovery.directory.problem"] ?? 0) > 0),
    () => JSON.stringify([open.counters(), thief.counters()]),
  );
  expect(directory.load.clients).toBe(2);
  expect(open.peers().concat(thief.peers())).toEqual([]);
});

it("listens beyond loopback with keys, and not without", async () => {
  const node = await rig.node("directory", "tcp");
  const wide = await serveDirectory(node, { mesh: "shop", listen: { host: "0.0.0.0" }, logger });
  await wide.stop();
  const listen = { host: "0.0.0.0" };
  await expect(
    serveDirectory(node, { mesh: "shop", listen, security: false, logger }),
  ).rejects.toMatchObject({ code: "INSECURE_LISTEN" });
});
