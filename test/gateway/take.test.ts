/** What clients take through a gateway, settle, answer, and leave behind, over real sockets. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Gateway, serveGateway } from "../../src/gateway/serve-gateway.ts";
import { createNode, type Discovery, type MeshNode } from "../../src/index.ts";
import { range, until } from "../integration/until.ts";
import { type Delivery, type RawCall, RawClient } from "./raw-client.ts";

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const numberIn = ({ payload }: Delivery): number => JSON.parse(String(payload)).n;

let node: MeshNode;
let gateway: Gateway;
let client: RawClient;
let other: RawClient;

beforeEach(async () => {
  node = await createNode({
    service: "shop",
    mesh: `gateway-take-${process.pid}`,
    dataDir: ":memory:",
    discovery: [],
    heartbeatThread: false,
    retry: { attempts: 3, baseMs: 1, capMs: 1 },
  });
  gateway = await serveGateway(node);
  client = new RawClient(gateway.address);
  other = new RawClient(gateway.address);
});

afterEach(async () => {
  client.close();
  other.close();
  await gateway.stop({ drainMs: 0 });
  await node.stop();
});

const publish = (count: number, key?: string): Promise<unknown> =>
  Promise.all(
    range(1, count).map((n) => node.publish("a.b", { n }, key === undefined ? {} : { key })),
  );

const settled = (count: number, ended: "acked" | "dead" = "acked"): Promise<void> =>
  until(`${count} ${ended}`, () => {
    const counts = Object.values(node.ledger());
    return counts.reduce((sum, each) => sum + each[ended], 0) === count;
  });

it("delivers what is published, with its facts, and counts acks in the ledger", async () => {
  const call = await client.open("Subscribe", { pattern: "a.*", group: "g" });
  const receipt = await node.publish("a.b", { n: 1 }, { key: "k", headers: { h: "v" } });
  const [delivery] = await call.gets(1);
  expect(delivery).toMatchObject({
    ...{ number: 1, subject: "a.b", contentType: "application/json", key: "k" },
    ...{ headers: { h: "v" }, id: receipt.id, position: receipt.position, attempt: 1 },
    producer: node.id,
  });
  expect(delivery?.fence).toBeGreaterThan(2 ** 40);
  call.ack(1);
  await settled(1);
});

it("gives no more than the credit, and more when it is raised or something is settled", async () => {
  const call = await client.open("Subscribe", { pattern: "a.b", group: "g", credit: 2 });
  await publish(6);
  await call.gets(2);
  call.ack(1);
  expect((await call.gets(3)).map(numberIn)).toEqual([1, 2, 3]);
  call.say({ credit: 4 });
  await call.gets(5);
  call.say({ credit: 0 });
  call.ack(2, 3, 4, 5);
  await settled(5);
  expect(call.deliveries).toHaveLength(5);
  call.say({ credit: 1 });
  expect((await call.gets(6)).map(numberIn)).toEqual(range(1, 6));
});

it("keeps the order of a key, one at a time, also through a retry", async () => {
  const call = await client.open("Subscribe", { pattern: "a.b", group: "g", credit: 16 });
  await publish(3, "k");
  await call.gets(1);
  call.settle(1, { nack: { delayMs: 1, error: "not yet" } });
  await call.gets(2);
  call.ack(2);
  await call.gets(3);
  call.ack(3);
  await call.gets(4);
  call.ack(4);
  await settled(3);
  expect(call.deliveries.map((each) => [numberIn(each), each.attempt])).toEqual([
    [1, 1],
    [1, 2],
    [2, 1],
    [3, 1],
  ]);
});

it("ends a message in the dead letters, at once or after its attempts, with the client's words", async () => {
  const call = await client.open("Subscribe", {
    pattern: "a.b",
    group: "g",
    retry: { attempts: 2 },
  });
  await publish(2);
  await call.gets(2);
  call.settle(1, { deadLetter: { reason: "cannot be read" } });
  call.settle(2, { nack: { error: "jammed" } });
  await call.gets(3);
  call.settle(3, { nack: { error: "jammed again" } });
  await settled(2, "dead");
  const letters = await node.deadLetters.list({});
  expect(letters.map(({ reason }) => reason).sort()).toEqual([
    "2 attempts failed",
    "cannot be read",
  ]);
  const texts = letters.flatMap(({ errors }) => errors.map(({ message }) => message));
  expect(texts).toContain("jammed again");
});

it("takes a message that was not attempted back, and counts no attempt", async () => {
  const call = await client.open("Subscribe", { pattern: "a.b", group: "g" });
  await publish(1);
  await call.gets(1);
  call.settle(1, { nack: { untried: true } });
  const [, again] = await call.gets(2);
  expect(again?.attempt).toBe(1);
});

it("sends what an ack carries once, and nothing of a failed attempt", async () => {
  const seen: unknown[] = [];
  await node.subscribe("invoice.sent", (data) => void seen.push(data));
  await node.handle("mail.send", (data) => void seen.push(data));
  const call = await client.open("Subscribe", { pattern: "a.b", group: "g" });
  await publish(1);
  await call.gets(1);
  const good = { subject: "invoice.sent", payload: json("sent") };
  const bad = { subject: "invoice.sent", payload: Buffer.from("{") };
  call.settle(1, { ack: { publish: [good, bad] } });
  await call.gets(2);
  expect(call.refused).toMatchObject([{ number: 1, error: { code: "SCHEMA_VIOLATION" } }]);
  expect(call.deliveries[1]?.attempt).toBe(2);
  call.settle(2, {
    ack: { publish: [good], send: [{ subject: "mail.send", payload: json("mail") }] },
  });
  await until("both left", () => seen.length === 2);
  await settled(3);
  expect([...seen].sort()).toEqual(["mail", "sent"]);
});

it("withdraws what is not settled in time, counted from when it was given, and refuses its late ack", async () => {
  const call = await client.open("Subscribe", {
    ...{ pattern: "a.b", group: "g", timeoutMs: 300, credit: 1 },
  });
  await publish(2);
  await call.gets(1);
  await until("it is withdrawn", () => call.withdrawn.length > 0);
  expect(call.withdrawn[0]).toMatchObject({ number: 1, error: { code: "TIMEOUT" } });
  call.ack(1);
  await until("the ack is refused", () => call.refused.length === 1);
  expect(call.refused).toMatchObject([{ number: 1, error: { code: "ALREADY_SETTLED" } }]);
  // The other waited here for credit for the whole of that time, and has not failed.
  await until("the other is given", () => call.deliveries.some((each) => numberIn(each) === 2));
  expect(call.deliveries.find((each) => numberIn(each) === 2)?.attempt).toBe(1);
});

it("shares a subscription among streams, and gives what one of them leaves behind to the other", async () => {
  const open = { pattern: "a.b", group: "g", credit: 8 };
  const one = await client.open("Subscribe", { ...open, filterHeaders: { a: "1", b: "2" } });
  const two = await other.open("Subscribe", { ...open, filterHeaders: { b: "2", a: "1" } });
  const headers = { a: "1", b: "2" };
  for (const n of range(1, 8)) await node.publish("a.b", { n }, { headers });
  await until("both have some", () => one.deliveries.length === 4 && two.deliveries.length === 4);
  one.stream.cancel();
  const before = two.deliveries.length;
  two.ack(...range(1, before));
  const all = await two.gets(8);
  expect(all.map(numberIn).sort()).toEqual(range(1, 8));
  expect(all.every(({ attempt }) => attempt === 1)).toBe(true);
  two.ack(...range(before + 1, 4));
  await settled(8);
});

it("refuses a stream that opens a shared subscription otherwise, until the others have ended", async () => {
  const open = { pattern: "a.b", group: "g" };
  const one = await client.open("Subscribe", open);
  const unlike = other.call("Subscribe");
  unlike.say({ open: { ...open, timeoutMs: 5 } });
  const { code, metadata } = await unlike.ended;
  expect([code, metadata.get("meshbus-code")]).toEqual([9, ["SUBSCRIPTION_MISMATCH"]]);
  one.say({ stop: true });
  expect((await one.ended).code).toBe(0);
  await other.open("Subscribe", { ...open, timeoutMs: 5 });
});

it("keeps the backlog of a durable subscription while no stream is there", async () => {
  const open = { pattern: "a.b", group: "g", durable: true };
  const first = await client.open("Subscribe", open);
  await publish(1);
  await first.gets(1);
  first.stream.end(); // without a settle
  expect((await first.ended).code).toBe(0);
  await publish(1);
  const second = await client.open("Subscribe", open);
  expect(await second.gets(2)).toHaveLength(2);
  second.ack(1, 2);
  await settled(2);
});

it("finishes what is out when a stream stops, and takes nothing more", async () => {
  const call = await client.open("Subscribe", {
    ...{ pattern: "a.b", group: "g", durable: true, credit: 1 },
  });
  await publish(1);
  await call.gets(1);
  call.say({ stop: true });
  await publish(1);
  call.ack(1);
  expect((await call.ended).code).toBe(0);
  expect(call.deliveries).toHaveLength(1);
  expect(Object.values(node.ledger())).toMatchObject([{ acked: 1, pending: 1 }]);
});

it("handles commands, and tells who comes second that they are claimed", async () => {
  const call = await client.open("Handle", { pattern: "stock.reserve", group: "stock" });
  await node.send("stock.reserve", { n: 1 });
  await call.gets(1);
  call.ack(1);
  await settled(1);
  const late = other.call("Handle");
  late.say({ open: { pattern: "stock.reserve", group: "another" } });
  expect((await late.ended).metadata.get("meshbus-code")).toEqual(["COMMAND_CLAIMED"]);
});

it("ends a stream that handles a command which turns out to be claimed by an older group", async () => {
  const later: { found?: (address: string) => void } = {};
  const told: Discovery = {
    name: "told",
    start: async (_context, events) => {
      later.found = (address) => events.found({ addresses: [address], source: "told" });
    },
    stop: async () => {},
  };
  const mesh = `gateway-take-${process.pid}`;
  const quiet = { debug() {}, info() {}, warn() {}, error() {} };
  const options = { mesh, dataDir: ":memory:", heartbeatThread: false, logger: quiet };
  await using older = await createNode({ service: "older", discovery: [told], ...options });
  await using younger = await createNode({ service: "younger", discovery: [], ...options });
  await using beside = await serveGateway(younger);
  await older.handle("stock.reserve", () => {});
  const own = new RawClient(beside.address);
  const call = await own.open("Handle", { pattern: "stock.reserve" });
  later.found?.(younger.addresses[0] ?? "");
  const { code, metadata } = await call.ended;
  expect([code, metadata.get("meshbus-code")]).toEqual([9, ["COMMAND_CLAIMED"]]);
  own.close();
});

it("answers questions: a value, a failure; and a question whose client vanished fails", async () => {
  const call = await client.open("Reply", { pattern: "price.quote", credit: 8 });
  const quote = node.request("price.quote", { sku: "a" }, { headers: { h: "v" } });
  await until("it is asked", () => call.questions.length === 1);
  expect(call.questions[0]).toMatchObject({ number: 1, headers: { h: "v" }, caller: node.id });
  call.say({ answers: [{ number: 1, value: { payload: json({ price: 10 }) } }] });
  expect(await quote).toEqual({ price: 10 });
  const failing = node.request("price.quote", {});
  await until("it is asked", () => call.questions.length === 2);
  const failure = { name: "NoSuchSku", message: "no such sku", code: "E1", details: '{"sku":"b"}' };
  call.say({ answers: [{ number: 2, failure }] });
  await expect(failing).rejects.toMatchObject({
    code: "REMOTE_ERROR",
    details: { name: "NoSuchSku", code: "E1" },
  });
  const given = node.request("price.quote", {});
  await until("it is asked", () => call.questions.length === 3);
  call.stream.cancel();
  await expect(given).rejects.toMatchObject({
    code: "REMOTE_ERROR",
    details: { code: "PEER_LOST" },
  });
});

it("lets an answer be nothing at all", async () => {
  const call = await client.open("Reply", { pattern: "mail.known" });
  const asked = node.request("mail.known", {});
  await until("it is asked", () => call.questions.length === 1);
  call.say({ answers: [{ number: 1, value: {} }] });
  expect(await asked).toBeUndefined();
});

it("withdraws a question that nobody waits for", async () => {
  const call = await client.open("Reply", { pattern: "price.quote" });
  const asked = node.request("price.quote", {}, { timeoutMs: 500 });
  await expect(asked).rejects.toMatchObject({ code: "TIMEOUT" });
  await until("it is withdrawn", () => call.withdrawn.length === 1);
  call.say({ answers: [{ number: 1, value: {} }] });
  await until("the answer is refused", () => call.refused.length === 1);
});

it.each<[string, object, string]>([
  ["no open first", { credit: 1 }, "INVALID_OPTIONS"],
  ["a credit above the limit", { open: { pattern: "a.b", credit: 5_000 } }, "INVALID_OPTIONS"],
  [
    "more ahead than the limit",
    { open: { pattern: "a.b", prefetchBytes: 2 ** 24 } },
    "INVALID_OPTIONS",
  ],
  ["no subject", { open: { pattern: "" } }, "INVALID_SUBJECT"],
  ["an option out of range", { open: { pattern: "a.b", weight: 5_000 } }, "INVALID_OPTIONS"],
  [
    "versions the wrong way",
    { open: { pattern: "a.b", versionMin: 2, versionMax: 1 } },
    "INVALID_OPTIONS",
  ],
])("refuses to open a stream with %s", async (_what, message, code) => {
  const call = client.call("Subscribe");
  call.say(message as never);
  expect((await call.ended).metadata.get("meshbus-code")).toEqual([code]);
});

it("ends a stream that settles what it never got, and gives back what it has", async () => {
  const call = await client.open("Subscribe", { pattern: "a.b", group: "g", durable: true });
  await publish(1);
  await call.gets(1);
  call.ack(9);
  expect((await call.ended).details).toContain("number 9 was never given");
  const next = await client.open("Subscribe", { pattern: "a.b", group: "g", durable: true });
  const [again] = await next.gets(1);
  expect(again?.attempt).toBe(1);
});

it("tells its streams that it stops, waits for what is out, and ends them", async () => {
  const call: RawCall = await client.open("Subscribe", {
    pattern: "a.b",
    group: "g",
    durable: true,
  });
  await publish(2);
  await call.gets(2);
  const stopped = gateway.stop({ drainMs: 60_000 });
  await until("it is told", () => call.heard.some(({ stopping }) => stopping === true));
  call.ack(1, 2);
  await stopped;
  expect((await call.ended).code).toBe(0);
  await settled(2);
  expect(node.health().ready).toBe(true);
});

it("gives back what is out when it cannot wait any longer", async () => {
  const call = await client.open("Subscribe", { pattern: "a.b", group: "g", durable: true });
  await publish(1);
  await call.gets(1);
  await gateway.stop({ drainMs: 10 });
  expect((await call.ended).code).toBe(14);
  const messages = node.messages("a.b", { group: "g", durable: true });
  const { value } = await messages.next();
  expect(value?.ctx.message.attempt).toBe(1);
  await value?.ack();
  await messages.return();
});
