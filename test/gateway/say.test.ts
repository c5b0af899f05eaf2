/** What clients say and ask through a gateway, over real sockets. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Gateway, serveGateway } from "../../src/gateway/serve-gateway.ts";
import { createNode, type MeshNode } from "../../src/index.ts";
import { until } from "../integration/until.ts";
import { RawClient } from "./raw-client.ts";

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

let node: MeshNode;
let gateway: Gateway;
let client: RawClient;

beforeEach(async () => {
  node = await createNode({
    service: "shop",
    mesh: `gateway-say-${process.pid}`,
    dataDir: ":memory:",
    discovery: [],
    heartbeatThread: false,
  });
  gateway = await serveGateway(node, { limits: { underWayMax: 64 } });
  client = new RawClient(gateway.address);
});

afterEach(async () => {
  client.close();
  await gateway.stop({ drainMs: 0 });
  await node.stop();
});

it("accepts events in the order they were sent, and answers each with its number, id and position", async () => {
  const seen: unknown[] = [];
  await node.subscribe("order.placed", (data, { message }) => {
    seen.push([data, message.key, message.headers.region, message.correlationId]);
  });
  const call = client.call("Publish");
  const messages = [1, 2, 3].map((n) => ({
    number: n * 7,
    subject: "order.placed",
    payload: json({ n }),
    key: "k",
    headers: { region: "eu" },
    correlationId: "c-1",
  }));
  call.say({ messages: messages.slice(0, 2) });
  call.say({ messages: messages.slice(2) });
  const results = await call.answers(3);
  expect(results.map(({ number }) => number)).toEqual([7, 14, 21]);
  const positions = results.map(({ accepted }) => accepted?.position.seq ?? 0);
  expect(positions).toEqual([1, 2, 3]);
  expect(results[0]?.accepted?.id).toContain(node.id);
  await until("all are handled", () => seen.length === 3);
  expect(seen).toEqual([1, 2, 3].map((n) => [{ n }, "k", "eu", "c-1"]));
  call.stream.end();
  expect((await call.ended).code).toBe(0);
});

it("passes bytes and their content type on as they are", async () => {
  const seen: unknown[] = [];
  await node.subscribe("blob.made", (data) => void seen.push(data));
  const call = client.call("Publish");
  const payload = Buffer.from([0, 255, 1]);
  call.say({ messages: [{ subject: "blob.made", payload, contentType: "application/x-own" }] });
  await until("it is handled", () => seen.length === 1);
  expect(Buffer.from(seen[0] as Uint8Array)).toEqual(payload);
});

it("answers what cannot be accepted with a typed error, and the call goes on", async () => {
  const call = client.call("Publish");
  const wrong = [
    { number: 1, subject: "no spaces", payload: json(1) },
    { number: 2, subject: "a.b", payload: Buffer.from("{not json") },
    { number: 3, subject: "a.b", payload: Buffer.alloc(1_200_000), contentType: "x/y" },
    { number: 4, subject: "a.b", payload: json(1), contentType: "sp ace" },
    { number: 5, subject: "a.b", payload: json(1), delayMs: 5, expireAfterMs: 5 },
    { number: 6, subject: "a.b", payload: json(1) },
  ];
  for (const message of wrong) call.say({ messages: [message] });
  const results = await call.answers(6);
  const outcome = new Map(results.map(({ number, error }) => [number, error?.code ?? "accepted"]));
  expect([1, 2, 3, 4, 5, 6].map((n) => outcome.get(n))).toEqual([
    "INVALID_SUBJECT",
    "SCHEMA_VIOLATION",
    "PAYLOAD_TOO_LARGE",
    "INVALID_OPTIONS",
    "INVALID_OPTIONS",
    "accepted",
  ]);
});

it("gives the first answer again for an idempotency key it has seen", async () => {
  const call = client.call("Publish");
  const message = { subject: "a.b", payload: json(1), idempotencyKey: "once" };
  call.say({ messages: [{ number: 1, ...message }] });
  const [first] = await call.answers(1);
  call.say({ messages: [{ number: 2, ...message }] });
  const [, second] = await call.answers(2);
  expect(second?.accepted).toEqual({ ...first?.accepted, duplicate: true });
});

it("sends commands to the group that handles them, and emits to who listens", async () => {
  const seen: unknown[] = [];
  await node.handle("stock.reserve", (data) => void seen.push(data));
  const send = client.call("Send");
  send.say({ messages: [{ number: 1, subject: "stock.reserve", payload: json({ sku: "a" }) }] });
  await send.answers(1);
  await until("it is handled", () => seen.length === 1);
  expect(seen).toEqual([{ sku: "a" }]);
  const emit = client.call("Emit");
  emit.say({ messages: [{ number: 1, subject: "temp.read", payload: json(20) }] });
  expect((await emit.answers(1))[0]?.emitted).toEqual({ taken: false });
  await node.subscribe("temp.read", () => {});
  emit.say({ messages: [{ number: 2, subject: "temp.read", payload: json(21) }] });
  expect((await emit.answers(2))[1]?.emitted).toEqual({ taken: true });
});

it("asks, and answers with the value, the remote error, or that nobody answers", async () => {
  await node.reply("price.quote", (question) => {
    if ((question as { sku: string }).sku === "none") throw new TypeError("no such sku");
    return { price: 10 };
  });
  const call = client.call("Request");
  const ask = (number: number, subject: string, sku: string, more = {}) =>
    call.say({ questions: [{ number, subject, payload: json({ sku }), ...more }] });
  ask(1, "price.quote", "a");
  const [quote] = await call.answers(1);
  expect(JSON.parse(String(quote?.answer?.payload))).toEqual({ price: 10 });
  ask(2, "price.quote", "none");
  const [, failed] = await call.answers(2);
  expect(failed?.error?.code).toBe("REMOTE_ERROR");
  expect(JSON.parse(failed?.error?.details ?? "")).toMatchObject({ name: "TypeError" });
  ask(3, "nobody.here", "a", { timeoutMs: 20 });
  expect((await call.answers(3))[2]?.error).toMatchObject({ code: "NO_HANDLER", retryable: true });
  ask(4, "nobody.here", "a", { timeoutMs: 60_000 });
  call.say({ cancels: [4] });
  expect((await call.answers(4))[3]?.error?.code).toBe("ABORTED");
});

it("ends a call that breaks the protocol with the code in its trailers", async () => {
  const call = client.call("Request");
  const question = { number: 1, subject: "nobody.here", timeoutMs: 60_000, payload: json(1) };
  call.say({ questions: [question, question] });
  const { code, metadata, details } = await call.ended;
  expect(code).toBe(3);
  expect(metadata.get("meshbus-code")).toEqual(["INVALID_OPTIONS"]);
  expect(details).toContain("question 1");
  const crowd = client.call("Publish");
  crowd.say({ messages: Array.from({ length: 65 }, () => ({ subject: "a.b" })) });
  expect((await crowd.ended).details).toContain("65 items");
});

it("ends a call at the client's own deadline", async () => {
  const call = client.call("Publish", { deadlineMs: 50 });
  expect((await call.ended).code).toBe(4);
  await until("the gateway forgets it", () => gateway.load.calls === 0);
});

it("answers what it has accepted, and ends the call, when the node stops", async () => {
  const call = client.call("Publish");
  call.say({ messages: [{ number: 1, subject: "a.b", payload: json(1) }] });
  await call.answers(1);
  await node.stop();
  const { code, metadata } = await call.ended;
  expect([code, metadata.get("meshbus-code")]).toEqual([14, ["STOPPED"]]);
  expect(call.results).toHaveLength(1);
});
