/**
 * A copy of the compiled tree with one source broken: what a hunt runs. The sources stay as they are.
 *
 * Only the broken file is compiled, on its own and without type check, as the build would.
 */
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import ts from "typescript";
import { type Mutant, mutate } from "./mutant.ts";

/** What a simulated seed needs of the build, and what a test needs of the sources. */
const COMPILED = ["src", "test/sim", "test/mutants"] as const;
const SOURCES = ["src", "test", "vitest.config.ts", "tsconfig.base.json", "tsconfig.json"] as const;

export type MutantTree = {
  readonly path: string;
  remove(): Promise<void>;
};

/** Without a mutant: the code as it is, through the same steps. */
export const plantTree = async (
  root: string,
  kind: "compiled" | "sources",
  mutant?: Mutant,
): Promise<MutantTree> => {
  const path = await mkdtemp(join(tmpdir(), "meshbus-mutant-"));
  const from = kind === "compiled" ? join(root, ".build") : root;
  for (const part of kind === "compiled" ? COMPILED : SOURCES) {
    await mkdir(dirname(join(path, part)), { recursive: true });
    await cp(join(from, part), join(path, part), { recursive: true });
  }
  await cp(join(root, "package.json"), join(path, "package.json"));
  await symlink(join(root, "node_modules"), join(path, "node_modules"));
  if (mutant !== undefined) {
    const broken = mutate(await readFile(join(root, mutant.file), "utf8"), mutant);
    const script = transpile(broken, mutant);
    const isCompiled = kind === "compiled";
    const target = isCompiled ? mutant.file.replace(/\.ts$/, ".js") : mutant.file;
    await writeFile(join(path, target), isCompiled ? script : broken);
  }
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
};

/** @throws Error when the broken source is no TypeScript any more */
const transpile = (source: string, { name, file }: Mutant): string => {
  const { outputText, diagnostics = [] } = ts.transpileModule(source, {
    fileName: file,
    reportDiagnostics: true,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  });
  const [first] = diagnostics;
  if (first === undefined) return outputText;
  throw new Error(`mutant ${name}: ${ts.flattenDiagnosticMessageText(first.messageText, " ")}`);
};
