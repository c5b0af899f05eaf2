/**
 * The import rules are only worth something if breaking one is noticed: each is broken once, in a
 * copy of the sources, and the check must name that rule for that module.
 */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  checkImports,
  type ImportReport,
  loadImportRules,
  MODULE_COUNT_MIN,
} from "../../scripts/import-check.ts";
import { ROOT_PATH, SourceTree } from "./source-tree.ts";

/** [rule, the module that breaks it, what that module imports]; one row at least for every rule. */
const BREACHES: readonly (readonly [rule: string, module: string, imported: string])[] = [
  ["no-cycles", "src/core/planted-cycle-a.ts", "./planted-cycle-b.ts"],
  ["no-unresolvable", "src/mesh/planted-missing.ts", "./planted-nowhere.ts"],
  ["no-dev-dependencies", "src/mesh/planted-dev.ts", "fast-check"],
  ["nothing-outside-src", "src/mesh/planted-test.ts", "../../test/planted.ts"],
  ["known-parts-only", "src/planted/planted.ts", "../errors.ts"],
  ["errors-import-nothing", "src/errors.ts", "./ports/planted.ts"],
  ["ports-import-ports", "src/ports/planted-core.ts", "../core/planted.ts"],
  ["ports-import-ports", "src/ports/planted-node.ts", "node:fs"],
  ["core-imports-core", "src/core/planted-node.ts", "node:fs"],
  ["core-imports-core", "src/core/planted-package.ts", "xxhash-wasm"],
  ["core-imports-core", "src/core/planted-port.ts", "../ports/planted.ts"],
  ["core-imports-core", "src/core/planted-runtime.ts", "../runtime/planted.ts"],
  ["wire-imports-wire", "src/wire/planted-node.ts", "node:zlib"],
  ["wire-imports-wire", "src/wire/planted-core.ts", "../core/planted.ts"],
  ["options-import-downward", "src/options.ts", "./runtime/planted.ts"],
  ["contract-imports-downward", "src/contract/planted-mesh.ts", "../mesh/planted.ts"],
  ["shells-implement-ports", "src/transport/memory/planted-run.ts", "../../runtime/planted.ts"],
  ["shells-implement-ports", "src/observe/planted-mesh.ts", "../mesh/planted.ts"],
  ["shells-apart", "src/discovery/mdns/planted-journal.ts", "../../journal/lmdb/planted.ts"],
  ["shells-apart", "src/security/planted-transport.ts", "../transport/zeromq/planted.ts"],
  ["implementations-apart", "src/transport/memory/planted-zmq.ts", "../zeromq/planted.ts"],
  ["implementations-below", "src/transport/planted-shared.ts", "./zeromq/planted.ts"],
  ["runtime-imports-downward", "src/runtime/planted-mesh.ts", "../mesh/planted.ts"],
  ["runtime-imports-downward", "src/runtime/planted-zmq.ts", "../transport/zeromq/planted.ts"],
  ["runtime-imports-downward", "src/runtime/planted-contract.ts", "../contract/planted.ts"],
  ["mesh-imports-downward", "src/mesh/planted-journal.ts", "../journal/lmdb/planted.ts"],
  ["mesh-imports-downward", "src/mesh/planted-patterns.ts", "../patterns/planted.ts"],
  ["composition-root-imports-downward", "src/mesh/create-node.ts", "../cli/planted.ts"],
  ["patterns-import-the-public-api", "src/patterns/planted-run.ts", "../runtime/planted.ts"],
  ["testing-imports-downward", "src/testing/planted-zmq.ts", "../transport/zeromq/planted.ts"],
  ["gateway-stands-on-the-mesh", "src/gateway/planted-run.ts", "../runtime/planted.ts"],
  ["gateway-stands-on-the-mesh", "src/gateway/planted-zmq.ts", "../transport/zeromq/planted.ts"],
  [
    "directory-service-stands-on-the-mesh",
    "src/directory-service/planted-run.ts",
    "../runtime/planted.ts",
  ],
  [
    "directory-service-stands-on-the-mesh",
    "src/directory-service/planted-zmq.ts",
    "../transport/zeromq/planted.ts",
  ],
  ["tops-apart", "src/patterns/planted-cli.ts", "../cli/planted.ts"],
  ["index-is-the-top", "src/mesh/planted-index.ts", "../index.ts"],
  ["zeromq-behind-its-port", "src/runtime/planted-engine-zmq.ts", "zeromq"],
  ["@grpc/grpc-js-behind-its-port", "src/runtime/planted-engine-grpc.ts", "@grpc/grpc-js"],
  ["@grpc/proto-loader-behind-its-port", "src/mesh/planted-engine-loader.ts", "@grpc/proto-loader"],
  ["lmdb-behind-its-port", "src/mesh/planted-engine-lmdb.ts", "lmdb"],
  ["multicast-dns-behind-its-port", "src/runtime/planted-engine-dns.ts", "multicast-dns"],
  ["@peculiar-behind-its-port", "src/runtime/planted-engine-x509.ts", "@peculiar/asn1-x509"],
];

