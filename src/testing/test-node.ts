/**
 * The node that a test holds: a real `MeshNode`, whose methods let simulated time pass while somebody waits
 * for them and record what was said and handled.
 *
 * Approach: methods of this one object are replaced by others that call them, so that it stays the class
 * that services know.
 */
import { MeshError } from "../errors.ts";
import type { MeshNode } from "../mesh/mesh-node.ts";
import type { ManualMessage, MessageStream } from "../mesh/message-stream.ts";
import type { Receipt } from "../mesh/receipt.ts";
import type { Subscription } from "../mesh/subscription.ts";
import type { PublishOptions } from "../options/publish-options.ts";
import type { SubscribeOptions } from "../options/subscribe-options.ts";
import { subscriptionId } from "../runtime/subscription-id.ts";
import {
  type AnyHandler,
  type Listening,
  type RecorderHost,
  recordedHandler,
  recordMessage,
  subjectOf,
} from "./handler-recorder.ts";
import type { Known, Said } from "./history.ts";
import type { TestLife } from "./test-machine.ts";

type Role = "events" | "commands";
type Call = (...args: never[]) => Promise<unknown>;

/** Time-out of request() where neither call nor node says. */
const REQUEST_TIMEOUT_MS = 5_000;

export const instrument = (host: RecorderHost, life: TestLife, node: MeshNode): void => {
  sayings(host, life, node);
  listenings(host, life, node);
  streams(host, life, node);
  const passTime = (owner: object, names: readonly string[]): void => {
    for (const name of names) {
      const real = (Reflect.get(owner, name) as Call).bind(owner);
      replace(owner, name, (...args) => host.calls.call(name, life, () => real(...args)));
    }
  };
  passTime(node, ["waitFor"]);
  passTime(node.deadLetters, ["list", "get", "replay", "discard"]);
  const stop = node.stop.bind(node);
  let stopping: ReturnType<typeof stop> | undefined;
  node.stop = (options) => {
    stopping ??= host.calls.call("stop", life, async () => {
      const report = await stop(options);
      life.machine.stopped();
      return report;
    });
    return stopping;
  };
};

const sayings = (host: RecorderHost, life: TestLife, node: MeshNode): void => {
  const { facts } = host;
  const { index } = life.machine;
  const publish = node.publish.bind(node);
  const send = node.send.bind(node);
  const publishMany = node.publishMany.bind(node);
  const emit = node.emit.bind(node);
  const request = node.request.bind(node);
  const note = (kind: "event" | "command", contract: unknown, options?: PublishOptions): Said =>
    facts.says({
      node: index,
      kind,
      subject: subjectOf(contract),
      expires: options?.expireAfterMs !== undefined,
      delayed: (options?.delayMs ?? 0) > 0,
    });
  const say = <T>(what: string, said: readonly Said[], start: () => Promise<T>): Promise<T> =>
    host.calls.call(what, life, async () => {
      try {
        const result = await start();
        const receipts = (Array.isArray(result) ? result : [result]) as Receipt[];
        for (const [at, one] of said.entries()) accepted(host, life, one, receipts[at] as Receipt);
        return result;
      } catch (error) {
        const isUnknown = MeshError.is(error, "OUTCOME_UNKNOWN") && error.details.written !== false;
        for (const one of said) facts.refused(one, isUnknown ? "unknown" : "refused");
        throw error;
      }
    });
  const alive = (): boolean => life.process.isAlive;
  node.publish = (contract, value, options) => {
    const said = alive() ? [note("event", contract, options)] : [];
    return say("publish", said, () => publish(contract, value, options));
  };
  node.send = (contract, value, options) => {
    const said = alive() ? [note("command", contract, options)] : [];
    return say("send", said, () => send(contract, value, options));
  };
  node.publishMany = (contract, values, options) => {
    const said = alive() ? Array.from(values, () => note("event", contract, options)) : [];
    return say("publishMany", said, () => publishMany(contract, values, options));
  };
  node.emit = (contract, value, options) => {
    if (life.ended !== undefined) throw life.ended;
    return emit(contract, value, options);
  };
  const { requestTimeoutMs = REQUEST_TIMEOUT_MS } = life.machine.options ?? {};
  node.request = (contract, value, options) => {
    const start = () => request(contract, value, options);
    if (!alive()) return host.calls.call("request", life, start);
    const asked = facts.asks(index, options?.timeoutMs ?? requestTimeoutMs);
    return host.calls.call(`request ${subjectOf(contract)}`, life, async () => {
      try {
        return await start();
      } finally {
        facts.answered(asked);
      }
    });
  };
};

const accepted = (host: RecorderHost, life: TestLife, said: Said, receipt: Receipt): void => {
  const { epoch, seq } = receipt.position;
  if (receipt.duplicate) {
    host.facts.unsaid(said); // an earlier call said it
    return;
  }
  host.facts.accepted(said, { epoch, seq }, receipt.id);
  host.trace.note(`${life.machine.name} accepted ${said.subject} ${receipt.id}`);
};

