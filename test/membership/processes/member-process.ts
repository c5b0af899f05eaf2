/**
 * A node that does nothing but be a member, and says what it takes others for. It may block its own event loop,
 * four parts of five of the time.
 */
import { writeSync } from "node:fs";
import { createNode, staticPeers, stream } from "meshbus";
import { type DeathBy, type MemberSaid, type MemberSpec, nowMs } from "./member-said.ts";

const LOOK_MS = 25;
const STOOD_MS = 500;
const BLOCKED_PART = 0.8;

const spec = JSON.parse(process.argv[2] ?? "") as MemberSpec;

const say = (said: MemberSaid): void => void writeSync(1, `${JSON.stringify(said)}\n`);

const node = await createNode({
  service: "member",
  mesh: spec.mesh,
  dataDir: ":memory:",
  discovery: [staticPeers([...spec.seeds])],
  transports: [stream()],
  membership: "lan",
});
say({ e: "ready", id: node.id, address: node.addresses[0] ?? "" });

let linked = 0;
let counts = "";
let lookedMs = nowMs();
/** What was said already: "lease <id>". */
const dead = new Set<string>();

const note = (of: string, by: DeathBy, isDead: boolean, atMs: number): void => {
  const name = `${by} ${of}`;
  if (!isDead) dead.delete(name);
  else if (!dead.has(name)) {
    dead.add(name);
    say({ e: "dead", of, by, atMs });
  }
};

const look = (): void => {
  const atMs = nowMs();
  // A look that a block of its own held up is no surprise.
  const late = atMs - lookedMs - LOOK_MS;
  if (spec.blockMs === 0 && late > STOOD_MS) say({ e: "stood", ms: late });
  lookedMs = atMs;
  const peers = node.peers();
  for (const { nodeId, state, membership } of peers) {
    note(nodeId, "lease", state === "dead", atMs);
    note(nodeId, "mesh", membership === "dead", atMs);
  }
  const { length } = peers.filter(({ transport }) => transport !== "");
  if (length !== linked) say({ e: "linked", count: length });
  linked = length;
  const counters = node.counters();
  const suspected = counters["membership.suspected"] ?? 0;
  const died = counters["membership.died"] ?? 0;
  if (`${suspected} ${died}` !== counts) say({ e: "count", suspected, died });
  counts = `${suspected} ${died}`;
};
setInterval(look, LOOK_MS);

const block = (): void => {
  const endMs = performance.now() + spec.blockMs;
  while (performance.now() < endMs);
  setTimeout(block, (spec.blockMs * (1 - BLOCKED_PART)) / BLOCKED_PART);
};

// Told to begin when all are linked; the run that started it ends it, or it ends with that.
process.stdin.on("data", () => {
  if (spec.blockMs > 0) block();
});
process.stdin.on("end", () => process.exit(0));
