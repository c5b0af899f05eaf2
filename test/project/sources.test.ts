/** Rules of style that no linter here knows: what the sources may not contain, and their size. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT_PATH } from "./source-tree.ts";

const FILE_LINES_MAX = 350;
const UNFINISHED = /\b(TODO|FIXME|XXX|HACK)\b|not implemented/i;
const ANY_TYPE = /(:|<|,|\||&|=>|\bas)\s*any\b(?=\s*($|[;,)>|&\]=[{]))/;

/** "path:line: text" of every line of `text` that `matches`. */
function offences(path: string, text: string, matches: (line: string) => boolean): string[] {
  return text
    .split("\n")
    .flatMap((line, index) => (matches(line) ? [`${path}:${index + 1}: ${line.trim()}`] : []));
}

/** The code of a line: what stands before a comment. */
const codeOf = (line: string): string => line.replace(/(^|\s)(\/\/|\/\*|\*).*$/, "");

const rules = {
  unfinished: (line: string): boolean => UNFINISHED.test(line),
  anyType: (line: string): boolean => ANY_TYPE.test(codeOf(line)),
  suppressed: (line: string): boolean => /@ts-(ignore|nocheck|expect-error)/.test(line),
};

const folders = ["src", "examples", "bench"].filter((name) => existsSync(join(ROOT_PATH, name)));

const sources = folders.flatMap((folder) =>
  readdirSync(join(ROOT_PATH, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => ({
      path: join(folder, name),
      text: readFileSync(join(ROOT_PATH, folder, name), "utf8"),
    })),
);

const found = (rule: (line: string) => boolean): string[] =>
  sources.flatMap(({ path, text }) => offences(path, text, rule));

describe("the sources", () => {
  it("are read by this test", () => {
    expect(sources.length).toBeGreaterThan(20);
  });

  it("hold nothing unfinished", () => {
    expect(found(rules.unfinished)).toEqual([]);
  });

  it("use no `any`", () => {
    expect(found(rules.anyType)).toEqual([]);
  });

  it("silence the compiler nowhere", () => {
    expect(found(rules.suppressed)).toEqual([]);
  });

  it(`have no file of more than ${FILE_LINES_MAX} lines`, () => {
    const long = sources
      .map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
      .filter(({ lines }) => lines > FILE_LINES_MAX);
    expect(long).toEqual([]);
  });
});

describe("these rules", () => {
  it.each([
    ["unfinished", "// TODO: later"],
    ["unfinished", 'throw new Error("not implemented");'],
    ["anyType", "const a: any = 1;"],
    ["anyType", "function f(...args: any[]): void {"],
    ["anyType", "const b = value as any;"],
    ["anyType", "type M = Map<string, any>;"],
    ["suppressed", "// @ts-expect-error"],
  ] as const)("catch %s: %s", (rule, line) => {
    expect(offences("planted.ts", `ok;\n${line}\n`, rules[rule])).toHaveLength(1);
  });

  it.each([
    ["anyType", "// as any reader can see: any;"],
    ["anyType", "const many: number = 1;"],
    ["anyType", "if (ports.any(isOpen)) return;"],
    ["anyType", 'distribution: "any",'],
    ["unfinished", "const todoList = [];"],
  ] as const)("let %s pass: %s", (rule, line) => {
    expect(offences("planted.ts", line, rules[rule])).toEqual([]);
  });
});
