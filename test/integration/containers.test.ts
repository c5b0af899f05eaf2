/**
 * The program of examples/containers with the environment of its Kubernetes manifests, and a name server that
 * answers as a headless service does. A pod is a process, an address and a folder.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { NameServer } from "../discovery/dns/name-server.ts";
import { environmentOf, statefulSets } from "../examples/containers/deployment-files.ts";
import { Container } from "./container.ts";
import { until } from "./until.ts";

const HEADLESS = "mesh.shop.svc.cluster.local";

let folder = "";
let server: NameServer;
let meshPort = 0;
let pods: Container[] = [];

const setOf = (service: string) => {
  const set = statefulSets().find(({ metadata }) => metadata.name === service);
  if (set === undefined) throw new Error(`there is no StatefulSet ${service}`);
  return set;
};

/** Its volume is named after the pod: the same name again is the same instance. */
const start = (pod: string, host: string, more: Record<string, string> = {}): Container => {
  const container = new Container({
    ...environmentOf(setOf(pod.slice(0, pod.lastIndexOf("-")))),
    ...{ LISTEN_HOST: host, NAME_SERVERS: server.address, DATA_DIR: join(folder, pod) },
    ...{ MESH_PORT: `${meshPort}`, HTTP_PORT: "0" },
    ...more,
  });
  pods.push(container);
  return container;
};

/** What the headless service says: the pods there are, ready or not. */
const headless = (...addresses: string[]): void => {
  server.records = { [`A ${HEADLESS}`]: addresses };
};

const place = async (pod: Container, id: string): Promise<void> => {
  expect(await pod.ask("/orders", { id, total: 42 })).toMatchObject({ status: 202 });
};

const hasInvoice = async (audit: Container, id: string): Promise<void> => {
  await until(`the invoice for ${id}`, async () => {
    const invoices = ((await audit.ask("/invoices"))?.body ?? []) as { readonly order: string }[];
    return invoices.some(({ order }) => order === id);
  });
};

const freePort = async (): Promise<number> => {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as { readonly port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
};

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "pods-"));
  server = await NameServer.start();
  meshPort = await freePort();
});

afterEach(async () => {
  for (const pod of pods) pod.signal("SIGKILL");
  await Promise.all(pods.map(({ ended }) => ended));
  pods = [];
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

it("find one another by the headless service, and each is ready when its own node is", async () => {
  const alone = start("orders-0", "127.0.0.41");
  await alone.isReady(0); // nobody else is there: it accepts and keeps
  headless("127.0.0.41", "127.0.0.42", "127.0.0.43");
  const billing = start("billing-0", "127.0.0.42");
  const audit = start("audit-0", "127.0.0.43");
  for (const pod of [alone, billing, audit]) await pod.isReady(2);
  await place(alone, "o-1");
  await hasInvoice(audit, "o-1");

  const twin = start("billing-0", "127.0.0.44"); // on a volume that is in use
  expect(await twin.ended).toBe(1);
  expect(twin.out).not.toContain("is ready");
  expect(twin.out).toContain(join(folder, "billing-0"));

  expect(await alone.ask("/orders", { id: 1 })).toMatchObject({ status: 400 });
  expect(await alone.ask("/elsewhere")).toMatchObject({ status: 404 });
});

it("drain when they are told to stop, and come back elsewhere with their journals", async () => {
  headless("127.0.0.41", "127.0.0.42", "127.0.0.43");
  const orders = start("orders-0", "127.0.0.41");
  const billing = start("billing-0", "127.0.0.42", { CHARGE_MS: "2000" });
  const audit = start("audit-0", "127.0.0.43");
  const { node: ordersId } = await orders.isReady(2);
  const { node: billingId } = await billing.isReady(2);

  await place(orders, "o-1");
  await until("the charge is under way", async () => (await billing.ask("/charges"))?.body === 1);
  billing.signal("SIGTERM");
  await until("it is not ready any more", async () => (await billing.readiness())?.ready === false);
  expect(await billing.ask("/live")).toMatchObject({ status: 200 });
  expect(await billing.ended).toBe(0);

  await place(orders, "o-2"); // it waits on the volume of orders-0
  orders.signal("SIGKILL");
  await orders.ended;
  headless("127.0.0.43", "127.0.0.45", "127.0.0.46");
  const ordersAgain = start("orders-0", "127.0.0.45");
  const billingAgain = start("billing-0", "127.0.0.46");
  expect((await ordersAgain.isReady(2)).node).toBe(ordersId);
  expect((await billingAgain.isReady(2)).node).toBe(billingId);
  for (const id of ["o-1", "o-2"]) await hasInvoice(audit, id);
  // What was under way was finished, and is not done again.
  expect((await audit.ask("/invoices"))?.body).toHaveLength(2);

  for (const pod of [ordersAgain, billingAgain, audit]) pod.signal("SIGTERM");
  for (const pod of [ordersAgain, billingAgain, audit]) {
    expect(await pod.ended).toBe(0);
    expect(pod.out).toContain("and 0 messages wait on its disk");
  }
});
