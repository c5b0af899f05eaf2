import { expect, it } from "vitest";
import { Lease } from "../../src/core/lease.ts";
import { MemberView } from "../../src/core/member-view.ts";

const view = (...ids: string[]): MemberView => {
  const made = new MemberView({ leaseMs: 1_000, debounceMs: 250 }, 0);
  for (const id of ids) made.joined(id, 7, 1, 0);
  return made;
};

it("counts a lost member as dead after 1.1 leases, and not before", () => {
  const seen = view("a", "b");
  seen.lost("b", 100);
  expect(seen.stateOf("b", 9_000)).toBe("waiting"); // its event loop may be blocked
  expect(seen.nextDeathMs(100)).toBe(Infinity);
  seen.died("b");
  expect(seen.stateOf("b", 1_199)).toBe("waiting");
  expect(seen.nextDeathMs(100)).toBe(1_200);
  expect(seen.stateOf("b", 1_200)).toBe("dead");
  expect(seen.candidates(1_199).map(({ id }) => id)).toEqual(["a", "b"]);
  expect(seen.candidates(1_200).map(({ id }) => id)).toEqual(["a"]);
  expect(seen.changedMs).toBe(1_200);
});

it("lets a member live as long as a linked peer is linked with it", () => {
  const seen = view("a", "b", "c");
  seen.reported("c", ["a", "b"], 0);
  seen.lost("b", 100);
  seen.died("b");
  expect(seen.stateOf("b", 50_000)).toBe("alive");
  seen.reported("c", ["a"], 60_000);
  expect(seen.stateOf("b", 61_099)).toBe("waiting");
  expect(seen.stateOf("b", 61_100)).toBe("dead");
});

it("forgets what a peer said when its link is gone", () => {
  const seen = view("a", "b");
  seen.reported("p", ["b"], 0);
  seen.lost("b", 0);
  seen.died("b");
  seen.reporterGone("p", 500);
  expect(seen.stateOf("b", 1_599)).toBe("waiting");
  expect(seen.stateOf("b", 1_600)).toBe("dead");
});

it("believes a goodbye at once, whatever others still say, until they say it anew", () => {
  const seen = view("a", "b");
  seen.reported("p", ["a", "b"], 0);
  seen.left("b", 100);
  expect(seen.stateOf("b", 100)).toBe("dead");
  expect(seen.linked()).toEqual(["a"]);
  seen.reported("p", ["a", "b"], 200);
  expect(seen.stateOf("b", 200)).toBe("alive");
});

it("gives a new life one debounce to join before the old one's shards are free", () => {
  const seen = view("a", "b");
  seen.restarted("b", 100);
  expect(seen.stateOf("b", 349)).toBe("waiting");
  expect(seen.stateOf("b", 350)).toBe("dead");
  seen.joined("b", 7, 1, 360);
  expect(seen.stateOf("b", 400)).toBe("alive");
});

it("starts the time of an unknown holder when it is first looked at", () => {
  const seen = view("a");
  expect(seen.stateOf("x", 10_000)).toBe("waiting");
  seen.watch("x", 10_000);
  seen.watch("x", 10_900);
  expect(seen.stateOf("x", 11_100)).toBe("dead");
  seen.heardOf("x", 20_000);
  expect(seen.stateOf("x", 21_000)).toBe("waiting");
  expect(seen.hasOthers("a", 20_000)).toBe(false); // it never was a member here
});

it("does not count a draining member as one that can own shards", () => {
  const seen = view("a", "b");
  seen.drains("b");
  expect(seen.candidates(10).map(({ id }) => id)).toEqual(["a"]);
  expect(seen.stateOf("b", 10)).toBe("alive");
});

it("ends a lease so long after the heartbeat that was answered was sent", () => {
  const lease = new Lease(1_000);
  expect(lease.isValid(0)).toBe(false);
  lease.answered(500);
  lease.answered(400); // an older answer that comes late
  expect(lease.isValid(1_500)).toBe(true);
  expect(lease.isValid(1_501)).toBe(false);
});
