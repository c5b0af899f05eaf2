/** All ways to hear of peers at once: each finds who only it knows, and none of them keeps a node from starting. */
import { afterEach, expect, it } from "vitest";
import { NameServer } from "../discovery/dns/name-server.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);
const NAME = "named.test";

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(":") + 1));

it("finds one node each by its address, multicast, a name and a directory", async () => {
  const mesh = await world();
  await using server = await NameServer.start();
  const host = "127.0.0.21";
  const [fixed, cast, named, directory] = await Promise.all([
    mesh.start("fixed"),
    mesh.start("cast", { mdns: true }),
    mesh.start("named", { node: { listen: { host, port: 0 } } }),
    mesh.start("directory"),
  ]);
  server.records = { [`A ${NAME}`]: [host] };
  const directories = [(await directory.call({ op: "directory" })) as string];
  const listed = await mesh.start("listed", { directories });
  const hub = await mesh.start("hub", {
    ...{ peers: [fixed.address], mdns: true, directories },
    dns: { name: NAME, port: portOf(named.address), server: server.address },
  });
  await Promise.all([fixed, cast, named, listed].map((node) => hub.meets(node)));
  expect(server.asked).toContain(`A ${NAME}`);
  // Whoever knew nobody was found, and hears of the rest through the one that found it.
  await Promise.all([fixed.meets(named), cast.meets(listed), named.meets(cast)]);
});

it("starts, accepts and answers to its address although none of them works", async () => {
  const mesh = await world();
  await using server = await NameServer.start();
  server.mode = "silent";
  const gone = await mesh.start("gone");
  const directory = (await gone.call({ op: "directory" })) as string;
  await gone.kill();
  const alone = await mesh.start("alone", {
    ...{ peers: [gone.address], mdns: true, directories: [directory] },
    dns: { name: NAME, port: portOf(gone.address), server: server.address },
  });
  await alone.publish("sale.made", 1);
  expect(await alone.call({ op: "health" })).toMatchObject({ ready: true });
  const other = await mesh.start("other", { peers: [alone.address] });
  await other.meets(alone);
  await alone.sees("the directory is missed", () => {
    return alone.happened("status", "discovery-problem").length > 0;
  });
});
