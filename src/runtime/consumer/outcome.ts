/**
 * How a handler's failure is meant: an error is a failed attempt, unless the handler said otherwise.
 *
 * The signals are thrown by `ctx` and by user code; they are told apart by brand, like MeshError.
 */
const BRAND = Symbol.for("meshbus.outcome");

export type Outcome =
  | { readonly type: "retry"; readonly delayMs?: number }
  | { readonly type: "dead"; readonly reason: string }
  /** Not an attempt: deliver again later. */
  | { readonly type: "defer"; readonly delayMs: number };

/** Thrown by a handler: no retry can help; the message becomes a dead letter now. */
export class Unrecoverable extends Error {
  override readonly name = "Unrecoverable";
  constructor(reason: string, options?: { cause?: unknown }) {
    super(reason, options);
    Object.defineProperty(this, BRAND, { value: { type: "dead", reason } });
  }
}

/** Thrown by a handler (or by `ctx.retry`): a failed attempt, tried again after `delayMs`. */
export class RetryLater extends Error {
  override readonly name = "RetryLater";
  constructor(delayMs: number | undefined, message = "retry requested") {
    super(message);
    const outcome = delayMs === undefined ? { type: "retry" } : { type: "retry", delayMs };
    Object.defineProperty(this, BRAND, { value: outcome });
  }
}

/** Used inside: the message could not be tried now and costs no attempt. */
export class Deferred extends Error {
  override readonly name = "Deferred";
  constructor(delayMs: number, message: string) {
    super(message);
    Object.defineProperty(this, BRAND, { value: { type: "defer", delayMs } });
  }
}

export const outcomeOf = (error: unknown): Outcome => {
  try {
    const outcome = (error as { [BRAND]?: Outcome } | null | undefined)?.[BRAND];
    return outcome ?? { type: "retry" };
  } catch {
    return { type: "retry" }; // a getter that throws is only an error
  }
};

/** Characters told of a reason, a name or a message. */
export const ERROR_TEXT_MAX = 1_024;

/** What is told of an error: never its stack. */
export const describeError = (error: unknown): { name: string; message: string } => {
  if (error instanceof Error) {
    const { name, message } = error;
    return { name: name.slice(0, ERROR_TEXT_MAX), message: message.slice(0, ERROR_TEXT_MAX) };
  }
  return { name: "Error", message: textOf(error).slice(0, ERROR_TEXT_MAX) };
};

const textOf = (thrown: unknown): string => {
  try {
    return String(thrown);
  } catch {
    return "a value without a text was thrown"; // an object without a prototype, or a hostile one
  }
};
