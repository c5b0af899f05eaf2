/**
 * What a system of the comparison can do, in the words of the bench: one adapter a system, the same measuring
 * code for all.
 *
 * An adapter runs inside a child process and uses its client's fastest safe mode: pipelining, prefetch, confirms in
 * windows. What it promises to whom is said by the row's `ack` (see acknowledgement.ts).
 */
export type Place = {
  /** The mesh, or the first word of subjects, queues and topics: runs side by side do not meet. */
  readonly mesh: string;
  /** Where the broker listens on 127.0.0.1; 0: the system has none. */
  readonly serverPort: number;
  /** For systems that keep a journal in the process itself; ":memory:": nothing is kept. */
  readonly dataDir: string;
  /** Where each service has a folder of keys; absent: nothing is encrypted. */
  readonly keys?: string;
};

/** What a client sends and hears: bytes, or an object of the same size as JSON text. */
export type Payload = unknown;

/** The delivery of one message. A promise is awaited before the message is acknowledged. */
export type Handle = (payload: Payload) => Promise<void> | undefined;

export type ConsumeOptions = {
  readonly durable: boolean;
  /** "one": there is one consumer. "all": each gets each message. "shared": one of them does. "sharded": those of its part, in order. */
  readonly sharing: "one" | "all" | "shared" | "sharded";
  /** Which of how many consumers this is. */
  readonly index: number;
  readonly members: number;
  /** How many messages may be under way to this consumer. */
  readonly prefetch: number;
  /** Of the producer and earlier consumers, for systems whose members are told of each other. */
  readonly addresses: readonly string[];
};

export type Consumer = {
  /** For those who connect to it; undefined: through the broker, or found by itself. */
  readonly address?: string;
  /** Resolves when all acknowledgements so far have been taken. Absent: nothing confirms them. */
  settled?(): Promise<void>;
};

export type ProduceOptions = {
  readonly durable: boolean;
  readonly sharing: ConsumeOptions["sharing"];
  readonly members: number;
  readonly addresses: readonly string[];
};

export type Producer = {
  readonly address?: string;
  /** Resolves when all consumers are known here. Absent: they are when they have subscribed. */
  met?(members: number): Promise<void>;
  /**
   * At most once. False: refused, offer it again later. A promise: taken, but wait before the next. `key`
   * counts for sharded ones only.
   */
  emit?(payload: Payload): boolean | Promise<void>;
  /** After the last emit: resolves when nothing waits in the client any more. */
  flush?(): Promise<void>;
  /** `done` when the system has confirmed the message, or has not. */
  publish?(payload: Payload, key: number, done: (error?: unknown) => void): void;
  /** Resolves when it is known here that all consumers have gone. */
  alone?(): Promise<void>;
  /** Resolves when all published was handled and settled, as far as the producer can tell. */
  settled?(): Promise<void>;
};

export type Ask = (payload: Payload) => Promise<Payload>;

export type Adapter = {
  readonly codec: "bytes" | "json";
  /** Answers each request with what it holds. Resolves with where. */
  answer?(place: Place): Promise<string>;
  ask?(place: Place, address: string): Promise<Ask>;
  /** Creates what must be there before messages are published; a durable consumer may be away then. */
  declare?(place: Place, options: ConsumeOptions): Promise<void>;
  consume?(place: Place, options: ConsumeOptions, handle: Handle): Promise<Consumer>;
  produce?(place: Place, options: ProduceOptions): Promise<Producer>;
  close(): Promise<void>;
};

/** The part of a sharded queue that a key belongs to, where the client chooses. */
export const partOf = (key: number, members: number): number =>
  (Math.imul(key + 1, 2_654_435_761) >>> 0) % members;
