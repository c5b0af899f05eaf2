/** Encrypted fields through a real node: journal on disk, retries, dead letters, forgetting. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import {
  createNode,
  encrypted,
  event,
  isErased,
  json,
  type KeyRing,
  keyRing,
  type LogFields,
  type MeshNode,
  openField,
  protobuf,
  query,
  sealField,
  Unrecoverable,
} from "../../src/index.ts";
import { until } from "../integration/until.ts";

const SECRET = "Ada-Lovelace-of-12-St-James";
let folder: string;
let keys: KeyRing;
let node: MeshNode;
const logged: string[] = [];

const log = (message: string, fields?: LogFields): void => {
  const shown = Object.entries(fields ?? {}).map(([name, value]) =>
    value instanceof Error
      ? `${name} ${value.stack} ${String(value.cause)}`
      : `${name} ${JSON.stringify(value)}`,
  );
  logged.push(`${message} ${shown.join(" ")}`);
};

const Moved = event("customer.moved", {
  schema: encrypted(z.object({ id: z.string(), name: z.string(), city: z.string() }), {
    fields: ["name"],
    keys: () => keys,
    subjectOf: ({ id }) => id,
  }),
  key: ({ id }) => id,
});

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "meshbus-fields-"));
  keys = keyRing({ folder: join(folder, "ring") });
  logged.length = 0;
  node = await createNode({
    service: "orders",
    dataDir: join(folder, "data"),
    discovery: [],
    logger: { debug: log, info: log, warn: log, error: log },
    retry: { attempts: 2, baseMs: 0, capMs: 0 },
  });
});
afterEach(async () => {
  await node.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** All that is on the disk; it must hold what is not encrypted, or it was not looked at. */
const diskText = (): string => {
  const data = join(folder, "data");
  const files = readdirSync(data, { withFileTypes: true, recursive: true }).filter((entry) =>
    entry.isFile(),
  );
  const text = files
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name), "latin1"))
    .join();
  expect(text).toContain("customer.");
  return text;
};

describe("encrypted fields in a node", () => {
  it("reach the handler plain, and lie on the disk as ciphertext", async () => {
    const heard: unknown[] = [];
    await node.subscribe(Moved, (data) => void heard.push(data), { durable: true });
    const value = { id: "c-1", name: SECRET, city: "London" };
    await node.publish(Moved, value);
    await until("the handler has it", () => heard.length === 1);
    expect(heard).toEqual([value]);
    const text = diskText();
    expect(text).toContain("London");
    expect(text).not.toContain(SECRET);
  });

  it("show in no dead letter, error or line of the log, though handlers repeat them", async () => {
    await node.subscribe(Moved, (data) => {
      throw new Error(`no such customer: ${data.name}`, { cause: new Error(data.name) });
    });
    await node.subscribe(
      Moved,
      async (data) => {
        await Promise.resolve();
        throw new Unrecoverable(`cannot take ${data.name} of ${data.city}`);
      },
      { group: "second" },
    );
    await node.publish(Moved, { id: "c-1", name: SECRET, city: "London" });
    await until("both gave up", async () => (await node.deadLetters.list()).length === 2);
    const list = await node.deadLetters.list();
    const bodies = await Promise.all(list.map(({ id }) => node.deadLetters.get(id)));
    const shown = JSON.stringify([list, bodies]);
    expect(shown).not.toContain(SECRET);
    expect(shown).toContain("no such customer: [encrypted]");
    expect(shown).toContain("cannot take [encrypted] of London");
    expect(logged.join("\n")).not.toContain(SECRET);
    expect(diskText()).not.toContain(SECRET);
  });

  it("read as erased when the person was forgotten, also in a dead letter that is replayed", async () => {
    const heard: { name: unknown }[] = [];
    let isBroken = true;
    await node.subscribe(Moved, (data) => {
      if (isBroken) throw new Unrecoverable("not yet");
      heard.push(data);
    });
    await node.publish(Moved, { id: "c-1", name: SECRET, city: "London" });
    await node.publish(Moved, { id: "c-2", name: "Charles", city: "London" });
    await until("both are dead letters", async () => (await node.deadLetters.list()).length === 2);
    keys.forget("c-1");
    isBroken = false;
    expect(await node.deadLetters.replay({})).toBe(2);
    await until("both are handled", () => heard.length === 2);
    expect(heard.filter(({ name }) => isErased(name))).toHaveLength(1);
    expect(heard.map(({ name }) => `${name}`).sort()).toEqual(["Charles", "[erased]"]);
    const refused = node.publish(Moved, { id: "c-1", name: SECRET, city: "Paris" });
    await expect(refused).rejects.toMatchObject({ code: "SCHEMA_VIOLATION" });
  });

  it("go to and fro in requests, and a failing reply repeats none of them", async () => {
    const Get = query("customer.get", {
      request: encrypted(json<{ name: string }>(), { fields: ["name"], keys: () => keys }),
      reply: encrypted(json<{ name: string; age: number }>(), {
        fields: ["name"],
        keys: () => keys,
      }),
    });
    await node.reply(Get, ({ name }) => {
      if (name !== SECRET) throw new Error(`nobody is called ${name}`);
      return { name, age: 36 };
    });
    expect(await node.request(Get, { name: SECRET })).toEqual({ name: SECRET, age: 36 });
    const failing = node.request(Get, { name: "Somebody-else" });
    await expect(failing).rejects.toThrow("nobody is called [encrypted]");
  });

  it("are sealed by hand where a contract is protobuf", async () => {
    const type = {
      encode: (message: { name: Uint8Array }) => ({ finish: () => message.name }),
      decode: (name: Uint8Array) => ({ name }),
    };
    const Named = event("customer.named", { schema: protobuf(type) });
    const place = "customer.named/name";
    const heard: unknown[] = [];
    await node.subscribe(Named, ({ name }) => {
      const plain = openField(keys, place, name);
      heard.push(isErased(plain) ? plain.reason : Buffer.from(plain).toString());
    });
    await node.publish(Named, { name: sealField(keys, "c-1", place, Buffer.from(SECRET)) });
    await until("the handler has it", () => heard.length === 1);
    expect(heard).toEqual([SECRET]);
    expect(diskText()).not.toContain(SECRET);
  });
});
