/** The real clock, randomness, hash and logger of a Node.js process. */
import { randomFillSync } from "node:crypto";
import { performance } from "node:perf_hooks";
import xxhash from "xxhash-wasm";
import type { Clock, Timer } from "../ports/clock.ts";
import type { Hash } from "../ports/hash.ts";
import type { LogFields, Logger } from "../ports/logger.ts";
import type { Random } from "../ports/random.ts";

/** Longest delay of a Node.js timer. */
const DELAY_MS_MAX = 2_147_483_647;

type SystemTimer = Timer & {
  readonly handle: NodeJS.Timeout | NodeJS.Immediate;
  readonly soon: boolean;
};

export const systemClock = (): Clock => ({
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer: (delayMs, fn): SystemTimer =>
    delayMs <= 0
      ? { handle: setImmediate(fn), soon: true }
      : { handle: setTimeout(fn, Math.min(delayMs, DELAY_MS_MAX)).unref(), soon: false },
  clearTimer: (timer) => {
    const { handle, soon } = timer as SystemTimer;
    if (soon) clearImmediate(handle as NodeJS.Immediate);
    else clearTimeout(handle as NodeJS.Timeout);
  },
  // From a microtask, nextTick runs when no promise reaction is left: the end of the turn.
  endOfTurn: (fn) => queueMicrotask(() => process.nextTick(fn)),
});

/** Cryptographic randomness; fractions come from a pool, so that one does not cost a system call. */
export const systemRandom = (): Random => {
  const pool = new Uint32Array(1_024);
  let at = pool.length;
  return {
    bytes: (count) => randomFillSync(new Uint8Array(count)),
    fraction: () => {
      if (at === pool.length) {
        randomFillSync(pool);
        at = 0;
      }
      return (pool[at++] as number) / 0x1_0000_0000;
    },
  };
};

const HASHES_KEPT = 4_096;
const KEPT_CHARS_MAX = 255;

/** XXH32 with seed 0, the key hash of the protocol. Hashes of texts used lately are kept: hashing copies the text. */
export const xxh32 = async (): Promise<Hash> => {
  const { h32 } = await xxhash();
  const kept = new Map<string, number>();
  const hash32 = (text: string): number => {
    const known = kept.get(text);
    if (known !== undefined) return known;
    const hash = h32(text, 0) >>> 0;
    if (text.length > KEPT_CHARS_MAX) return hash;
    if (kept.size >= HASHES_KEPT) kept.clear();
    kept.set(text, hash);
    return hash;
  };
  return { id: "xxh32-0", hash32 };
};

/** Warnings and errors to stderr, one line each. */
export const stderrLogger = (): Logger => {
  const line = (level: string, message: string, fields: LogFields | undefined): void => {
    process.stderr.write(
      `meshbus ${level} ${message}${fields === undefined ? "" : show(fields)}\n`,
    );
  };
  return {
    debug: () => {},
    info: () => {},
    warn: (message, fields) => line("warn", message, fields),
    error: (message, fields) => line("error", message, fields),
  };
};

const show = (fields: LogFields): string =>
  Object.entries(fields)
    .map(([name, value]) => ` ${name}=${text(value)}`)
    .join("");

const text = (value: unknown): string => {
  if (value instanceof Error) return JSON.stringify(`${value.name}: ${value.message}`);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
};
