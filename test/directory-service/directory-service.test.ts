/** What a node makes of its directories: real ones that lie, flood, die and come back. */
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { DirectoryServiceOptions } from "../../src/directory-service/client-options.ts";
import { directoryService } from "../../src/directory-service/directory-service.ts";
import { ENTRIES_MAX } from "../../src/directory-service/heard-nodes.ts";
import { checkedEntry } from "../../src/directory-service/node-entry.ts";
import { MeshError } from "../../src/errors.ts";
import type { Announcement, PeerHint } from "../../src/ports/discovery.ts";
import { announcement, contextFor } from "../discovery/discovery-recorder.ts";
import { until } from "../integration/until.ts";
import { HastyClock } from "./hasty-clock.ts";
import { entryOf, RawDirectory } from "./raw-sides.ts";

let cleanups: (() => unknown)[] = [];
afterEach(async () => {
  const all = cleanups.reverse();
  cleanups = [];
  for (const end of all) await end();
});

/** A running discovery, whose time may jump, and all it said. */
class Asker {
  readonly clock = new HastyClock();
  readonly found: PeerHint[] = [];
  readonly lost: string[] = [];
  readonly problems: MeshError[] = [];
  readonly counts = new Map<string, number>();

  static async start(
    directories: readonly (RawDirectory | string)[],
    options: DirectoryServiceOptions = {},
    self: Announcement = announcement(),
  ): Promise<Asker> {
    const asker = new Asker();
    const at = directories.map((one) => (typeof one === "string" ? one : one.address));
    const discovery = directoryService(at, options);
    cleanups.push(() => discovery.stop());
    await discovery.start(
      { ...contextFor(self, asker.counts), clock: asker.clock },
      {
        found: (hint) => asker.found.push(hint),
        lost: (nodeId) => asker.lost.push(nodeId),
        problem: (error) => asker.problems.push(error),
      },
    );
    return asker;
  }

  until(what: string, condition: () => boolean): Promise<void> {
    return until(what, condition, () => {
      const { found, lost, problems } = this;
      return JSON.stringify({ found: found.slice(-5), lost, problems: problems.map(String) });
    });
  }

  finds(nodeId: string): Promise<void> {
    return this.until("the node", () => this.found.some((hint) => hint.nodeId === nodeId));
  }

  kinds(): unknown[] {
    return this.problems.map(({ details }) => (details as { kind?: string }).kind);
  }
}

const lists = async (...nodes: ReturnType<typeof entryOf>[]): Promise<RawDirectory> => {
  const directory = await RawDirectory.start((say) => say({ there: nodes, listed: true }));
  cleanups.push(() => directory[Symbol.asyncDispose]());
  return directory;
};

