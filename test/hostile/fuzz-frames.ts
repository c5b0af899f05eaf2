/**
 * Frames and envelopes, broken with knowledge of their structure, at the decoder: each is read or refused with a
 * WireError, in 10 ms, and takes no more memory than it has bytes, times a constant.
 */
import { EnvelopeView, encodeEnvelope } from "../../src/wire/envelope.ts";
import { decodeFrame, encodeFrame } from "../../src/wire/frames.ts";
import { WireError } from "../../src/wire/wire-error.ts";
import { SAMPLE_ENVELOPES, SAMPLE_FRAMES } from "../wire/frame-samples.ts";
import { type HostileCase, Tally } from "./hostile-case.ts";
import { type Dice, diceOf, mutateProtobuf } from "./mutate-protobuf.ts";

const SLOW_MS = 10;
const RSS_GROWTH_MAX = 256 * 2 ** 20;

type Reader = (bytes: Uint8Array) => unknown;

const readEnvelope: Reader = (bytes) => {
  const view = new EnvelopeView(bytes);
  return [view.subject, view.kind, view.key, view.payload, view.headers, view.contentType];
};

/** How the reader takes it: a reason why that is not allowed, or undefined. */
const judge = (read: Reader, bytes: Uint8Array): string | undefined => {
  const startMs = performance.now();
  try {
    read(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) return String(error);
  }
  return performance.now() - startMs > SLOW_MS ? "slow" : undefined;
};

export const fuzz = (
  tally: Tally,
  dice: Dice,
  runs: number,
  corpus: readonly Uint8Array[],
  read: Reader,
): void => {
  const pick = (): Uint8Array => corpus[dice.below(corpus.length)] as Uint8Array;
  for (let run = 0; run < runs; run++) {
    let bytes = mutateProtobuf(pick(), pick(), dice);
    for (let more = dice.below(3); more > 0; more--) bytes = mutateProtobuf(bytes, pick(), dice);
    let why = judge(read, bytes);
    // A pause of the machine is not the reader's: it must be slow each time.
    for (let again = 0; why === "slow" && again < 3; again++) why = judge(read, bytes);
    tally.check(why === undefined, () => `${why}: ${Buffer.from(bytes).toString("hex")}`);
  }
};

export const FUZZ_FRAMES: HostileCase = {
  name: "fuzzed-frames",
  async run({ runs, seed, log }) {
    const tally = new Tally(log);
    const dice = diceOf(seed);
    const frames = Object.values(SAMPLE_FRAMES).map((frame) => encodeFrame(frame));
    const envelopes = Object.values(SAMPLE_ENVELOPES).map((one) => encodeEnvelope(one));
    const before = process.memoryUsage().rss;
    const ofEnvelopes = Math.floor(runs / 5);
    fuzz(tally, dice, runs - ofEnvelopes, frames, decodeFrame);
    fuzz(tally, dice, ofEnvelopes, envelopes, readEnvelope);
    const grown = process.memoryUsage().rss - before;
    tally.check(grown < RSS_GROWTH_MAX, () => `memory grew by ${grown} B`);
    return tally.outcome;
  },
};

/** What costs a reader most for its bytes: depth, and floods of the smallest messages. */
export const FLOODS: HostileCase = {
  name: "depth-and-floods",
  async run({ log }) {
    const tally = new Tally(log);
    const wrap = (tag: number, inner: Uint8Array): Uint8Array => {
      const head = Buffer.alloc(6);
      head[0] = tag;
      let left = inner.length;
      for (let at = 1; at < 6; at++) {
        head[at] = (left & 0x7f) | (at < 5 ? 0x80 : 0);
        left = Math.floor(left / 0x80);
      }
      return Buffer.concat([head, inner]);
    };
    for (let field = 2; field <= 20; field++) {
      const tag = (field << 3) | 2;
      for (const innerTag of [0x0a, 0x12, 0x1a, 0x22, 0x7a]) {
        let deep: Uint8Array = Buffer.alloc(0);
        for (let depth = 0; depth < 50_000; depth++) {
          if (depth % 1_000 === 0) deep = wrap(innerTag, deep);
        }
        const pairs = Buffer.alloc(2 * 2 ** 19);
        for (let at = 0; at < pairs.length; at += 2) pairs[at] = innerTag;
        for (const body of [deep, pairs]) {
          const bytes = wrap(tag > 0x7f ? 0x0a : tag, body);
          const start = process.cpuUsage();
          const before = process.memoryUsage().heapUsed;
          let why: string | undefined;
          try {
            decodeFrame(bytes);
          } catch (error) {
            if (!(error instanceof WireError)) why = String(error);
          }
          // Of the processor: the machine is not ours alone.
          const { user, system } = process.cpuUsage(start);
          const tookMs = (user + system) / 1_000;
          const grown = process.memoryUsage().heapUsed - before;
          if (tookMs > 1_000) why ??= `took ${Math.round(tookMs)} ms`;
          if (grown > 256 * 2 ** 20) why ??= `took ${grown} B`;
          tally.check(why === undefined, () => `field ${field}, inner ${innerTag}: ${why}`);
        }
      }
    }
    return tally.outcome;
  },
};
