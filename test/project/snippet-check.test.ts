/** The checker of snippets itself: what it refuses, and what it lets pass. */

import { describe, expect, it } from "vitest";
import { checkSnippets } from "./snippet-check.ts";

const page = (...lines: string[]): string => ["# A page", "", ...lines, ""].join("\n");
const block = (info: string, ...code: string[]): string[] => [`\`\`\`${info}`, ...code, "```"];

describe("checking the snippets of a page", () => {
  it.each([
    ["a wrong type", block("ts", "const n: number = 'x';"), /^line 4: Type 'string'/],
    [
      "a name that the package lacks",
      block("ts", 'import { nothing } from "meshbus";'),
      /^line 4: /,
    ],
    ["a wrong type in JavaScript", block("js", "Math.floor('x');"), /^line 4: Argument of type/],
    ["a program that throws", block("ts run", "throw new Error('broken');"), /broken/],
    [
      "a program with other output",
      block("ts", "console.log(1);", "// output:", "// 2"),
      /announces/,
    ],
    ["too little output", block("ts", "// output:", "// 1"), /announces/],
    ["a missing npm script", block("sh", "npm run nowhere"), /no script "nowhere"/],
    ["a missing file", block("sh", "node .build/examples/nowhere.js"), /no such file/],
    ["a missing binary", block("sh", "npx nothing-of-ours"), /no binary/],
    ["an unknown command", block("sh", "frobnicate --now"), /cannot tell/],
    ["a command that fails", block("sh run", "exit 3"), /exit code 3/],
    ["a test that would start itself", block("sh run", "npm test"), /this very test/],
    ["another spelling of a language", block("typescript", "1;"), /write ts, js or sh/],
    ["a fence with no language", block("", "1;"), /names no language/],
    ["an unknown flag", block("ts nocheck", "1;"), /unknown words/],
    ["a fence that never ends", ["```ts", "1;"], /never ends/],
  ])("refuses %s", async (_, lines, problem) => {
    const problems = await checkSnippets(page(...lines));
    expect(problems.join("\n")).toMatch(problem);
  });

  it("lets pass what works, in pieces, across files, and with its output", async () => {
    const problems = await checkSnippets(
      page(
        ...block("ts file=double.ts", "export const double = (n: number): number => 2 * n;"),
        ...block("ts run", 'import { double } from "./double.ts";', "const four = double(2);"),
        ...block(
          "ts continue",
          "console.log(four);",
          'console.log("pid", process.pid, "is up");',
          "// output:",
          "// 4",
          "// pid … is up",
        ),
        ...block("js", "await Promise.resolve(1);"),
        ...block(
          "sh",
          "$ npm install meshbus",
          "npm test # all of them",
          "npm run build && npm test",
        ),
        ...block("sh run", "echo one", "# output:", "# one"),
        ...block("text", "not code"),
      ),
    );
    expect(problems).toEqual([]);
  });
});