describe("a node", () => {
  it("announces itself, and passes on what it is told", async () => {
    const node = entryOf({ addresses: ["tcp://127.0.0.1:5000", "zmq://127.0.0.1:5001"] });
    const directory = await lists(node);
    const self = announcement();
    const asker = await Asker.start([directory], {}, self);
    await asker.finds(node.nodeId);
    const { nodeId, epoch, addresses } = node;
    expect(asker.found).toEqual([{ nodeId, epoch, addresses, source: "directory" }]);
    expect(directory.calls[0]?.heard[0]).toMatchObject({
      mesh: self.mesh,
      node: { nodeId: self.nodeId, service: self.service, addresses: self.addresses },
    });
    expect(asker.problems).toEqual([]);
  });

  it("hears that one is gone only when no other directory lists it", async () => {
    const [node, marker] = [entryOf(), entryOf()];
    const [one, two] = [await lists(node), await lists(node)];
    const asker = await Asker.start([one, two]);
    await until("both", () => one.calls.length === 1 && two.calls.length === 1);
    await asker.finds(node.nodeId);
    one.say({ gone: [node.nodeId], there: [marker] });
    await asker.finds(marker.nodeId);
    expect(asker.lost).toEqual([]);
    two.say({ gone: [node.nodeId] });
    await asker.until("lost", () => asker.lost.includes(node.nodeId));
  });

  it("loses nothing with a directory that dies, asks it again for ever, and reports it once", async () => {
    const node = entryOf();
    const first = await lists(node);
    const port = Number(first.address.split(":").at(-1));
    const asker = await Asker.start([first], { pauseMsMax: 500 });
    await asker.finds(node.nodeId);
    await first[Symbol.asyncDispose]();
    let tries = 0;
    const nothing = createServer((socket) => {
      tries++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => nothing.listen(port, "127.0.0.1", resolve));
    cleanups.push(() => nothing.close());
    await asker.until("several tries", () => tries > 3);
    expect(asker.kinds()).toEqual(["lost", "away"]);
    await new Promise((resolve) => nothing.close(resolve));
    const later = entryOf();
    const again = await RawDirectory.start((say) => say({ there: [later], listed: true }), port);
    cleanups.push(() => again[Symbol.asyncDispose]());
    await asker.finds(later.nodeId);
    expect(asker.lost).toEqual([]);
    expect(asker.problems.every((problem) => MeshError.is(problem, "PEER_LOST"))).toBe(true);
  });

  it("forgets after a minute what a directory that began anew has not said again", async () => {
    const [old, kept] = [entryOf(), entryOf()];
    let isFirst = true;
    const directory = await RawDirectory.start((say) => {
      say({ there: isFirst ? [old, kept] : [{ ...kept, epoch: 1 }], listed: true });
      isFirst = false;
    });
    cleanups.push(() => directory[Symbol.asyncDispose]());
    const asker = await Asker.start([directory], { pauseMsMax: 500 });
    await asker.finds(kept.nodeId);
    directory.calls[0]?.connection.close();
    const heard = (epoch: number) => asker.until("it", () => asker.found.at(-1)?.epoch === epoch);
    await heard(1);
    for (let epoch = 2; epoch < 12; epoch++) {
      asker.clock.skip(5_000);
      directory.say({ there: [{ ...kept, epoch }] });
      await heard(epoch);
    }
    expect(asker.lost).toEqual([]);
    asker.clock.skip(11_000);
    expect(asker.lost).toEqual([old.nodeId]);
  });

  it("keeps what it knew when the directory dies again within that minute", async () => {
    const old = entryOf();
    let isFirst = true;
    const directory = await RawDirectory.start((say) => {
      say({ there: isFirst ? [old] : [], listed: true });
      isFirst = false;
    });
    const asker = await Asker.start([directory], { pauseMsMax: 500 });
    await asker.finds(old.nodeId);
    directory.calls[0]?.connection.close();
    await asker.until("a second call", () => (directory.calls[1]?.heard.length ?? 0) > 0);
    await directory[Symbol.asyncDispose]();
    await asker.until("it is away", () => asker.kinds().includes("away"));
    asker.clock.skip(120_000);
    expect(asker.lost).toEqual([]);
  });

  it("leaves a directory that says nothing for a while, and comes back to it", async () => {
    const directory = await lists();
    const asker = await Asker.start([directory]);
    await until("a call", () => directory.calls.length === 1);
    await asker.until("it is given up", () => {
      asker.clock.skip(4_900);
      return asker.kinds().includes("silent");
    });
    await asker.until("another call", () => directory.calls.length > 1);
  });

  it("says again now and then whom it knows, for whoever had no room", async () => {
    const node = entryOf();
    const asker = await Asker.start([await lists(node)]);
    await asker.finds(node.nodeId);
    await asker.until("it again", () => {
      asker.clock.skip(3_000);
      return asker.found.filter(({ nodeId }) => nodeId === node.nodeId).length > 1;
    });
  });
});

describe("a directory that", () => {
  it("refuses is asked seldom, and what it said is reported", async () => {
    const refusal = { code: "WRONG_MESH", message: "this is another" };
    const directory = await RawDirectory.start((say) => say({ refusal }));
    cleanups.push(() => directory[Symbol.asyncDispose]());
    const witness = await lists();
    const asker = await Asker.start([directory, witness], { pauseMsMax: 60_000 });
    await asker.until("the refusal", () => asker.kinds().includes("refused"));
    expect(asker.problems[0]?.message).toContain("WRONG_MESH: this is another");
    // One that has only gone is back twice while this one waits.
    for (const calls of [2, 3]) {
      witness.calls.at(-1)?.connection.close();
      await until("it is back", () => (witness.calls[calls - 1]?.heard.length ?? 0) > 0);
    }
    expect(directory.calls).toHaveLength(1);
    asker.clock.skip(80_000);
    await until("another try", () => directory.calls.length > 1);
  });

  it("invents nodes is believed up to a bound", async () => {
    const directory = await lists();
    const asker = await Asker.start([directory]);
    await until("a call", () => (directory.calls[0]?.heard.length ?? 0) > 0);
    for (let n = 0; n < 20; n++) {
      directory.say({ there: Array.from({ length: 100 }, () => entryOf()) });
    }
    const full = () => asker.counts.get("discovery.directory.full") ?? 0;
    await asker.until("all were heard", () => asker.found.length + full() === 2_000);
    expect(asker.found).toHaveLength(ENTRIES_MAX);
    expect(asker.lost).toEqual([]);
  });

  it("floods is hung up on, and what others say still counts", async () => {
    const node = entryOf();
    const [liar, honest] = [await lists(), await lists(node)];
    const asker = await Asker.start([liar, honest]);
    await until("a call", () => (liar.calls[0]?.heard.length ?? 0) > 0);
    const ids = Array.from({ length: 400 }, () => entryOf().nodeId);
    for (let n = 0; n < 60; n++) liar.say({ gone: [...ids, node.nodeId] });
    await asker.until("it is left", () => asker.kinds().includes("flooded"));
    expect(asker.counts.get("discovery.directory.flooded")).toBe(1);
    await asker.finds(node.nodeId);
    expect(asker.lost).toEqual([]);
  });

  it("says nonsense is hung up on, one that speaks of no node is passed over", async () => {
    const node = entryOf();
    const wrong = [
      entryOf({ nodeId: "nobody" }),
      entryOf({ addresses: ["tcp://127.0.0.1:99999"] }),
      entryOf({ addresses: ["//"] }),
      entryOf({ service: " " }),
    ];
    const directory = await lists(...wrong, node);
    const asker = await Asker.start([directory]);
    await asker.finds(node.nodeId);
    expect(asker.found).toHaveLength(1);
    expect(asker.counts.get("discovery.directory.malformed")).toBe(4);
    directory.sayBytes(Buffer.concat([Buffer.from([0x0a, 0x7f]), randomBytes(20)]));
    await asker.until("it is left", () => asker.kinds().includes("malformed"));
  });

  it("sends more than 64 KiB at once is cut off", async () => {
    const directory = await lists();
    const asker = await Asker.start([directory]);
    await until("a call", () => (directory.calls[0]?.heard.length ?? 0) > 0);
    directory.say({ there: Array.from({ length: 2_000 }, () => entryOf()) });
    await asker.until("it is left", () => asker.kinds().includes("lost"));
    expect(asker.found).toEqual([]);
  });
});

it("addresses of loopback count from a directory on loopback only, a wildcard is the directory's host", () => {
  const addresses = ["tcp://127.0.0.1:1", "unix:///run/a", "tcp://0.0.0.0:2", "tcp://10.0.0.9:3"];
  const entry = entryOf({ addresses });
  const near = { host: "127.0.0.1", isLoopback: true };
  const far = { host: "10.0.0.7", isLoopback: false };
  expect(checkedEntry(entry, near)).toMatchObject({
    addresses: ["tcp://127.0.0.1:1", "unix:///run/a", "tcp://127.0.0.1:2", "tcp://10.0.0.9:3"],
  });
  expect(checkedEntry(entry, far)).toMatchObject({
    addresses: ["tcp://10.0.0.7:2", "tcp://10.0.0.9:3"],
  });
});

it("wrong options are named, all at once", () => {
  const thrown = (run: () => unknown): string => {
    try {
      run();
      return "";
    } catch (error) {
      return MeshError.is(error, "INVALID_OPTIONS") ? error.message : String(error);
    }
  };
  expect(thrown(() => directoryService([]))).toContain("1 to 8");
  const message = thrown(() =>
    directoryService(["host", "zmq://h:1", "h:2"], { timeoutMs: 1, pauseMsMax: 0 }),
  );
  for (const part of ["servers[0]", "servers[1]", "timeoutMs", "pauseMsMax"]) {
    expect(message).toContain(part);
  }
  expect(message).not.toContain("servers[2]");
});
