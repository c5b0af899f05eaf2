/** Options of request(). */
import { REQUEST_BOUNDS } from "./bounds.ts";
import { headerProblem, readHeaders } from "./headers.ts";
import { OptionReader } from "./option-reader.ts";

export type RequestOptions = {
  /** When to give up, 1 to 2,147,483,647 ms. Default: the node's requestTimeoutMs. */
  readonly timeoutMs?: number;
  /** As those of publish(). */
  readonly headers?: Readonly<Record<string, string>>;
  /** Gives up when it fires; the handler is told. */
  readonly signal?: AbortSignal;
};

export type ResolvedRequestOptions = {
  readonly timeoutMs: number;
  /** A copy without prototype; undefined: none. */
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly signal: AbortSignal | undefined;
};

const NAMES: readonly string[] = ["timeoutMs", "headers", "signal"];

/** @throws MeshError INVALID_OPTIONS (details.problems: [{ option, message }]) */
export const resolveRequestOptions = (
  input: unknown,
  requestTimeoutMs: number,
): ResolvedRequestOptions => {
  if (input === undefined) {
    return { timeoutMs: requestTimeoutMs, headers: undefined, signal: undefined };
  }
  const reader = new OptionReader("request()", input, NAMES);
  const bound = { ...REQUEST_BOUNDS.timeoutMs, default: requestTimeoutMs, infinite: false };
  const timeoutMs = reader.integer("timeoutMs", bound);
  const headers = reader.raw("headers");
  const problem = headers === undefined ? undefined : headerProblem(headers);
  if (problem !== undefined) reader.fail("headers", problem);
  const signal = reader.signal();
  reader.finish();
  return {
    timeoutMs,
    headers:
      headers === undefined ? undefined : readHeaders(headers as Readonly<Record<string, string>>),
    signal,
  };
};
