import { randomInt } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { directoryService } from "../../src/directory-service/directory-service.ts";
import { dns } from "../../src/discovery/dns/dns.ts";
import { mdns } from "../../src/discovery/mdns/mdns.ts";
import { staticPeers } from "../../src/discovery/static/static-peers.ts";
import type { Discovery } from "../../src/ports/discovery.ts";
import { entryOf, RawDirectory } from "../directory-service/raw-sides.ts";
import { ownClock } from "../own-clock.ts";
import { contractCases, type DiscoverySubject, describesDiscovery } from "./discovery-contract.ts";
import { announcement, Recorder } from "./discovery-recorder.ts";
import { NameServer } from "./dns/name-server.ts";

const staticSubject = (): DiscoverySubject => ({
  self: announcement(),
  make: () => staticPeers(["127.0.0.1:41234", "127.0.0.1:50000"]),
  makePeerVisible: async () => async () => {},
});

const mdnsSubject = (): DiscoverySubject => {
  const port = randomInt(20_000, 30_000);
  const self = announcement();
  return {
    self,
    make: () => mdns({ port }),
    makePeerVisible: async () => {
      const addresses = ["zmq://127.0.0.1:50000"];
      const peer = await new Recorder(
        mdns({ port }),
        announcement({ mesh: self.mesh, addresses }),
      ).start();
      return () => peer.stop();
    },
  };
};

describe("dns keeps the contract", () => {
  let server: NameServer;
  beforeEach(async () => {
    server = await NameServer.start();
    server.records = { "A a.local": ["127.0.0.1"] };
  });
  afterEach(() => server[Symbol.asyncDispose]());
  describesDiscovery(() => ({
    self: announcement({ addresses: ["zmq://127.0.0.1:41234"] }),
    make: () => dns("a.local", { port: 41_234, servers: [server.address] }),
    makePeerVisible: async () => {
      server.records = { "A a.local": ["127.0.0.1", "127.0.0.2"] };
      return async () => {};
    },
  }));
});

describe("a directory service keeps the contract", () => {
  let directory: RawDirectory;
  let isVisible = false;
  const self = announcement();
  const peer = entryOf({ addresses: ["tcp://127.0.0.1:50000"] });
  beforeEach(async () => {
    isVisible = false;
    const own = entryOf({ nodeId: self.nodeId });
    const former = entryOf({ addresses: self.addresses });
    directory = await RawDirectory.start((say) => {
      say({ there: isVisible ? [own, former, peer] : [own, former], listed: true });
    });
  });
  afterEach(() => directory[Symbol.asyncDispose]());
  describesDiscovery(() => ({
    self,
    make: () => directoryService(directory.address),
    makePeerVisible: async () => {
      isVisible = true;
      if (directory.calls.some(({ isClosed }) => !isClosed)) directory.say({ there: [peer] });
      return async () => {};
    },
  }));
});

describe("static peers keep the contract", () => describesDiscovery(staticSubject));
describe("mdns keeps the contract", () => describesDiscovery(mdnsSubject));

/** Reports the node itself under a wrong source, takes its time, and goes on after stop. */
class Broken implements Discovery {
  readonly name = "broken";
  #timer: NodeJS.Timeout | undefined;

  async start(...[{ self }, events]: Parameters<Discovery["start"]>): Promise<void> {
    if (this.#timer !== undefined) throw new Error("started twice");
    await new Promise<void>((resolve) => ownClock.setTimer(600, resolve));
    const { nodeId, addresses } = self;
    this.#timer = setInterval(() => events.found({ nodeId, addresses, source: "other" }), 5);
    this.#timer.unref();
  }

  async stop(): Promise<void> {}
}

describe("the contract", () => {
  it.each(Object.entries(contractCases))("fails a broken discovery: %s", async (_, body) => {
    await expect(body({ ...staticSubject(), make: () => new Broken() })).rejects.toThrow();
  });
});
