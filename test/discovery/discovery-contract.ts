/** What every discovery must do, whatever its method. Run by each implementation's tests. */
import { expect, it } from "vitest";
import type { Announcement, Discovery } from "../../src/ports/discovery.ts";
import { ownClock } from "../own-clock.ts";
import { announcement, Recorder } from "./discovery-recorder.ts";

export type DiscoverySubject = {
  /** A discovery that will find `peer` once `makePeerVisible` has resolved. */
  make(): Discovery;
  readonly self: Announcement;
  /** Makes a peer findable; returns how to end it. */
  makePeerVisible(): Promise<() => Promise<void>>;
};

/** The names and bodies of the cases, so that a broken implementation can be shown to fail them. */
export const contractCases: Readonly<Record<string, (subject: DiscoverySubject) => Promise<void>>> =
  {
    "start resolves within 500 ms": async ({ make, self }) => {
      await using node = new Recorder(make(), self);
      const startedMs = ownClock.monotonicMs();
      await node.start();
      expect(ownClock.monotonicMs() - startedMs).toBeLessThan(500);
    },
    "names itself as the source of what it finds, with dialable addresses": async (subject) => {
      const discovery = subject.make();
      await using node = await new Recorder(discovery, subject.self).start();
      const end = await subject.makePeerVisible();
      try {
        await node.until("a peer", () => node.found.length > 0);
        for (const peer of node.found) {
          expect(peer.source).toBe(discovery.name);
          expect(peer.addresses.length).toBeGreaterThan(0);
          for (const address of peer.addresses) expect(address).toMatch(/^[a-z]+:\/\/./);
        }
      } finally {
        await end();
      }
    },
    "never reports the node itself": async (subject) => {
      await using node = await new Recorder(subject.make(), subject.self).start();
      const end = await subject.makePeerVisible();
      try {
        await node.until("a peer", () => node.found.length > 0);
        const own = subject.self.addresses;
        expect(node.knows(subject.self.nodeId)).toBe(false);
        expect(
          node.found.flatMap((peer) => peer.addresses).some((each) => own.includes(each)),
        ).toBe(false);
      } finally {
        await end();
      }
    },
    "says nothing after stop, which may be called twice": async (subject) => {
      const node = await new Recorder(subject.make(), subject.self).start();
      await Promise.all([node.stop(), node.stop()]);
      const heard = node.found.length + node.lost.length + node.problems.length;
      // A witness that starts after the stop: what reaches it would have reached the stopped one too.
      await using witness = await new Recorder(
        subject.make(),
        announcement({ ...subject.self }),
      ).start();
      const end = await subject.makePeerVisible();
      try {
        await witness.until("the witness sees the peer", () => witness.found.length > 0);
      } finally {
        await end();
      }
      expect(node.found.length + node.lost.length + node.problems.length).toBe(heard);
      await node.stop();
    },
    "starts again after a stop": async (subject) => {
      const node = new Recorder(subject.make(), subject.self);
      await node.start();
      await node.stop();
      const before = node.found.length;
      await node.start();
      const end = await subject.makePeerVisible();
      try {
        await node.until("a peer in the second life", () => node.found.length > before);
      } finally {
        await end();
        await node.stop();
      }
    },
  };

export function describesDiscovery(subject: () => DiscoverySubject): void {
  for (const [name, body] of Object.entries(contractCases)) it(name, () => body(subject()));
}
