import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ERROR_TABLE } from "../src/errors.ts";

const page = readFileSync(new URL("../docs/errors.md", import.meta.url), "utf8");

describe("docs/errors.md", () => {
  it("mirrors the error table, row by row", () => {
    const rows = page.split("\n").filter((line) => /^\| `[A-Z_]+` \|/.test(line));
    const expected = Object.entries(ERROR_TABLE).map(
      ([code, { meaning, retryable, remedy }]) =>
        `| \`${code}\` | ${meaning} | ${retryable ? "yes" : "no"} | ${remedy} |`,
    );
    expect(rows).toEqual(expected);
  });
});
