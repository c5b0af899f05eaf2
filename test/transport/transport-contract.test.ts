import { afterAll, describe, test } from "vitest";
import { grpc } from "../../src/transport/grpc/grpc-transport.ts";
import { inproc } from "../../src/transport/memory/inproc-transport.ts";
import { MemoryNetwork, memoryTransport } from "../../src/transport/memory/memory-transport.ts";
import { stream } from "../../src/transport/stream/stream-transport.ts";
import { unix } from "../../src/transport/stream/unix-transport.ts";
import { zeromq } from "../../src/transport/zeromq/zeromq-transport.ts";
import { KeysWorld } from "../security/keys-world.ts";
import { type Features, runCase, TRANSPORT_CASES } from "./transport-contract.ts";
import { DEADLINE_MS, Harness } from "./transport-harness.ts";

const memory: Features = {
  host: "local",
  nowhere: "mem://local:1",
  badAddresses: ["", "mem://local", "zmq://127.0.0.1:1"],
  badHosts: [""],
};

const overTcp = (scheme: string, host: "127.0.0.1" | "[::1]"): Features => ({
  host: host.replaceAll(/[[\]]/g, ""),
  nowhere: `${scheme}://${host}:1`,
  badAddresses: [
    "",
    "127.0.0.1:5000",
    "http://127.0.0.1:5000",
    `${scheme}://127.0.0.1`,
    `${scheme}://127.0.0.1:0`,
    `${scheme}://127.0.0.1:65536`,
    `${scheme}://[127.0.0.1]:5000`,
    `${scheme}://a b:c:1`,
  ],
  badHosts: ["", "192.0.2.1", "no-such-host.invalid"],
});

describe("the memory transport", () => {
  for (const one of TRANSPORT_CASES) {
    test(one.title, async () => {
      const network = new MemoryNetwork();
      const harness = new Harness(() => memoryTransport(network), "local", DEADLINE_MS);
      await runCase(one, harness, memory);
    });
  }
});

const inOneProcess: Features = {
  host: "127.0.0.1",
  nowhere: "inproc://p0:1",
  badAddresses: ["", "inproc://p0", "mem://local:1"],
  badHosts: [""],
};

const files: Features = {
  host: "127.0.0.1",
  nowhere: "unix:///no/such/folder/node.sock",
  badAddresses: [
    "",
    "unix://",
    "unix://relative.sock",
    "unix:///a?host=short",
    "unix:///with a blank",
    `unix:///${"x".repeat(107)}`,
    "tcp://127.0.0.1:1",
  ],
  badHosts: [],
};

const fileOf = (address?: string) =>
  unix(address === undefined ? {} : { path: address.replace(/^unix:\/\/|\?.*$/g, "") });

const LOCAL = [
  ["inproc", inproc, inOneProcess],
  ["unix", fileOf, files],
] as const;

for (const [name, create, features] of LOCAL) {
  describe(`the ${name} transport`, () => {
    for (const one of TRANSPORT_CASES) {
      test(one.title, () =>
        runCase(one, new Harness(create, features.host, DEADLINE_MS), features),
      );
    }
  });
}

for (const [name, scheme, create] of [
  ["ZeroMQ", "zmq", zeromq],
  ["stream", "tcp", stream],
  ["gRPC", "grpc", grpc],
] as const) {
  describe(`the ${name} transport`, () => {
    const features = overTcp(scheme, "127.0.0.1");
    for (const one of TRANSPORT_CASES) {
      test(one.title, () =>
        runCase(one, new Harness(() => create(), features.host, DEADLINE_MS), features),
      );
    }
  });

  describe(`the ${name} transport over IPv6`, () => {
    const features = overTcp(scheme, "[::1]");
    for (const one of TRANSPORT_CASES.slice(0, 2)) {
      test(one.title, () =>
        runCase(one, new Harness(() => create(), features.host, DEADLINE_MS), features),
      );
    }
  });
}

describe("with keys", () => {
  const keys = new KeysWorld();
  afterAll(() => keys[Symbol.dispose]());
  const security = keys.node();
  for (const [name, create, features] of LOCAL) {
    describe(`the ${name} transport`, () => {
      for (const one of TRANSPORT_CASES) {
        test(one.title, () =>
          runCase(one, new Harness(create, features.host, DEADLINE_MS, security), features),
        );
      }
    });
  }
  const key = Buffer.from(security.self.curveKey).toString("base64url");
  for (const [name, scheme, create] of [
    ["ZeroMQ over CURVE", "zmq", zeromq],
    ["stream over TLS", "tcp", stream],
    ["gRPC over TLS", "grpc", grpc],
  ] as const) {
    describe(`the ${name}`, () => {
      const plain = overTcp(scheme, "127.0.0.1");
      const nowhere = scheme === "zmq" ? `${plain.nowhere}?curve=${key}` : plain.nowhere;
      for (const one of TRANSPORT_CASES) {
        test(one.title, () =>
          runCase(one, new Harness(() => create(), plain.host, DEADLINE_MS, security), {
            ...plain,
            nowhere,
          }),
        );
      }
    });
  }
});
