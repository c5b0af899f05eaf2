/** What the README shows must work. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readPage } from "./snippet.ts";
import { checkSnippets } from "./snippet-check.ts";
import { ROOT_PATH } from "./source-tree.ts";

const README_PATH = join(ROOT_PATH, "README.md");

describe("the README", () => {
  it("shows code", () => {
    expect(readPage(readFileSync(README_PATH, "utf8")).snippets).not.toEqual([]);
  });

  it("shows only code that works", { timeout: 600_000 }, async () => {
    expect(await checkSnippets(readFileSync(README_PATH, "utf8"))).toEqual([]);
  });
});
