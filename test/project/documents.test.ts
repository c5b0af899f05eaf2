/** What the documents say of files, bytes, counters and code is so. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkSnippets } from "./snippet-check.ts";
import { ROOT_PATH } from "./source-tree.ts";

const read = (path: string): string => readFileSync(join(ROOT_PATH, path), "utf8");
const namesIn = (folder: string): string[] => readdirSync(join(ROOT_PATH, folder));

const PAGES = [
  ...["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"],
  ...namesIn("docs").flatMap((name) => (name.endsWith(".md") ? [`docs/${name}`] : [])),
  "examples/README.md",
  "examples/containers/README.md",
  "examples/python/README.md",
];
/** Pages whose code is type-checked, and run where it says so, as the README's is. */
const PAGES_WITH_CODE = [
  "docs/getting-started.md",
  "docs/delivery.md",
  "docs/api.md",
  "docs/flow-control.md",
  "docs/testing.md",
  "docs/gateway.md",
  "docs/topologies.md",
  "docs/directory-service.md",
  "docs/keys.md",
  "docs/encryption.md",
];

describe("the documents", () => {
  it.each(PAGES)("%s links to what exists", (page) => {
    const links = [...read(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
    const missing = links.filter((link) => {
      if (/^(https?:|mailto:)/.test(link)) return false;
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? page : join(dirname(page), path);
      if (!existsSync(join(ROOT_PATH, target))) return true;
      return anchor !== undefined && !anchorsOf(read(target)).includes(anchor);
    });
    expect(missing).toEqual([]);
  });

  it("name tests that exist", () => {
    const named = PAGES.flatMap((page) => read(page).match(/\btest\/[\w/.-]+\.ts\b/g) ?? []);
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((path) => !existsSync(join(ROOT_PATH, path)))).toEqual([]);
  });

  it("name sources that exist", () => {
    const named = PAGES.flatMap((page) => read(page).match(/`[\w/.-]+\/[\w.-]+\.ts`/g) ?? []);
    const paths = named.map((name) => name.replaceAll("`", ""));
    expect(paths.length).toBeGreaterThan(20);
    const missing = paths.filter(
      (path) => !existsSync(join(ROOT_PATH, path)) && !existsSync(join(ROOT_PATH, "src", path)),
    );
    expect(missing).toEqual([]);
  });

  it.each(PAGES_WITH_CODE)("%s shows only code that works", { timeout: 600_000 }, async (page) => {
    expect(await checkSnippets(read(page))).toEqual([]);
  });

  it("name every counter that the code counts", () => {
    const page = read("docs/operations.md");
    const counted = sources("src").flatMap((path) =>
      [...read(path).matchAll(/\bcount\(\s*"([\w.]+)"/g)].map(([, name = ""]) => name),
    );
    expect(counted.length).toBeGreaterThan(30);
    expect([...new Set(counted)].filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });
});

describe("the worked example of the protocol", () => {
  const golden = (name: string): Record<string, string> =>
    JSON.parse(read(`test/wire/golden/${name}.json`));
  const frames = golden("frames");
  const page = read("docs/protocol.md");

  it("shows the golden bytes, field by field", () => {
    const blocks = [...page.matchAll(/```text\n([\s\S]*?)```/g)].map(([, block = ""]) =>
      block.split("\n").map(bytesOf).join(""),
    );
    expect(blocks).toEqual([
      frames.credit,
      frames.batch,
      frames.settle,
      golden("envelopes").common,
    ]);
  });

  it("shows the golden bytes of the frames it shows whole", () => {
    const rows = [...page.matchAll(/^\| (\w+) \| `([0-9a-f ]+)`/gm)];
    expect(rows.length).toBeGreaterThan(3);
    for (const [, name = "", hex = ""] of rows) {
      expect(hex.replaceAll(" ", "")).toBe(frames[name.toLowerCase()]);
    }
  });
});

/** The hexadecimal part of a line: what follows two spaces after it is the explanation. */
function bytesOf(line: string): string {
  const hex = /^\s*((?:[0-9a-f]{2,}\s{1,2})*[0-9a-f]{2,})(?=\s{2,}|$)/.exec(line)?.[1] ?? "";
  return hex.replace(/\s/g, "");
}

/** Headings as GitHub links to them. */
function anchorsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );
}

function sources(folder: string): string[] {
  return readdirSync(join(ROOT_PATH, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name));
}