/** What the breaches import; each is lawful where it stands. */
const TARGETS = [
  "src/core/planted.ts",
  "src/ports/planted.ts",
  "src/contract/planted.ts",
  "src/runtime/planted.ts",
  "src/mesh/planted.ts",
  "src/patterns/planted.ts",
  "src/cli/planted.ts",
  "src/transport/zeromq/planted.ts",
  "src/journal/lmdb/planted.ts",
  "test/planted.ts",
];

/** What the rules must let through, with `import type` counted like any other import. */
const LAWFUL: readonly (readonly [module: string, imported: string])[] = [
  ["src/transport/zeromq/lawful.ts", "../../ports/planted.ts"],
  ["src/transport/zeromq/lawful-engine.ts", "zeromq"],
  ["src/journal/lmdb/lawful.ts", "../../core/planted.ts"],
  ["src/runtime/lawful.ts", "../core/planted.ts"],
  ["src/mesh/lawful.ts", "../runtime/planted.ts"],
  ["src/patterns/lawful.ts", "../mesh/planted.ts"],
  ["src/gateway/lawful.ts", "../mesh/planted.ts"],
  ["src/gateway/lawful-engine.ts", "@grpc/grpc-js"],
  ["src/testing/lawful.ts", "../runtime/planted.ts"],
  ["src/cli/lawful.ts", "../admin/lawful.ts"],
  ["src/admin/lawful.ts", "../mesh/planted.ts"],
];

const source = (imported: string): string => `import "${imported}";\nexport {};\n`;

async function plantAll(tree: SourceTree): Promise<void> {
  for (const path of TARGETS) await tree.plant(path, "export const planted = 1;\n");
  for (const [path, imported] of LAWFUL) await tree.plant(path, source(imported));
  for (const [, path, imported] of BREACHES) await tree.plant(path, source(imported));
  await tree.plant("src/core/planted-cycle-b.ts", source("./planted-cycle-a.ts"));
  await tree.plant(
    "src/core/planted-type-only.ts",
    'import type { planted } from "../runtime/planted.ts";\nexport type P = typeof planted;\n',
  );
}

describe("the import rules", () => {
  let report: ImportReport;
  let tree: SourceTree;

  beforeAll(async () => {
    tree = await SourceTree.copy();
    await plantAll(tree);
    report = await checkImports(tree.path, await loadImportRules(ROOT_PATH));
  });

  afterAll(async () => {
    await tree[Symbol.asyncDispose]();
  });

  it("find nothing in the sources as they are, having read them", async () => {
    await using clean = await SourceTree.copy();
    const found = await checkImports(clean.path, await loadImportRules(ROOT_PATH));
    expect(found.violations).toEqual([]);
    expect(found.moduleCount).toBeGreaterThan(MODULE_COUNT_MIN);
  });

  it.each(BREACHES)("%s catches %s importing %s", (rule, from) => {
    expect(report.violations.filter((found) => found.from === from)).toContainEqual(
      expect.objectContaining({ rule }),
    );
  });

  it("count an import of types like any other", () => {
    expect(report.violations).toContainEqual(
      expect.objectContaining({ rule: "core-imports-core", from: "src/core/planted-type-only.ts" }),
    );
  });

  it.each(LAWFUL)("let %s import %s", (from) => {
    expect(report.violations.filter((found) => found.from === from)).toEqual([]);
  });

  it("are each broken by a row of this test", async () => {
    const { forbidden } = await loadImportRules(ROOT_PATH);
    const broken = new Set(BREACHES.map(([rule]) => rule));
    expect(forbidden.map((rule) => rule.name).filter((name) => !broken.has(name ?? ""))).toEqual(
      [],
    );
  });
});
