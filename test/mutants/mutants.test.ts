/** The mutants are what they say, the docs show them all, and a few of them are caught with every test run. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { type Mutant, mutate } from "./mutant.ts";
import { MUTANTS } from "./mutant-list.ts";
import { mutantTable } from "./mutant-table.ts";

const run = promisify(execFile);

/** Caught at one of the first seeds. */
const QUICK = ["accepts-before-sync", "marks-up-to"];

describe("the mutants", () => {
  it("are at least 25, under names of their own", () => {
    const names = new Set(MUTANTS.map(({ name }) => name));
    expect(names.size).toBe(MUTANTS.length);
    expect(names.size).toBeGreaterThanOrEqual(25);
  });

  it("break what is there: each anchor is in its source, once", async () => {
    for (const mutant of MUTANTS) {
      const source = await readFile(mutant.file, "utf8");
      expect(mutate(source, mutant), mutant.name).not.toBe(source);
    }
  });

  it("refuse a source that has changed", () => {
    const mutant: Mutant = {
      name: "m",
      promise: "G1",
      does: "nothing",
      file: "a.ts",
      anchor: "one",
      replacement: "two",
      caughtBy: { by: "simulation", checks: ["C1"] },
    };
    expect(() => mutate("nothing", mutant)).toThrow(/0 times/);
    expect(() => mutate("one and one", mutant)).toThrow(/2 times/);
    expect(() => mutate("one", { ...mutant, replacement: "one" })).toThrow(/changes nothing/);
  });

  it("name tests that exist", async () => {
    for (const { name, caughtBy } of MUTANTS) {
      if (caughtBy.by !== "test") continue;
      const text = await readFile(caughtBy.file, "utf8");
      expect(text.split(`"${caughtBy.test}"`).length, name).toBe(2);
    }
  });

  it("stand in docs/simulation.md as they are", async () => {
    const docs = await readFile("docs/simulation.md", "utf8");
    expect(docs).toContain(mutantTable(MUTANTS));
  });

  it("are caught: two of them", { timeout: 900_000 }, async () => {
    const only = QUICK.flatMap((name) => ["--only", name]);
    const args = [".build/test/mutants/main.js", "--seeds", "20", ...only];
    const { stdout } = await run(process.execPath, args);
    expect(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "")).toEqual({
      mutants: QUICK.length,
      killed: QUICK.length,
    });
  });
});
