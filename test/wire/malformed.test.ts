/** Bytes as a broken or hostile peer may send them: the decoder answers with WireError, and soon. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { plainPayload } from "../../src/wire/bundle.ts";
import { MESSAGES_MAX } from "../../src/wire/byte-reader.ts";
import { putPaddedVarint } from "../../src/wire/byte-writer.ts";
import { EnvelopeView, encodeEnvelope } from "../../src/wire/envelope.ts";
import { decodeFrame, encodeFrame } from "../../src/wire/frames.ts";
import { WireError } from "../../src/wire/wire-error.ts";
import { processorMs } from "../processor-time.ts";
import { anyFrame, envelope } from "./frame-arbitraries.ts";

const FLOOD_BYTES = 8 * 2 ** 20;
/** Linear work on the flood costs less than so many looks at each of its bytes; quadratic work would take hours. */
const LOOKS_MAX = 100;

type Mutation = { readonly at: number; readonly remove: number; readonly insert: Uint8Array };

const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  remove: fc.nat({ max: 3 }),
  insert: fc.uint8Array({ maxLength: 3 }),
});

const mutate = (bytes: Uint8Array, mutations: readonly Mutation[]): Buffer =>
  mutations.reduce((before, { at, remove, insert }) => {
    const index = Math.floor(at * before.length);
    return Buffer.concat([before.subarray(0, index), insert, before.subarray(index + remove)]);
  }, Buffer.from(bytes));

/** Reads all there is; says whether the bytes were legal. Any error but WireError is passed on. */
const survives = (read: () => void): boolean => {
  try {
    read();
    return true;
  } catch (error) {
    if (error instanceof WireError) return false;
    throw error;
  }
};

const readEnvelope = (view: EnvelopeView): unknown => [
  view.subject,
  view.key,
  view.time,
  view.headers,
  view.payload,
  view.contentType,
];

const readFrame = (bytes: Uint8Array): void => {
  const frame = decodeFrame(bytes);
  if (frame.type !== "batch") return;
  for (const { deliveries, bundles } of frame.sections) {
    for (const { bytes, head, rests } of bundles) {
      for (let at = 0; at < rests.length; at += 2) {
        const [start, end] = rests.slice(at, at + 2) as [number, number];
        const payload = plainPayload(bytes, start, end);
        const view = new EnvelopeView(bytes, start, end, head);
        const isRead = survives(() => readEnvelope(view));
        // The short way gives what the long one does, or nothing.
        if (payload !== undefined) expect(isRead && payload).toEqual(view.payload);
      }
    }
    for (const { bytes, envelopeStart, envelopeEnd } of deliveries) {
      const view = new EnvelopeView(bytes, envelopeStart, envelopeEnd);
      survives(() => readEnvelope(view));
    }
  }
};

