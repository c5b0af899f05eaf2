/** What a test asks of the facts: what was published, and what was handled. */
import type { AnyContract, OutputOf } from "../contract/contract.ts";
import { decodeValue } from "../contract/decode-value.ts";
import { untypedPattern } from "../contract/untyped.ts";
import { messageId, type NodeId } from "../core/ids.ts";
import { matchesPattern } from "../core/subject.ts";
import { MeshError } from "../errors.ts";
import type { Facts, RunDetail, StoredDetail } from "./facts.ts";
import { subjectOf } from "./handler-recorder.ts";
import type { Run, Stored } from "./history.ts";

export type ContractLike = AnyContract<"event"> | AnyContract<"command"> | string;
export type DataOf<C> = C extends AnyContract ? OutputOf<C> : unknown;

/** A message that a node accepted: it was synced to its disk. */
export type PublishedMessage<T> = {
  /** As `receipt.id` and `ctx.message.id`. */
  readonly id: string;
  readonly kind: "event" | "command";
  readonly subject: string;
  readonly key: string | undefined;
  /** As a handler gets it. */
  readonly data: T;
  readonly headers: Readonly<Record<string, string>>;
  readonly correlationId: string | undefined;
  /** Id of the message whose handler sent it. */
  readonly causationId: string | undefined;
  readonly service: string;
  /** Id of the node. */
  readonly node: string;
  /** Simulated milliseconds. */
  readonly atMs: number;
};

/** One call of a handler, or one message taken from a stream. */
export type Handling<T> = {
  /** Id of the message. */
  readonly id: string;
  readonly group: string;
  readonly subject: string;
  readonly key: string | undefined;
  readonly data: T;
  readonly attempt: number;
  /**
   * "ok": it returned in time; "failed": it threw; "late": it ended after its time-out, with no effect;
   * "running": it has not ended; "cut": its process was killed.
   */
  readonly outcome: "ok" | "failed" | "late" | "running" | "cut";
  readonly error: unknown;
  readonly service: string;
  /** Id of the node. */
  readonly node: string;
  /** Simulated milliseconds. */
  readonly startMs: number;
  readonly endMs: number | undefined;
};

export class TestRecords {
  readonly #facts: Facts;
  readonly #serviceOf: (machine: number) => string;

  constructor(facts: Facts, serviceOf: (machine: number) => string) {
    this.#facts = facts;
    this.#serviceOf = serviceOf;
  }

  published<C extends ContractLike>(contract: C): PublishedMessage<DataOf<C>>[] {
    const found: PublishedMessage<DataOf<C>>[] = [];
    for (const record of this.#facts.history.stored) {
      if (record.id === "" || record.target !== undefined) continue;
      if (record.state !== "ok" && record.state !== "revived") continue;
      if (!isWanted(contract, record)) continue;
      const detail = this.#facts.details.get(record.id);
      if (detail !== undefined) found.push(this.#published(contract, record, detail));
    }
    return found;
  }

  handlings<C extends ContractLike>(group: string, contract: C): Handling<DataOf<C>>[] {
    const found: Handling<DataOf<C>>[] = [];
    for (const run of this.#facts.history.runs) {
      const detail = this.#facts.runDetails.get(run);
      if (detail === undefined || detail.group !== group) continue;
      if (!matchesPattern(subjectOf(contract), detail.subject)) continue;
      found.push(this.#handling(run, detail) as Handling<DataOf<C>>);
    }
    return found;
  }

  #published<C extends ContractLike>(
    contract: C,
    record: Stored,
    detail: StoredDetail,
  ): PublishedMessage<DataOf<C>> {
    const { node, epoch, seq, kind, subject, key, headers, atMs } = record;
    const { correlationId, causationId } = detail;
    const nodeId = this.#facts.nodeIds[node] ?? "";
    return {
      id: detail.messageId ?? messageId(nodeId as NodeId, epoch, seq),
      kind,
      subject,
      key,
      data: dataOf(contract, detail),
      headers,
      correlationId,
      causationId,
      service: this.#serviceOf(node),
      node: nodeId,
      atMs,
    };
  }

  #handling(run: Run, detail: RunDetail): Handling<unknown> {
    const { key, attempt, startMs, endMs, member } = run;
    const { messageId: id, group, subject, data, error } = detail;
    const node = this.#facts.nodeIds[member] ?? "";
    const service = this.#serviceOf(member);
    const outcome = this.#outcome(run);
    return {
      id,
      group,
      subject,
      key,
      data,
      attempt,
      outcome,
      error,
      service,
      node,
      startMs,
      endMs,
    };
  }

  #outcome(run: Run): Handling<unknown>["outcome"] {
    if (run.outcome === "revoked" || run.outcome === "surrendered") return "late";
    if (run.outcome !== "running") return run.outcome;
    return this.#facts.isRunning(run) ? "running" : "cut";
  }
}

const isWanted = (contract: ContractLike, record: Stored): boolean => {
  if (typeof contract === "string") return matchesPattern(contract, record.subject);
  return contract.kind === record.kind && contract.subject === record.subject;
};

const dataOf = <C extends ContractLike>(contract: C, detail: StoredDetail): DataOf<C> => {
  const { contentType, schemaVersion, payload } = detail;
  const reader: AnyContract = typeof contract === "string" ? untypedPattern(contract) : contract;
  const data = decodeValue(reader, contentType, schemaVersion, payload);
  if (!(data instanceof Promise)) return data as DataOf<C>;
  data.catch(() => {}); // nobody reads it
  const message = `the schema of "${reader.subject}" is asynchronous: ask for published("${reader.subject}")`;
  throw new MeshError("INVALID_OPTIONS", message);
};