const listenings = (host: RecorderHost, life: TestLife, node: MeshNode): void => {
  const subscribe = node.subscribe.bind(node);
  const handle = node.handle.bind(node);
  const reply = node.reply.bind(node);
  const removeSubscription = node.removeSubscription.bind(node);
  node.subscribe = (contract, handler, options) =>
    listen(host, life, "events", contract, options, (listening) =>
      subscribe(contract, wrapped(host, listening, handler), options),
    );
  node.handle = (contract, handler, options) =>
    listen(host, life, "commands", contract, options, (listening) =>
      handle(contract, wrapped(host, listening, handler), options),
    );
  node.reply = (contract, handler, options) => {
    const answering = ((data: never, ctx: never) =>
      host.outside.call(life.process, () => handler(data, ctx))) as typeof handler;
    const real = typeof handler === "function" ? answering : handler;
    return host.calls.call("reply", life, () => reply(contract, real, options));
  };
  node.removeSubscription = (group, contract) =>
    host.calls.call("removeSubscription", life, async () => {
      await removeSubscription(group, contract);
      const isCommand = typeof contract !== "string" && contract.kind === "command";
      const role: Role = isCommand ? "commands" : "events";
      host.facts.history.known.delete(
        subscriptionId({ role, group, pattern: subjectOf(contract) }),
      );
    });
};

/** What is no function, the node refuses. */
const wrapped = <H>(host: RecorderHost, listening: Listening, handler: H): H =>
  typeof handler === "function"
    ? (recordedHandler(host, listening, handler as unknown as AnyHandler) as H)
    : handler;

const listen = (
  host: RecorderHost,
  life: TestLife,
  role: Role,
  contract: unknown,
  options: SubscribeOptions | undefined,
  start: (listening: Listening) => Promise<Subscription>,
): Promise<Subscription> =>
  host.calls.call(`${role === "events" ? "subscribe" : "handle"}`, life, async () => {
    const { node, machine } = life;
    const service = machine.options?.service ?? "";
    const group = options?.group === false ? `${service}~${node?.id}` : (options?.group ?? service);
    const pattern = subjectOf(contract);
    const id = subscriptionId({ role, group, pattern });
    const { known } = host.facts.history;
    const before = known.get(id);
    // Its births are written while the call is under way.
    if (before === undefined) known.set(id, unconfirmed(id, role, pattern));
    life.listening.add(id);
    try {
      const subscription = await start({ life, subscription: id, group });
      if (before === undefined) know(known, id, subscription);
      host.trace.note(`${machine.name} listens to ${pattern} in ${group}`);
      control(host, life, id, subscription);
      return subscription;
    } catch (error) {
      if (before === undefined) known.delete(id);
      life.listening.delete(id);
      throw error;
    }
  });

const unconfirmed = (id: string, role: Role, pattern: string): Known => ({
  id,
  role,
  pattern,
  durable: false,
  keyed: false,
  holds: false,
  filter: {},
  moves: true,
  fromStart: false,
  births: [],
});

const know = (known: Map<string, Known>, id: string, { options }: Subscription): void => {
  const before = known.get(id);
  if (before === undefined) return;
  known.set(id, {
    ...before,
    durable: options.durable,
    keyed: options.distribution === "key",
    holds: options.onDead === "hold",
    filter: Object.fromEntries(options.filter.map(({ name, value }) => [name, value])),
    moves: options.failover === "move",
    fromStart: options.start === "earliest",
  });
};

/** Pausing and stopping it say whether what is pending waits for this node. */
const control = (
  host: RecorderHost,
  life: TestLife,
  id: string,
  subscription: Subscription,
): void => {
  const stop = subscription.stop.bind(subscription);
  const pause = subscription.pause.bind(subscription);
  const resume = subscription.resume.bind(subscription);
  subscription.stop = () => {
    life.listening.delete(id);
    return host.calls.call("stop of a subscription", life, stop);
  };
  subscription.pause = () => {
    life.listening.delete(id);
    pause();
  };
  subscription.resume = () => {
    life.listening.add(id);
    resume();
  };
};

const streams = (host: RecorderHost, life: TestLife, node: MeshNode): void => {
  const messages = node.messages.bind(node);
  node.messages = (contract, options) => {
    const stream = messages(contract, options);
    observe(host, life, contract, options, stream as MessageStream<unknown>);
    return stream;
  };
};

const observe = (
  host: RecorderHost,
  life: TestLife,
  contract: unknown,
  options: SubscribeOptions | undefined,
  stream: MessageStream<unknown>,
): void => {
  const start = stream.start.bind(stream);
  const next = stream.next.bind(stream);
  const end = stream.return.bind(stream);
  let started: Promise<Subscription> | undefined;
  let listening: Listening | undefined;
  const record = (result: IteratorResult<ManualMessage<unknown>>) => {
    if (result.done !== true && listening !== undefined)
      recordMessage(host, listening, result.value);
    return result;
  };
  stream.start = () => {
    started ??= listen(host, life, "events", contract, options, (own) => {
      listening = own;
      return start();
    });
    return started;
  };
  stream.next = () => {
    const ended = (error: unknown): Promise<never> => {
      if (life.process.isAlive) throw error;
      return new Promise(() => {}); // a reader of a killed process runs no more
    };
    return host.calls.read(next().then(record, ended));
  };
  stream.return = () => host.calls.call("end of a stream", life, end);
};

const replace = (owner: object, name: string, by: Call): void => {
  Object.defineProperty(owner, name, { value: by, writable: true, configurable: true });
};
