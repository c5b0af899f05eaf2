/**
 * A mesh node in a process of its own, told what to do by lines on stdin; see node-protocol.ts. It ends
 * when stdin does.
 */
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { z } from "zod";
import { command, event, query } from "../../src/contract/define-contract.ts";
import { directoryService } from "../../src/directory-service/directory-service.ts";
import { dns } from "../../src/discovery/dns/dns.ts";
import { mdns } from "../../src/discovery/mdns/mdns.ts";
import { staticPeers } from "../../src/discovery/static/static-peers.ts";
import { createNode } from "../../src/mesh/create-node.ts";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import type { Subscription } from "../../src/mesh/subscription.ts";
import type { Discovery, DiscoveryEvents } from "../../src/ports/discovery.ts";
import { grpc } from "../../src/transport/grpc/grpc-transport.ts";
import { stream } from "../../src/transport/stream/stream-transport.ts";
import { unix } from "../../src/transport/stream/unix-transport.ts";
import { zeromq } from "../../src/transport/zeromq/zeromq-transport.ts";
import { grown, shrunk } from "./large-data.ts";
import { handlerOf, replierOf } from "./node-behaviour.ts";
import { KillingTransport } from "./node-kill-rule.ts";
import { ClosableTransport } from "./node-listeners.ts";
import type { ChildOptions, Command, FailedCall, Listen, Said, Say } from "./node-protocol.ts";

/** Finds whom the test names. */
class ToldPeers implements Discovery {
  readonly name = "told";
  #events: DiscoveryEvents | undefined;

  async start(_context: unknown, events: DiscoveryEvents): Promise<void> {
    this.#events = events;
  }

  async stop(): Promise<void> {
    this.#events = undefined;
  }

  found(address: string): void {
    this.#events?.found({ addresses: [address], source: this.name });
  }
}

const Positive = z.object({ n: z.number().positive() });

const say = (said: Said): void => {
  let bytes = Buffer.from(`${JSON.stringify(said)}\n`);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(1, bytes));
    } catch (error) {
      if ((error as { code?: string }).code !== "EAGAIN") throw error;
    }
  }
};

const CREATE = { zmq: zeromq, tcp: stream, grpc, unix } as const;

const told = new ToldPeers();
const closable: ClosableTransport[] = [];
const subscriptions = new Map<string, Subscription>();
const requests = new Map<number, AbortController>();
let mesh = "default";
let node: MeshNode | undefined;

const started = (): MeshNode => {
  if (node === undefined) throw new Error("create comes first");
  return node;
};

const create = async ({
  node: options,
  peers,
  mdns: multicast,
  dns: names,
  directories,
  kill,
  transports: schemes = ["zmq"],
}: ChildOptions) => {
  const fresh = schemes.map((scheme) => new ClosableTransport(CREATE[scheme]()));
  closable.splice(0, closable.length, ...fresh); // an earlier create may have failed
  mesh = options.mesh ?? mesh;
  node = await createNode({
    ...options,
    discovery: [
      told,
      ...(peers === undefined ? [] : [staticPeers(peers)]),
      ...(multicast ? [mdns()] : []),
      ...(directories === undefined ? [] : [directoryService(directories)]),
      ...(names === undefined
        ? []
        : [dns(names.name, { port: names.port, servers: [names.server] })]),
    ],
    transports: closable.map((one) => (kill === undefined ? one : new KillingTransport(one, kill))),
  });
  void watch(node);
  return info();
};

const watch = async (watched: MeshNode): Promise<void> => {
  for await (const change of watched.status()) {
    say({ event: "status", name: change.type, change: { ...change } });
  }
};

const info = () => {
  const { id, addresses, dataDir } = started();
  return { id, address: addresses[0], addresses, dataDir };
};