describe("bytes that nobody meant to send", () => {
  it("are read or refused: mutated frames", () => {
    const outcomes = { read: 0, refused: 0 };
    fc.assert(
      fc.property(
        anyFrame,
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        (frame, changes) => {
          const bytes = mutate(encodeFrame(frame), changes);
          outcomes[survives(() => readFrame(bytes)) ? "read" : "refused"]++;
        },
      ),
      { numRuns: 3_000 },
    );
    // Both must happen, or the mutations would test nothing.
    expect(outcomes.read).toBeGreaterThan(100);
    expect(outcomes.refused).toBeGreaterThan(100);
  });

  it("are read or refused: frames cut off at every byte", () => {
    fc.assert(
      fc.property(anyFrame, (frame) => {
        const bytes = encodeFrame(frame);
        const step = Math.ceil(bytes.length / 100);
        for (let end = 0; end < bytes.length; end += step) {
          survives(() => readFrame(bytes.subarray(0, end)));
        }
      }),
      { numRuns: 150 },
    );
  });

  it("are read or refused: noise", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        survives(() => readFrame(bytes));
        survives(() => readEnvelope(new EnvelopeView(bytes)));
      }),
      { numRuns: 2_000 },
    );
  });

  it("are read or refused: mutated envelopes", () => {
    fc.assert(
      fc.property(
        envelope,
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        (fields, changes) => {
          const bytes = mutate(encodeEnvelope(fields), changes);
          survives(() => readEnvelope(new EnvelopeView(bytes)));
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe("a flood of 8 MiB", () => {
  /** The bytes of `unit` again and again, whole ones only. */
  const repeated = (unit: string): Buffer => {
    const bytes = Buffer.from(unit.replaceAll(" ", ""), "hex");
    return Buffer.alloc(FLOOD_BYTES - (FLOOD_BYTES % bytes.length), bytes);
  };
  const field = (tag: number, content: Buffer): Buffer => {
    const head = Buffer.from([tag, 0, 0, 0, 0, 0]);
    putPaddedVarint(head, 1, 5, content.length);
    return Buffer.concat([head, content]);
  };
  const look = (): number => Buffer.alloc(FLOOD_BYTES, 1).reduce((sum, byte) => sum + byte, 0);
  /** What `read` gives or throws, once it has been seen to be linear. */
  const timed = <Value>(read: () => Value): Value => {
    const beganMs = processorMs();
    look();
    const lookMs = processorMs() - beganMs;
    let answer: () => Value;
    const readMs = processorMs();
    try {
      const value = read();
      answer = () => value;
    } catch (error) {
      answer = () => {
        throw error;
      };
    }
    expect(processorMs() - readMs).toBeLessThan(LOOKS_MAX * lookMs);
    return answer();
  };

  it("of unknown fields is skipped", () => {
    for (const unit of ["a006 8000", "a206 02 ffff", "a106 0102030405060708", "a506 01020304"]) {
      expect(timed(() => decodeFrame(repeated(unit)).type)).toBe("unknown");
    }
  });

  it.each([
    ["sections", "3a"],
    ["settle sections", "42"],
    ["subscriptions", "2a"],
    ["credits", "52"],
  ])(`of empty %s is refused after ${MESSAGES_MAX}`, (_what, tag) => {
    const flood = field(Number.parseInt(tag, 16), repeated("0a00"));
    expect(() => timed(() => decodeFrame(flood))).toThrow(
      new WireError(`more than ${MESSAGES_MAX} nested messages`),
    );
  });

  it(`of empty envelopes in a bundle is refused after ${MESSAGES_MAX}`, () => {
    const bundle = field(0x82, Buffer.concat([Buffer.from("0a030a0161", "hex"), repeated("7a00")]));
    bundle.writeUInt8(0x01, 1); // a tag of two bytes
    const rest = Buffer.from("00000000", "hex");
    putPaddedVarint(rest, 0, 4, bundle.length - 6);
    rest.copy(bundle, 2);
    const flood = field(0x3a, field(0x0a, Buffer.concat([Buffer.from("2001", "hex"), bundle])));
    expect(() => timed(() => decodeFrame(flood))).toThrow(
      new WireError(`more than ${MESSAGES_MAX} nested messages`),
    );
  });

  it(`of empty headers is refused after ${MESSAGES_MAX}`, () => {
    expect(() => timed(() => new EnvelopeView(repeated("6a00")).validate())).toThrow(
      new WireError(`more than ${MESSAGES_MAX} nested messages`),
    );
  });

  it("of packed numbers is read", () => {
    const flood = field(0x42, field(0x0a, field(0x12, repeated("01"))));
    const frame = timed(() => decodeFrame(flood));
    expect(frame.type === "settle" && frame.sections[0]?.acked.length).toBe(FLOOD_BYTES);
  });

  it("of one repeated field keeps the last value", () => {
    const view = new EnvelopeView(repeated("0a0161 1a0162"));
    expect(timed(() => view.key)).toBe("b");
  });
});
