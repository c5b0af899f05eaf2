/**
 * The package as it is installed, beside a package below it that is older than the floor: what would use it does not
 * start, what does not need it does.
 */
import { execFile } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import { ROOT_PATH } from "../project/source-tree.ts";

const TEST_MS = 240_000;
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A project that has meshbus installed, and in `older` packages of an older version. */
const projectWith = (older: Readonly<Record<string, string>>): string => {
  const folder = mkdtempSync(join(tmpdir(), "meshbus-older-"));
  folders.push(folder);
  const modules = join(folder, "node_modules");
  mkdirSync(modules);
  const installed = join(ROOT_PATH, "node_modules");
  for (const name of readdirSync(installed)) {
    if (!name.startsWith(".") && name !== "@grpc" && name !== "meshbus")
      symlinkSync(join(installed, name), join(modules, name));
  }
  cpSync(join(installed, "@grpc"), join(modules, "@grpc"), { recursive: true });
  for (const part of ["package.json", "dist", "proto"])
    cpSync(join(ROOT_PATH, part), join(modules, "meshbus", part), { recursive: true });
  for (const [path, version] of Object.entries(older)) {
    const manifest = join(modules, path, "package.json");
    const parsed = JSON.parse(readFileSync(manifest, "utf8")) as object;
    writeFileSync(manifest, JSON.stringify({ ...parsed, version }));
  }
  return folder;
};

/** What a program says there. */
const run = async (folder: string, program: string): Promise<unknown> => {
  writeFileSync(join(folder, "main.mjs"), program);
  const { stdout } = await promisify(execFile)(process.execPath, ["main.mjs"], { cwd: folder });
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
};

const TOLD = `.then(
  (started) => started.stop().then(() => ({ code: "started" })),
  ({ code, message, details }) => ({ code, message, details }),
)`;
const nodeWith = (transports: string): string => `
  import { createNode } from "meshbus";
  import { grpc } from "meshbus/grpc";
  const options = { service: "a", dataDir: ":memory:", discovery: [], ${transports} };
  console.log(JSON.stringify(await createNode(options)${TOLD}));
`;
const GATEWAY = `
  import { createNode } from "meshbus";
  import { serveGateway } from "meshbus/gateway";
  const node = await createNode({ service: "a", dataDir: ":memory:", discovery: [] });
  console.log(JSON.stringify(await serveGateway(node)${TOLD}));
  await node.stop();
`;
const PROTOBUFJS = "@grpc/proto-loader/node_modules/protobufjs";

describe("an older @grpc/grpc-js", () => {
  it(
    "keeps gRPC from starting, by name, and nothing else",
    async () => {
      const folder = projectWith({ "@grpc/grpc-js": "1.14.3" });
      const refused = await run(folder, nodeWith("transports: [grpc()]"));
      const details = { package: "@grpc/grpc-js", found: "1.14.3", needed: "1.14.4" };
      expect(refused).toMatchObject({ code: "FAULTY_DEPENDENCY", details });
      expect(JSON.stringify(refused)).toContain("install 1.14.4 or newer");
      expect(await run(folder, GATEWAY)).toMatchObject({ code: "FAULTY_DEPENDENCY", details });
      expect(await run(folder, nodeWith(""))).toEqual({ code: "started" });
    },
    TEST_MS,
  );
});

describe("an older protobufjs", () => {
  it(
    "keeps the gateway from starting, and not what does not load it",
    async () => {
      const folder = projectWith({ [PROTOBUFJS]: "7.5.4" });
      const details = { package: "protobufjs", found: "7.5.4", needed: "7.6.1" };
      expect(await run(folder, GATEWAY)).toMatchObject({ code: "FAULTY_DEPENDENCY", details });
      expect(await run(folder, nodeWith("transports: [grpc()]"))).toEqual({ code: "started" });
    },
    TEST_MS,
  );

  it(
    "is what is installed here when it starts",
    async () => {
      expect(await run(projectWith({}), GATEWAY)).toEqual({ code: "started" });
    },
    TEST_MS,
  );
});
