/** What the doctor says of contracts, about nodes in processes of their own. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { ChildNode } from "./child-node.ts";
import { call, examine, found } from "./doctor-run.ts";
import { ALL, SecuredWorld } from "./secured-world.ts";
import { type World, worlds } from "./world.ts";

const world = worlds(afterEach);
const PLACED = "order.placed";
const INDEX = new URL("../../dist/index.js", import.meta.url).href;

/** Takes version 1 of the event, in its own group. */
const billing = async (mesh: World, name = "billing"): Promise<ChildNode> => {
  const node = await mesh.start(name);
  const contract = { version: 1 };
  await node.listen({ name: "placed", verb: "subscribe", subject: PLACED, contract });
  return node;
};

const asks = (mesh: World, peers: readonly ChildNode[]) => {
  const named = peers.flatMap(({ address }) => ["--peer", address]);
  const where = ["--mesh", mesh.mesh, "--data-dir", join(mesh.folder, "new"), ...named];
  return (...args: string[]) => examine(...where, ...args);
};

describe("the doctor on contracts", () => {
  it("says that a peer reads another version, and is content with one that it reads", async () => {
    const mesh = await world();
    const peer = await billing(mesh);
    const ask = asks(mesh, [peer]);
    const other = await ask("--subject", PLACED, "--contract-version", "2");
    expect(other).toMatchObject({ code: 1, problems: 1 });
    expect(found(other, "contract", "problem")).toEqual([
      `billing ${peer.id} takes "order.placed" in group "billing" and reads version 1, not version 2: a message becomes a dead letter at the node that sent it (CONTRACT_MISMATCH) -> upgrade that handler, or let it read both: accepts: [1, 2]`,
    ]);
    const same = await ask("--subject", PLACED, "--contract-version", "1");
    expect(same).toMatchObject({ code: 0, problems: 0 });
    expect(found(same, "contract", "ok")).toEqual([
      `billing ${peer.id} takes "order.placed" in group "billing" and reads version 1; yours is 1`,
    ]);
    const none = await ask("--subject", PLACED);
    expect(found(none, "contract", "warning")[0]).toMatch(/yours has none.* -> give the contract/);
  });

  it("takes contracts from a module, and tells commands and queries from events", async () => {
    const mesh = await world();
    const peer = await billing(mesh);
    const contract = { version: 3, accepts: [2, 3] } as const;
    await peer.listen({ name: "price", verb: "reply", subject: "pricing.quote", contract });
    const file = join(mesh.folder, "contracts.mjs");
    await writeFile(
      file,
      `import { command, event, query } from ${JSON.stringify(INDEX)};
       export const Placed = event("order.placed", { version: 1 });
       export const Place = command("order.placed", { version: 1 });
       export const Quote = query("pricing.quote", { version: 4 });
       export const Fits = query("pricing.quote", { version: 2 });
       export const other = "no contract";`,
    );
    const report = await asks(mesh, [peer])("--contracts", file);
    expect(found(report, "contract", "ok")).toHaveLength(2);
    expect(found(report, "contract", "problem").sort()).toEqual([
      expect.stringMatching(
        /takes "order.placed" as an event, not as a command -> say it with publish/,
      ),
      expect.stringMatching(/reads versions 2 to 3, not version 4: a question fails there/),
    ]);
  });

  it("says that nobody takes a subject, and names what is close to it", async () => {
    const mesh = await world();
    const peer = await billing(mesh);
    const ask = asks(mesh, [peer]);
    for (const subject of ["order.Placed", "orders.placed", "order.placed.eu", "order"]) {
      const [said = ""] = found(await ask("--subject", subject), "contract", "problem");
      expect(said).toContain(`nobody takes "${subject}"; close to it: "order.placed" by billing`);
      expect(said).toContain("-> correct the subject or the pattern");
    }
    const [far = ""] = found(await ask("--subject", "stock.counted"), "contract", "problem");
    expect(far).toContain(`does not take "stock.counted" as an event -> does the service`);
    const nobody = await asks(mesh, [])("--subject", PLACED);
    expect(found(nobody, "contract", "problem")[0]).toMatch(/nobody was greeted .* -> name a node/);
  });

  it("says that it is taken in another group, and by which pattern", async () => {
    const mesh = await world();
    const peer = await mesh.start("billing");
    await peer.listen({ name: "all", verb: "subscribe", subject: "order.>" });
    const ask = asks(mesh, [peer]);
    const wrong = await ask("--subject", PLACED, "--group", "invoicing");
    expect(found(wrong, "contract", "problem")).toEqual([
      `"order.placed" is taken in group "billing", not in "invoicing" -> compare the option group of subscribe(); without it the group is the service's name`,
    ]);
    const right = await ask("--subject", PLACED, "--group", "billing");
    expect(found(right, "contract", "ok")[0]).toContain(
      `takes "order.placed" by "order.>" in group "billing" and reads any version`,
    );
  });

  it("tells, asked for nothing, what was refused already and which members read differently", async () => {
    const mesh = await world();
    const [orders, old] = [await mesh.start("orders"), await billing(mesh)];
    await mesh.link(orders, old);
    await orders.publish(PLACED, 1, { contract: { version: 2 } });
    await orders.settled("event billing order.placed", 1);
    const young = await mesh.start("young");
    await young.listen({
      ...{ name: "placed", verb: "subscribe", subject: PLACED, options: { group: "billing" } },
      contract: { version: 2 },
    });
    const report = await asks(mesh, [orders, old, young])();
    expect(report.code).toBe(0);
    expect(found(report, "contract", "warning")).toEqual([
      expect.stringMatching(
        `group "billing" read "order.placed" differently: version 1 by billing ${old.id}, version 2 by young ${young.id} ->`,
      ),
      expect.stringMatching(
        `orders ${orders.id} keeps a message that group "billing" refused: CONTRACT_MISMATCH: message of version 2 .* whose handler reads version 1 ->`,
      ),
    ]);
  });

  it("greets a mesh with keys by keys of a service of its own", async () => {
    const secured = new SecuredWorld(await world());
    const { mesh, folder } = secured.world;
    const orders = await secured.start("orders", ALL);
    const peer = await secured.start("billing", ALL);
    const contract = { version: 1 };
    await peer.listen({ name: "placed", verb: "subscribe", subject: PLACED, contract });
    const own = secured.folderOf("doctor", { allow: {}, admin: "read" });
    const args = ["--mesh", mesh, "--data-dir", join(folder, "new"), "--subject", PLACED];
    const peers = ["--peer", peer.address, "--peer", orders.address, "--contract-version", "2"];
    for (const run of ["first", "again"]) {
      const report = await examine(...args, ...peers, "--keys", own);
      expect(found(report, "greeting", "ok"), run).toHaveLength(2);
      expect(found(report, "contract", "problem")[0]).toMatch("reads version 1, not version 2");
    }
    const running = await examine(...args, ...peers, "--keys", secured.folderOf("orders"));
    expect(found(running, "contract", "problem")[0]).toMatch(/--service doctor/);
  });

  it("refuses arguments that say nothing", async () => {
    const wrong = [
      [["--subject", "a..b"], "empty token"],
      [["--subject", "a", "--contract-version", "x"], "version"],
      [["--subject", "a", "--kind", "fact"], "is none of event, command, query"],
      [["--contract-version", "2"], "says more of --subject"],
      [["--group", "billing"], "name one"],
      [["--contracts", "/nowhere/contracts.js"], "cannot be loaded"],
      [["--contracts", INDEX.replace("file://", "")], "exports no contract"],
    ] as const;
    for (const [args, said] of wrong) {
      expect(await call("doctor", ...args)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(said),
      });
    }
  });
});
