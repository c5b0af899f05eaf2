import { describe, test } from "vitest";
import { MemoryNetwork, memoryTransport } from "../../src/transport/memory/memory-transport.ts";
import { zeromq } from "../../src/transport/zeromq/zeromq-transport.ts";
import { type Features, runCase, TRANSPORT_CASES } from "./transport-contract.ts";
import { Harness } from "./transport-harness.ts";

const DEADLINE_MS = 15_000;

const memory: Features = {
  host: "local",
  nowhere: "mem://local:1",
  badAddresses: ["", "mem://local", "zmq://127.0.0.1:1"],
  badHosts: [""],
};

const overTcp: Omit<Features, "host" | "nowhere"> = {
  badAddresses: [
    "",
    "127.0.0.1:5000",
    "tcp://127.0.0.1:5000",
    "zmq://127.0.0.1",
    "zmq://127.0.0.1:0",
    "zmq://127.0.0.1:65536",
    "zmq://[127.0.0.1]:5000",
    "zmq://a b:c:1",
  ],
  badHosts: ["", "192.0.2.1", "no-such-host.invalid"],
};

describe("the memory transport", () => {
  for (const one of TRANSPORT_CASES) {
    test(one.title, async () => {
      const network = new MemoryNetwork();
      const harness = new Harness(() => memoryTransport(network), "local", DEADLINE_MS);
      await runCase(one, harness, memory);
    });
  }
});

describe("the ZeroMQ transport", () => {
  const features = { ...overTcp, host: "127.0.0.1", nowhere: "zmq://127.0.0.1:1" };
  for (const one of TRANSPORT_CASES) {
    test(one.title, () =>
      runCase(one, new Harness(() => zeromq(), "127.0.0.1", DEADLINE_MS), features),
    );
  }
});

describe("the ZeroMQ transport over IPv6", () => {
  const features = { ...overTcp, host: "::1", nowhere: "zmq://[::1]:1" };
  for (const one of TRANSPORT_CASES.slice(0, 2)) {
    test(one.title, () => runCase(one, new Harness(() => zeromq(), "::1", DEADLINE_MS), features));
  }
});
