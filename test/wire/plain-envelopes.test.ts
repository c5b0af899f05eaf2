import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EnvelopeTemplate, EnvelopeView, envelopeOf } from "../../src/wire/envelope.ts";
import { PlainEnvelopes } from "../../src/wire/plain-envelopes.ts";

const template = fc
  .record({
    subject: fc.constantFrom("a", "a.b", "order.placed"),
    kind: fc.constantFrom(0 as const, 1 as const),
    contentType: fc.constantFrom(undefined, "application/json", "application/octet-stream"),
    schemaVersion: fc.constantFrom(undefined, 3),
  })
  .map((constants) => new EnvelopeTemplate(constants));
const LONG = "k".repeat(200);
const time = { ms: 1_900_000_000_000, counter: 7 };

describe("envelopes of one contract", () => {
  it("give the payload that a view gives, or none", () => {
    const one = fc.record({
      template,
      payload: fc.uint8Array({ maxLength: 300 }),
      key: fc.constantFrom(undefined, undefined, "k", "schlüssel", LONG),
      id: fc.constantFrom(undefined, undefined, "id"),
      before: fc.nat(9),
    });
    let plain = 0;
    fc.assert(
      fc.property(fc.array(one, { minLength: 2, maxLength: 12 }), (list) => {
        const envelopes = new PlainEnvelopes();
        for (const { template: constants, payload, key, id, before } of list) {
          const envelope = envelopeOf(constants, { time, payload, key, id });
          const bytes = Buffer.alloc(before + envelope.length + 3);
          bytes.set(envelope, before);
          const end = before + envelope.length;
          const view = new EnvelopeView(bytes, before, end);
          let found = envelopes.payloadOf(bytes, before, end);
          if (found === undefined) {
            envelopes.learn(bytes, before, end);
            found = envelopes.payloadOf(bytes, before, end);
          }
          expect(found !== undefined).toBe(id === undefined && key !== "schlüssel" && key !== LONG);
          if (found === undefined) continue;
          plain++;
          expect(Buffer.from(found)).toEqual(Buffer.from(view.payload));
          const { subject, kind, contentType, schemaVersion } = view;
          expect(envelopes.head).toMatchObject({ subject, kind, contentType, schemaVersion });
        }
      }),
    );
    expect(plain).toBeGreaterThan(50);
  });

  it("of whatever bytes give nothing that a view would not", () => {
    const known = envelopeOf(new EnvelopeTemplate({ subject: "a.b", kind: 0 }), {
      ...{ time, key: "key" },
      payload: new Uint8Array(20),
    });
    const changes = fc.array(fc.tuple(fc.nat(known.length - 1), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(changes, fc.nat(known.length), (changed, end) => {
        const bytes = Buffer.from(known);
        for (const [at, value] of changed) bytes[at] = value;
        const envelopes = new PlainEnvelopes();
        envelopes.learn(bytes, 0, end);
        const payload = envelopes.payloadOf(bytes, 0, end);
        if (payload === undefined) return;
        const view = new EnvelopeView(bytes, 0, end);
        expect(Buffer.from(payload)).toEqual(Buffer.from(view.payload));
        expect([view.id, view.headers]).toEqual([undefined, {}]);
        expect(envelopes.head?.subject).toBe(view.subject);
      }),
      { numRuns: 5_000 },
    );
  });

  it("of two contracts in turn are learnt from for a while, then seldom", () => {
    const envelopes = new PlainEnvelopes();
    const both = ["a", "b"].map((subject) =>
      envelopeOf(new EnvelopeTemplate({ subject, kind: 0 }), { time, payload: new Uint8Array(3) }),
    );
    const heads = new Set<unknown>();
    for (let n = 0; n < 2_000; n++) {
      const bytes = both[n % 2] as Uint8Array;
      envelopes.learn(bytes, 0, bytes.length);
      heads.add(envelopes.head);
    }
    expect(heads.size).toBeGreaterThan(8);
    expect(heads.size).toBeLessThan(30);
    const [first] = both as [Uint8Array];
    for (let n = 0; n < 256; n++) envelopes.learn(first, 0, first.length);
    expect(envelopes.payloadOf(first, 0, first.length)).toHaveLength(3);
  });

  it("without constants, or with too many, give nothing", () => {
    const envelopes = new PlainEnvelopes();
    const long = new EnvelopeTemplate({ subject: `a.${"b".repeat(600)}`, kind: 0 });
    for (const bytes of [
      envelopeOf(long, { time, payload: new Uint8Array(3) }),
      Buffer.from([0x21, 0, 0, 0, 0, 0, 0, 0, 0, 0x7a, 1, 5]),
    ]) {
      envelopes.learn(bytes, 0, bytes.length);
      expect(envelopes.head).toBeUndefined();
      expect(envelopes.payloadOf(bytes, 0, bytes.length)).toBeUndefined();
    }
  });
});
