/**
 * `node.deadLetters`: dead letters of the whole mesh, each kept by the node that owns the message.
 *
 * Every node answers an internal query for its own; listing asks all linked nodes and joins the answers.
 */
import { CONTENT_JSON, decodeJson, encodeJson } from "../contract/codec.ts";
import { MeshError } from "../errors.ts";
import type { NodeRuntime } from "../runtime/node-runtime.ts";
import type {
  DeadLetter,
  DeadLetterFilter,
  DeadLetterHead,
} from "../runtime/producer/dead-letters.ts";
import { EnvelopeTemplate, type EnvelopeView, UnwrittenEnvelope } from "../wire/envelope.ts";

export type DeadLetterEntry = DeadLetterHead & {
  /** The node that keeps it. */
  readonly node: string;
};

export type DeadLetterBody = DeadLetter & { readonly node: string; readonly data: unknown };

type Call =
  | { readonly op: "list"; readonly filter: DeadLetterFilter }
  | { readonly op: "get" | "replay" | "discard"; readonly id: string };

const TIMEOUT_MS = 5_000;
const PAGE = 1_000;

export class DeadLetterAccess {
  readonly #runtime: NodeRuntime;

  constructor(runtime: NodeRuntime) {
    this.#runtime = runtime;
  }

  /** Answers other nodes' calls about the dead letters kept here. */
  serve(): void {
    const { answers, declarations, env, journal } = this.#runtime;
    const index = declarations.newIndex();
    answers.answer(index, levelOf, async ({ envelope }) => {
      const answer = await this.#local(decodeJson(envelope.payload) as Call);
      return { contentType: CONTENT_JSON, payload: encodeJson(answer ?? null) };
    });
    const now = env.hybrid.now(env.clock.wallMs());
    const record = {
      index,
      role: "queries",
      group: journal.nodeId,
      pattern: subjectOf(journal.nodeId),
      durable: false,
      birthTime: now,
      birthCreator: journal.nodeId,
      distribution: "any",
      failoverMove: true,
      holdOnDead: false,
      start: "new",
      startTimeMs: 0,
      weight: 1,
      filter: [],
      definedTime: now,
      versionMin: 0,
      versionMax: 0,
    } as const;
    declarations.announce(record, () => {});
  }

  /** Dead letters of all linked nodes, the oldest first. Nodes that do not answer are left out and logged. */
  async list(filter: DeadLetterFilter = {}): Promise<DeadLetterEntry[]> {
    const answers = await Promise.all(
      this.#nodes().map(async (node) => {
        try {
          const heads = (await this.#call(node, { op: "list", filter })) as DeadLetterHead[];
          return heads.map((head) => ({ ...head, node }));
        } catch (error) {
          this.#runtime.env.logger.warn("dead letters of a node are not listed", { node, error });
          return [];
        }
      }),
    );
    const limit = filter.limit ?? 100;
    return answers
      .flat()
      .sort((a, b) => a.deadAtMs - b.deadAtMs)
      .slice(0, limit);
  }

  /** One dead letter with its body. @throws MeshError INVALID_OPTIONS when no linked node has it */
  async get(id: string): Promise<DeadLetterBody> {
    return this.#first(id, async (node) => {
      const letter = (await this.#call(node, { op: "get", id })) as
        | (Omit<DeadLetter, "payload"> & { payload: string })
        | null;
      if (letter === null) return undefined;
      const payload = Buffer.from(letter.payload, "base64");
      const data = letter.contentType === CONTENT_JSON ? decodeJson(payload) : payload;
      return { ...letter, payload, data, node };
    });
  }

  /**
   * Sends dead letters again, each to the one subscription it failed in. Resolves with how many, when that
   * is durable at their nodes. With a filter at most `perSecond` a second (default 100).
   */
  async replay(
    what: string | DeadLetterFilter,
    options: { readonly perSecond?: number } = {},
  ): Promise<number> {
    return this.#each("replay", what, options.perSecond ?? 100);
  }

  /** Removes dead letters for good; resolves with how many. */
  async discard(what: string | DeadLetterFilter): Promise<number> {
    return this.#each("discard", what, Number.POSITIVE_INFINITY);
  }

  async #each(
    op: "replay" | "discard",
    what: string | DeadLetterFilter,
    perSecond: number,
  ): Promise<number> {
    if (typeof what === "string") {
      await this.#first(what, async (node) =>
        (await this.#call(node, { op, id: what })) === null ? undefined : node,
      );
      return 1;
    }
    const letters = await this.list({ ...what, limit: what.limit ?? PAGE });
    const { clock } = this.#runtime.env;
    const startMs = clock.monotonicMs();
    for (const [done, { node, id }] of letters.entries()) {
      const dueMs = startMs + (done * 1_000) / perSecond;
      const waitMs = dueMs - clock.monotonicMs();
      if (waitMs > 0) await new Promise<void>((resolve) => void clock.setTimer(waitMs, resolve));
      await this.#call(node, { op, id });
    }
    return letters.length;
  }

  async #first<T>(id: string, ask: (node: string) => Promise<T | undefined>): Promise<T> {
    for (const node of this.#nodes()) {
      const found = await ask(node);
      if (found !== undefined) return found;
    }
    throw new MeshError("INVALID_OPTIONS", `no linked node has a dead letter "${id}"`);
  }

  #nodes(): string[] {
    return [...this.#runtime.links.live()].map(({ nodeId }) => nodeId);
  }

  #call(node: string, call: Call): Promise<unknown> {
    if (node === this.#runtime.journal.nodeId) return this.#local(call);
    const { env, requests } = this.#runtime;
    const subject = subjectOf(node);
    const envelope = new UnwrittenEnvelope(new EnvelopeTemplate({ subject, kind: 2 }), {
      time: env.hybrid.now(env.clock.wallMs()),
      payload: encodeJson(call),
    });
    return new Promise((resolve, reject) => {
      requests.ask(subject, envelope, TIMEOUT_MS, (error, answer) => {
        if (error !== undefined) reject(error);
        else resolve(answer === undefined ? null : decodeJson(answer.payload));
      });
    });
  }

  /** Null: there is no such dead letter here. */
  async #local(call: Call): Promise<unknown> {
    const { deadLetters, deadLetterDesk } = this.#runtime.producer;
    // Looking reads the disk: what the ledger tells already must be there.
    await new Promise<void>((resolve) => this.#runtime.journal.onDurable(() => resolve()));
    if (call.op === "list") return deadLetters.list(call.filter);
    if (call.op === "get") {
      const letter = deadLetters.get(call.id);
      if (letter === undefined) return null;
      return { ...letter, payload: Buffer.from(letter.payload).toString("base64") };
    }
    const { op, id } = call;
    return new Promise((resolve, reject) => {
      deadLetterDesk[op](id, (error) => {
        if (error === undefined) resolve(id);
        else if (error.code === "INVALID_OPTIONS") resolve(null);
        else reject(error);
      });
    });
  }
}

const subjectOf = (nodeId: string): string => `$meshbus.${nodeId}.dead-letters`;

const levelOf = ({ payload }: EnvelopeView): "read" | "full" => {
  const { op } = decodeJson(payload) as Call;
  return op === "list" || op === "get" ? "read" : "full";
};
