/**
 * Options of publish(), send() and emit().
 *
 * Unlike the others these come with every message, so the usual case is checked in one pass over
 * the names that are there, without a reader. Only when something looks wrong the options are read
 * again, slowly, to name every problem. The result is not frozen: it never leaves the library.
 */
import { FIXED_BOUNDS, PUBLISH_BOUNDS } from "./bounds.ts";
import { headerProblem, readHeaders } from "./headers.ts";
import { fitsBytes } from "./names.ts";
import { isSignal, OptionReader } from "./option-reader.ts";

export type PublishOptions = {
  /** Overrides the contract's key: 1 to 255 bytes of text. */
  readonly key?: string;
  /** The message's id, 1 to 255 bytes. Default: made of node and position. */
  readonly id?: string;
  /**
   * At most 64 texts by name, 64 KiB in all; names are tokens as in HTTP of at most 128 bytes, case
   * kept; values at most 4 KiB.
   */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * The message is dropped, counted as expired, when it was not handled by then: 1 ms to a year.
   * Default: never.
   */
  readonly expireAfterMs?: number;
  /** The message is delivered no sooner, 0 to a year, less than expireAfterMs. Default 0. */
  readonly delayMs?: number;
  /**
   * A second call with it at this node within idempotencyMs gives the first receipt: 1 to 255
   * bytes.
   */
  readonly idempotencyKey?: string;
  /**
   * Ties together the messages of one conversation: 1 to 255 bytes. In a handler: the message's
   * own.
   */
  readonly correlationId?: string;
  /** Id of the message that caused this one: 1 to 255 bytes. In a handler: the message's id. */
  readonly causationId?: string;
  /**
   * Gives up waiting (for room, for an asynchronous schema) when it fires; what is accepted stays
   * so.
   */
  readonly signal?: AbortSignal;
};

/** What emit() takes: there is no journal that could delay, expire or deduplicate. */
export type EmitOptions = Pick<
  PublishOptions,
  "key" | "id" | "headers" | "correlationId" | "causationId"
>;

export type ResolvedPublishOptions = {
  readonly key: string | undefined;
  readonly id: string | undefined;
  /** A copy without prototype; undefined: none. */
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly expireAfterMs: number | undefined;
  /** 0: at once. */
  readonly delayMs: number;
  readonly idempotencyKey: string | undefined;
  readonly correlationId: string | undefined;
  readonly causationId: string | undefined;
  readonly signal: AbortSignal | undefined;
};

export type PublishCall = "publish" | "send" | "emit";

const EMIT_NAMES: readonly string[] = ["key", "id", "headers", "correlationId", "causationId"];
const NAMES: readonly string[] = [
  ...EMIT_NAMES,
  "expireAfterMs",
  "delayMs",
  "idempotencyKey",
  "signal",
];

/** @throws MeshError INVALID_OPTIONS (details.problems: [{ option, message }]) */
export const resolvePublishOptions = (
  input: unknown,
  call: PublishCall,
): ResolvedPublishOptions => {
  if (input === undefined) return NOTHING;
  const options = new PublishDraft();
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw explain(input, call);
  }
  const isEmit = call === "emit";
  const given = input as Readonly<Record<string, unknown>>;
  for (const name in given) {
    if (!options.take(name, given[name], isEmit)) throw explain(input, call);
  }
  const { expireAfterMs, delayMs } = options;
  if (expireAfterMs !== undefined && delayMs >= expireAfterMs) throw explain(input, call);
  return options;
};

class PublishDraft implements ResolvedPublishOptions {
  key: string | undefined = undefined;
  id: string | undefined = undefined;
  headers: Readonly<Record<string, string>> | undefined = undefined;
  expireAfterMs: number | undefined = undefined;
  delayMs = 0;
  idempotencyKey: string | undefined = undefined;
  correlationId: string | undefined = undefined;
  causationId: string | undefined = undefined;
  signal: AbortSignal | undefined = undefined;

  /** False: not an option, or not a value for it. */
  take(name: string, value: unknown, isEmit: boolean): boolean {
    switch (name) {
      case "key":
      case "id":
      case "correlationId":
      case "causationId":
        return value === undefined || this.#takeText(name, value);
      case "idempotencyKey":
        return !isEmit && (value === undefined || this.#takeText(name, value));
      case "headers":
        if (value === undefined) return true;
        if (headerProblem(value) !== undefined) return false;
        this.headers = readHeaders(value as Readonly<Record<string, string>>);
        return true;
      case "expireAfterMs":
        if (isEmit || (value !== undefined && !isWithin(name, value))) return false;
        this.expireAfterMs = value as number | undefined;
        return true;
      case "delayMs":
        if (isEmit || (value !== undefined && !isWithin(name, value))) return false;
        this.delayMs = (value as number | undefined) ?? 0;
        return true;
      case "signal":
        if (isEmit || (value !== undefined && !isSignal(value))) return false;
        this.signal = value;
        return true;
      default:
        return false;
    }
  }

  #takeText(name: TextName, value: unknown): boolean {
    if (!isIdText(value)) return false;
    this[name] = value;
    return true;
  }
}

type TextName = "key" | "id" | "idempotencyKey" | "correlationId" | "causationId";

const NOTHING: ResolvedPublishOptions = Object.freeze(new PublishDraft());

const isIdText = (value: unknown): value is string =>
  typeof value === "string" && value.length > 0 && fitsBytes(value, FIXED_BOUNDS.idBytesMax);

const isWithin = (name: keyof typeof PUBLISH_BOUNDS, value: unknown): value is number =>
  Number.isInteger(value) &&
  (value as number) >= PUBLISH_BOUNDS[name].min &&
  (value as number) <= PUBLISH_BOUNDS[name].max;

/** Reads everything again to say all that is wrong. */
const explain = (input: unknown, call: PublishCall): unknown => {
  const reader = new OptionReader(`${call}()`, input, call === "emit" ? EMIT_NAMES : NAMES);
  const rule = `text of 1 to ${FIXED_BOUNDS.idBytesMax} B`;
  for (const name of ["key", "id", "idempotencyKey", "correlationId", "causationId"]) {
    reader.text(name, isIdText, rule);
  }
  const headers = reader.raw("headers");
  const problem = headers === undefined ? undefined : headerProblem(headers);
  if (problem !== undefined) reader.fail("headers", problem);
  const bound = (name: keyof typeof PUBLISH_BOUNDS): number | undefined => {
    const { min, max } = PUBLISH_BOUNDS[name];
    if (reader.raw(name) === undefined) return undefined;
    return reader.integer(name, { min, max, default: min, infinite: false });
  };
  const expireAfterMs = bound("expireAfterMs");
  const delayMs = bound("delayMs") ?? 0;
  if (expireAfterMs !== undefined && delayMs >= expireAfterMs) {
    reader.fail("delayMs", `is ${delayMs}, must be less than expireAfterMs ${expireAfterMs}`);
  }
  reader.signal();
  return reader.error() ?? new TypeError("options changed while they were read");
};
