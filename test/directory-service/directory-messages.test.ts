/** The directory's messages, against protobufjs reading the .proto file that specifies them. */
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import protobuf from "protobufjs";
import { expect, it } from "vitest";
import {
  type AnnounceRequest,
  type AnnounceResponse,
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  entryBytesMax,
  type NodeEntry,
} from "../../src/directory-service/directory-messages.ts";
import { WireError } from "../../src/wire/wire-error.ts";

const FILE = new URL("../../proto/meshbus/directory/v1/directory.proto", import.meta.url);
const root = new protobuf.Root().loadSync(fileURLToPath(FILE));
const lookup = (name: string) => root.lookupType(`meshbus.directory.v1.${name}`);

const text = fc.string({ unit: "grapheme", maxLength: 40 });
const node: fc.Arbitrary<NodeEntry> = fc.record({
  nodeId: text,
  service: text,
  epoch: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  addresses: fc.array(text, { maxLength: 8 }),
});
const requests: fc.Arbitrary<AnnounceRequest> = fc.record({
  mesh: text,
  node: fc.option(node, { nil: undefined }),
  alive: fc.boolean(),
});
const responses: fc.Arbitrary<AnnounceResponse> = fc.record({
  there: fc.array(node, { maxLength: 5 }),
  gone: fc.array(text, { maxLength: 5 }),
  listed: fc.boolean(),
  refusal: fc.option(fc.record({ code: text, message: text }), { nil: undefined }),
  alive: fc.boolean(),
});

const theirs = (name: string, value: object): Buffer => {
  const type = lookup(name);
  return Buffer.from(type.encode(type.fromObject(value)).finish());
};
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

it("a request is read back as it was written, and has the bytes that protobufjs writes", () => {
  fc.assert(
    fc.property(requests, (request) => {
      const bytes = encodeRequest(request);
      expect(decodeRequest(bytes)).toEqual(request);
      expect(hex(bytes)).toBe(hex(theirs("AnnounceRequest", request)));
    }),
  );
});

it("a response is read back as it was written, and has the bytes that protobufjs writes", () => {
  fc.assert(
    fc.property(responses, (response) => {
      const bytes = encodeResponse(response);
      expect(decodeResponse(bytes)).toEqual(response);
      expect(hex(bytes)).toBe(hex(theirs("AnnounceResponse", response)));
    }),
  );
});

it("an entry takes no more bytes than reckoned", () => {
  const empty = { there: [], gone: [], listed: false, refusal: undefined, alive: false };
  fc.assert(
    fc.property(node, (entry) => {
      expect(encodeResponse({ ...empty, there: [entry] }).length).toBeLessThanOrEqual(
        entryBytesMax(entry),
      );
    }),
  );
});

it("any bytes are read or refused as malformed, and a cut message never passes for a whole one", () => {
  const readsOrRefuses = (read: () => unknown): void => {
    try {
      read();
    } catch (error) {
      expect(error).toBeInstanceOf(WireError);
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), responses, (bytes, response) => {
      readsOrRefuses(() => decodeRequest(bytes));
      readsOrRefuses(() => decodeResponse(bytes));
      const whole = encodeResponse(response);
      readsOrRefuses(() => decodeResponse(whole.subarray(0, whole.length / 2)));
    }),
  );
});

it("a node with nine addresses is refused", () => {
  const addresses = Array.from({ length: 9 }, (_, at) => `tcp://h${at}:1`);
  const entry = { nodeId: "n", service: "s", epoch: 1, addresses };
  const bytes = encodeRequest({ mesh: "m", node: entry, alive: false });
  expect(() => decodeRequest(bytes)).toThrow(WireError);
});
