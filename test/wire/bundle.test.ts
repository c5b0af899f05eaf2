import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BatchWriter } from "../../src/wire/batch-writer.ts";
import { type Bundle, plainPayload } from "../../src/wire/bundle.ts";
import { BundleWriter } from "../../src/wire/bundle-writer.ts";
import { ByteWriter } from "../../src/wire/byte-writer.ts";
import { EnvelopeTemplate, EnvelopeView, envelopeOf } from "../../src/wire/envelope.ts";
import { decodeFrame } from "../../src/wire/frames.ts";
import { WireError } from "../../src/wire/wire-error.ts";
import { envelope, uint32 } from "./frame-arbitraries.ts";

const head = {
  subscription: 1,
  first: 5,
  epoch: 0,
  volatile: true,
  floorEpoch: 0,
  floorSeq: 0,
  term: 0,
};
const FIELDS = ["subject", "kind", "key", "time", "contentType", "schemaVersion"] as const;
const RARE = ["id", "correlationId", "traceparent", "headers", "payload"] as const;

const bundlesOf = (frame: Uint8Array): readonly Bundle[] => {
  const read = decodeFrame(frame);
  return read.type === "batch" ? read.sections.flatMap(({ bundles }) => bundles) : [];
};

const frameOf = (write: (writer: BatchWriter) => void): Buffer => {
  const writer = new BatchWriter(64);
  writer.begin(7);
  writer.beginSection(head);
  write(writer);
  const { tail } = writer;
  return Buffer.concat([writer.finish(), tail ?? Buffer.alloc(0)]);
};

const message = (payload: string) => ({
  time: { ms: 1_750_000_000_123, counter: 258 },
  payload: Buffer.from(payload),
});

describe("a bundle", () => {
  it("says of each message what an envelope of its own says", () => {
    const messages = fc.array(fc.tuple(envelope, fc.option(uint32, { nil: -1 })), { maxLength: 6 });
    fc.assert(
      fc.property(messages, (list) => {
        const frame = frameOf((writer) => {
          for (const [fields, keyHash] of list) {
            writer.bundled(new EnvelopeTemplate(fields), keyHash, fields);
          }
        });
        const read = bundlesOf(frame).flatMap((bundle) =>
          Array.from({ length: bundle.rests.length / 2 }, (_, at) => {
            const [start, end] = bundle.rests.slice(2 * at, 2 * at + 2) as [number, number];
            return {
              view: new EnvelopeView(bundle.bytes, start, end, bundle.head),
              keyHash: bundle.keyHashes[at] ?? -1,
              plain: plainPayload(bundle.bytes, start, end),
            };
          }),
        );
        expect(read.map(({ keyHash }) => keyHash)).toEqual(list.map(([, keyHash]) => keyHash));
        for (const [at, { view, plain }] of read.entries()) {
          const [fields] = list[at] as (typeof list)[number];
          const whole = new EnvelopeView(envelopeOf(new EnvelopeTemplate(fields), fields));
          for (const name of [...FIELDS, ...RARE]) expect(view[name]).toEqual(whole[name]);
          if (plain !== undefined) expect(plain).toEqual(whole.payload);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("holds messages of one template, with keys or without, in the order of the calls", () => {
    const [a, b] = ["a", "b"].map((subject) => new EnvelopeTemplate({ subject, kind: 0 })) as [
      EnvelopeTemplate,
      EnvelopeTemplate,
    ];
    const frame = frameOf((writer) => {
      writer.bundled(a, -1, message("1"));
      writer.bundled(a, -1, message("2"));
      writer.bundled(b, -1, message("3"));
      writer.bundled(b, 9, message("4"));
      expect(writer.deliveries).toBe(4);
    });
    const seen = bundlesOf(frame).map(({ bytes, head: { subject }, rests, keyHashes }) => {
      const payloads = [0, 2].slice(0, rests.length / 2).map((at) => {
        const plain = plainPayload(bytes, rests[at] as number, rests[at + 1] as number);
        return Buffer.from(plain ?? []).toString();
      });
      return { subject, payloads, keyHashes };
    });
    expect(seen).toEqual([
      { subject: "a", payloads: ["1", "2"], keyHashes: [] },
      { subject: "b", payloads: ["3"], keyHashes: [] },
      { subject: "b", payloads: ["4"], keyHashes: [9] },
    ]);
  });

  it("is the same bytes for every link, copied or at the end of the frame", () => {
    const template = new EnvelopeTemplate({ subject: "a.b", kind: 0 });
    const arena = new ByteWriter();
    const bundles = new BundleWriter(arena);
    for (const payload of ["one", "", "three"]) bundles.append(template, -1, message(payload));
    bundles.close();
    const bytes = arena.take();
    const inPlace = frameOf((writer) => {
      for (const payload of ["one", "", "three"]) writer.bundled(template, -1, message(payload));
    });
    expect(frameOf((writer) => writer.bundles(bytes, 3))).toEqual(inPlace);
    expect(frameOf((writer) => writer.endWith(bytes, 3))).toEqual(inPlace);
  });

  it("leaves nothing of a message that cannot be written", () => {
    const template = new EnvelopeTemplate({ subject: "a", kind: 0 });
    const broken = { ...message("x"), headers: { name: 5 as unknown as string } };
    const frame = frameOf((writer) => {
      writer.bundled(template, -1, message("1"));
      expect(() => writer.bundled(template, -1, broken)).toThrow();
      writer.bundled(template, -1, message("2"));
    });
    expect(bundlesOf(frame)[0]?.rests).toHaveLength(4);
  });

  it.each([
    ["of durable messages", "820105 0a03 0a0161", "a bundle of durable messages"],
    ["without head", "2001 820102 7a00", "a bundle without head"],
    ["with a key for all", "2001 820108 0a06 0a0161 1a0162", "whose head says more than constants"],
    ["with too few key hashes", "2001 82010f 0a030a0161 120401000000 7a00 7a00", "1 key hashes"],
    ["whose head has no subject", "2001 820104 0a02 1001", "envelope without subject"],
  ])("%s is refused", (_what, content, reason) => {
    const section = Buffer.from(content.replaceAll(" ", ""), "hex");
    const batch = Buffer.concat([Buffer.from([0x0a, section.length]), section]);
    const frame = Buffer.concat([Buffer.from([0x3a, batch.length]), batch]);
    const read = (): unknown => decodeFrame(frame);
    expect(read).toThrow(WireError);
    expect(read).toThrow(reason);
  });
});
