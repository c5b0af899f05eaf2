/** A node without keys loads nothing of certificates. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";

const dist = (path: string): string =>
  JSON.stringify(join(import.meta.dirname, "../../dist", path));

const PROGRAM = `
import { createRequire } from "node:module";
const { cache } = createRequire(${dist("index.js")});
const loaded = () => Object.keys(cache).filter((path) => /asn1|peculiar/.test(path)).length;
const { createNode } = await import(${dist("index.js")});
const node = await createNode({ service: "plain", dataDir: ":memory:", discovery: [] });
await node.stop();
const without = loaded();
await import(${dist("security/index.js")});
console.log(JSON.stringify({ without, withKeys: loaded() > 0 }));
`;

it("loads no parser of certificates for a node without keys", () => {
  const args = ["--input-type=module", "-e", PROGRAM];
  const said = execFileSync(process.execPath, args, { encoding: "utf8" });
  expect(JSON.parse(said)).toEqual({ without: 0, withKeys: true });
});
