/**
 * The core must give the same answer to the same input, and no promise may float: both are lint
 * rules, and each is broken here once, in a copy of the sources, to see that it is caught.
 */

import { join } from "node:path";
import { ESLint } from "eslint";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ROOT_PATH, SourceTree } from "./source-tree.ts";

const PURE_BREACHES: readonly (readonly [what: string, rule: string, code: string])[] = [
  ["Date.now", "no-restricted-globals", "export const x = (): number => Date.now();"],
  ["a timer", "no-restricted-globals", "export const x = () => setTimeout(() => {}, 1);"],
  ["a microtask", "no-restricted-globals", "export const x = () => queueMicrotask(() => {});"],
  ["Math.random", "no-restricted-properties", "export const x = (): number => Math.random();"],
  ["the environment", "no-restricted-globals", "export const x = () => process.env;"],
  ["global crypto", "no-restricted-globals", "export const x = () => crypto.randomUUID();"],
  ["a way around by globalThis", "no-restricted-globals", "export const x = () => globalThis;"],
  ["a Node built-in", "no-restricted-imports", 'export { hash } from "node:crypto";'],
  ["a package", "no-restricted-imports", 'export { unpack } from "msgpackr";'],
];

const CORE_BREACHES: typeof PURE_BREACHES = [
  ["an async function", "no-restricted-syntax", "export async function x(): Promise<void> {}"],
  ["a promise", "no-restricted-globals", "export const x = () => Promise.resolve(1);"],
  ["Node's Buffer", "no-restricted-globals", "export const x = () => Buffer.alloc(1);"],
  ["a dynamic import", "no-restricted-syntax", 'export const x = () => import("../errors.ts");'],
];

const FLOATING = "@typescript-eslint/no-floating-promises";
const MISUSED = "@typescript-eslint/no-misused-promises";
const SWITCH = "@typescript-eslint/switch-exhaustiveness-check";
const work = "async function work(): Promise<void> {}\n";
const store = 'import { open } from "lmdb";\nconst db = open({ path: "x" });\n';

const PROMISE_BREACHES: typeof PURE_BREACHES = [
  ["a call left alone", FLOATING, `${work}export function x(): void { work(); }`],
  ["a chain with no catch", FLOATING, `${work}export const x = () => { work().then(() => {}); };`],
  ["a package's promise", FLOATING, `${store}export function x(): void { db.put("a", 1); }`],
  ["Promise.all left alone", FLOATING, `${work}export const x = () => { Promise.all([work()]); };`],
  ["an async listener", MISUSED, `${work}setTimeout(async () => { await work(); }, 1);`],
  ["a promise as a condition", MISUSED, `${work}export const x = () => (work() ? 1 : 2);`],
  [
    "a switch that misses a state",
    SWITCH,
    'export function x(s: "up" | "down"): void { switch (s) { case "up": return; } }',
  ],
];

const LAWFUL = [
  "export const x = (now: number, random: () => number): number => now + Math.floor(random());",
  "export const y = (): Uint8Array => new Uint8Array(new TextEncoder().encode('a'));",
].join("\n");

/** Each breach in a module of its own: [what, rule, file]. */
const planted = (layer: string, breaches: typeof PURE_BREACHES) =>
  breaches.map(([what, rule, code], index) => ({
    what,
    rule,
    code,
    file: `src/${layer}/planted-${index}.ts`,
  }));

const CASES = [
  ...planted("core", [...PURE_BREACHES, ...CORE_BREACHES]),
  ...planted("wire", PURE_BREACHES),
  ...planted("runtime", PROMISE_BREACHES),
];

describe("the rules of purity and of promises", () => {
  let tree: SourceTree;
  const rulesOf = new Map<string, string[]>();

  beforeAll(async () => {
    tree = await SourceTree.copy();
    for (const { file, code } of CASES) await tree.plant(file, `${code}\nexport {};\n`);
    await tree.plant("src/core/lawful.ts", LAWFUL);
    const lint = new ESLint({
      cwd: tree.path,
      overrideConfigFile: join(ROOT_PATH, "eslint.config.js"),
    });
    for (const { filePath, messages } of await lint.lintFiles([
      "src/**/planted-*.ts",
      "src/core",
    ])) {
      const file = filePath.slice(tree.path.length + 1);
      rulesOf.set(
        file,
        messages.map((message) => message.ruleId ?? message.message),
      );
    }
  });

  afterAll(async () => {
    await tree[Symbol.asyncDispose]();
  });

  it.each(CASES)("catch $what in $file", ({ file, rule }) => {
    expect(rulesOf.get(file)).toContain(rule);
  });

  it("let pure code pass", () => {
    expect(rulesOf.get("src/core/lawful.ts")).toEqual([]);
  });
});
