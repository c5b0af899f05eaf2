/**
 * A node that only discovers, as a process: prints one JSON line for everything it hears.
 *
 * argv[2]: JSON of { self, options, secret? }. Lines: {"at","kind":"starting"|"started"|"found"|"lost"|"problem",
 * ...}, where `at` is the wall clock in ms with a fraction. Ends when told "stop" on stdin, or when stdin
 * closes, by running out of things to do: a leak would keep it alive.
 */
import { mdns } from "../../src/discovery/mdns/mdns.ts";
import type { MdnsOptions } from "../../src/discovery/mdns/mdns-options.ts";
import type { Announcement } from "../../src/ports/discovery.ts";
import { contextFor } from "../discovery/discovery-recorder.ts";

const given = JSON.parse(process.argv[2] ?? "{}") as {
  self: Announcement;
  options: MdnsOptions;
  /** Hex, of a node with keys. */
  secret?: string;
};
const secrets = given.secret === undefined ? undefined : [Buffer.from(given.secret, "hex")];
const say = (kind: string, fields: object = {}): void => {
  const at = performance.timeOrigin + performance.now();
  process.stdout.write(`${JSON.stringify({ at, kind, ...fields })}\n`);
};

const discovery = mdns(given.options);
say("starting");
await discovery.start(contextFor(given.self, new Map(), secrets && (() => secrets)), {
  found: (peer) => say("found", peer),
  lost: (nodeId) => say("lost", { nodeId }),
  problem: ({ code, message }) => say("problem", { code, message }),
});
say("started");

let told = "";
for await (const chunk of process.stdin.setEncoding("utf8")) {
  told += String(chunk);
  if (told.includes("stop")) break;
}
await discovery.stop();
say("stopped");