const listen = async (listen: Listen) => {
  const { verb, subject, positive, contract: versions = {} } = listen;
  const given = listen.options ?? {};
  const isPlain = listen.contract === undefined && positive !== true;
  const shape = { ...versions, ...(positive ? { schema: Positive } : {}) };
  let subscription: Subscription;
  if (verb === "reply") {
    const contract = isPlain ? subject : query(subject, versions);
    subscription = await started().reply(contract, replierOf(listen, say), given);
  } else if (verb === "handle") {
    const contract = isPlain ? subject : command(subject, shape);
    subscription = await started().handle(contract, handlerOf(listen, say), given);
  } else {
    const contract = isPlain ? subject : event(subject, shape);
    subscription = await started().subscribe(contract, handlerOf(listen, say), given);
  }
  subscriptions.set(listen.name, subscription);
  return { unconfirmed: subscription.unconfirmed };
};

const publish = async ({ subject, data, options, positive, contract: versions }: Say) => {
  const isPlain = versions === undefined && positive !== true;
  const shape = { ...versions, ...(positive ? { schema: Positive } : {}) };
  const contract = isPlain ? subject : event(subject, shape);
  return (await started().publish(contract, grown(data), options)).toJSON();
};

const send = async ({ subject, data, options, contract: versions }: Say) => {
  const contract = versions === undefined ? subject : command(subject, versions);
  return (await started().send(contract, data, options)).toJSON();
};

const request = async (id: number, { subject, data, options, contract: versions }: Say) => {
  const controller = new AbortController();
  requests.set(id, controller);
  try {
    const contract = versions === undefined ? subject : query(subject, versions);
    const given = { ...options, signal: controller.signal };
    return shrunk(await started().request(contract, grown(data), given));
  } finally {
    requests.delete(id);
  }
};

const flood = (subject: string, count: number): number => {
  for (let n = 0; n < count; n++) {
    if (!started().emit(subject, { n })) return n;
  }
  return count;
};

const gateway = async (port: number): Promise<string> => {
  const { serveGateway } = await import("../../src/gateway/serve-gateway.ts");
  return (await serveGateway(started(), { listen: { port } })).address;
};

const directory = async (port: number): Promise<string> => {
  const { serveDirectory } = await import("../../src/directory-service/serve-directory.ts");
  return (await serveDirectory(started(), { mesh, listen: { port } })).address;
};

const named = (name: string): Subscription => {
  const subscription = subscriptions.get(name);
  if (subscription === undefined) throw new Error(`no subscription "${name}"`);
  return subscription;
};

const run = async (id: number, given: Command): Promise<unknown> => {
  switch (given.op) {
    case "create":
      return create(given);
    case "listen":
      return listen(given);
    case "unlisten":
      return named(given.name).stop();
    case "pause":
    case "resume":
      return named(given.name)[given.op]();
    case "publish":
      return publish(given);
    case "send":
      return send(given);
    case "emit":
      return started().emit(given.subject, grown(given.data), given.options);
    case "flood":
      return flood(given.subject, given.count);
    case "request":
      return request(id, given);
    case "abort":
      return requests.get(given.call)?.abort();
    case "gateway":
      return gateway(given.port ?? 0);
    case "directory":
      return directory(given.port ?? 0);
    case "connect":
      return told.found(given.address);
    case "close-listener":
      return closable.find(({ scheme }) => scheme === given.scheme)?.closeListener();
    case "open-listener":
      return closable.find(({ scheme }) => scheme === given.scheme)?.openListener();
    case "remove":
      return started().removeSubscription(given.group, given.subject);
    case "dead-list":
      return started().deadLetters.list(
        given.group === undefined ? {} : { subscription: given.group },
      );
    case "dead-get":
      return started().deadLetters.get(given.letter);
    case "dead-replay":
      return started().deadLetters.replay(given.letter);
    case "dead-discard":
      return started().deadLetters.discard(given.letter);
    case "info":
      return info();
    case "ledger":
      return started().ledger();
    case "counters":
      return started().counters();
    case "peers":
      return started().peers();
    case "health":
      return started().health();
    case "stop":
      return started().stop();
  }
};

const failureOf = (error: unknown): FailedCall => {
  const { name, message, code, details } = error as Error & { code?: string; details?: unknown };
  return { name, message, code: code ?? "", details: details ?? null };
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { id, ...command } = JSON.parse(line) as { id: number } & Command;
    run(id, command as Command).then(
      (value) => say({ id, value: value ?? null }),
      (error: unknown) => say({ id, error: failureOf(error) }),
    );
  })
  .on("close", () => process.exit(0));
