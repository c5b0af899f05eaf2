/**
 * Checks the snippets of a page the way a user would meet them.
 *
 * Approach: a temp folder that looks like a user's project, with the built package in its
 * node_modules. Modules are padded so that a diagnostic's line is the line in the page. What is to
 * run is run there by node; shell snippets run in the repository.
 */

import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ts from "typescript";
import { checkCommands } from "./shell-command.ts";
import { readPage, type Snippet } from "./snippet.ts";
import { ROOT_PATH } from "./source-tree.ts";

const RUN_TIMEOUT_MS = 60_000;

type SnippetModule = {
  readonly name: string;
  text: string;
  readonly snippets: Snippet[];
};

/** Every problem of the page's snippets, each with its line; none when all is well. */
export async function checkSnippets(markdown: string): Promise<readonly string[]> {
  const { snippets, problems } = readPage(markdown);
  const projectPath = await mkdtemp(join(tmpdir(), "meshbus-snippets-"));
  try {
    const modules = gatherModules(snippets);
    await writeProject(projectPath, modules);
    const found = [...problems, ...compile(projectPath, modules)];
    if (found.length > 0) return found;
    for (const { name, snippets: parts } of modules) {
      if (!parts.some((part) => part.run)) continue;
      const script = join("out", name.replace(/\.ts$/, ".js"));
      found.push(...(await checkRun(parts, process.execPath, [script], projectPath)));
    }
    for (const snippet of snippets.filter(({ language }) => language === "sh")) {
      found.push(...(await checkShell(snippet, modules)));
    }
    return found;
  } finally {
    await rm(projectPath, { recursive: true, force: true });
  }
}

function gatherModules(snippets: readonly Snippet[]): SnippetModule[] {
  const modules: SnippetModule[] = [];
  for (const snippet of snippets) {
    if (snippet.language === "sh") continue;
    const previous = modules.at(-1);
    if (snippet.continued && previous !== undefined) {
      previous.text = `${padTo(previous.text, snippet.line)}${snippet.code}\n`;
      previous.snippets.push(snippet);
    } else {
      const name = snippet.fileName ?? `line-${snippet.line}.${snippet.language}`;
      const text = `${padTo("", snippet.line)}${snippet.code}\n`;
      modules.push({ name, text, snippets: [snippet] });
    }
  }
  return modules;
}

/** `text` with empty lines after it, so that what is appended begins at `line`. */
function padTo(text: string, line: number): string {
  return text + "\n".repeat(Math.max(0, line - text.split("\n").length));
}

async function writeProject(path: string, modules: readonly SnippetModule[]): Promise<void> {
  const installed = join(ROOT_PATH, "node_modules");
  await mkdir(join(path, "node_modules"));
  for (const name of readdirSync(installed).filter((entry) => !entry.startsWith("."))) {
    await symlink(join(installed, name), join(path, "node_modules", name));
  }
  await symlink(ROOT_PATH, join(path, "node_modules", "meshbus"));
  await writeFile(join(path, "package.json"), '{ "type": "module", "private": true }\n');
  for (const { name, text } of modules) await writeFile(join(path, name), text);
}

/** Type-checks all modules as one project and emits them to `out/`. */
function compile(path: string, modules: readonly SnippetModule[]): string[] {
  const program = ts.createProgram({
    rootNames: modules.map(({ name }) => join(path, name)),
    options: {
      target: ts.ScriptTarget.ES2023,
      lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      moduleDetection: ts.ModuleDetectionKind.Force,
      types: ["node"],
      typeRoots: [join(ROOT_PATH, "node_modules", "@types")],
      strict: true,
      allowJs: true,
      checkJs: true,
      noImplicitAny: true,
      skipLibCheck: true,
      rewriteRelativeImportExtensions: true,
      rootDir: path,
      outDir: join(path, "out"),
    },
  });
  const { diagnostics } = program.emit();
  return [...ts.getPreEmitDiagnostics(program), ...diagnostics].map((diagnostic) => {
    const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n");
    if (diagnostic.file === undefined || diagnostic.start === undefined) return text;
    const { line } = diagnostic.file.getLineAndCharacterOfPosition(diagnostic.start);
    return `line ${line + 1}: ${text}`;
  });
}

async function checkShell(snippet: Snippet, modules: readonly SnippetModule[]): Promise<string[]> {
  const manifest = readFileSync(join(ROOT_PATH, "package.json"), "utf8");
  const known = new Set(modules.map(({ name }) => name));
  const problems = checkCommands(snippet, {
    manifest: JSON.parse(manifest),
    fileExists: (name) => known.has(name) || existsSync(join(ROOT_PATH, name)),
  });
  if (problems.length > 0 || !snippet.run) return problems;
  return checkRun([snippet], "bash", ["-euo", "pipefail", "-c", snippet.code], ROOT_PATH);
}

/** Runs a program and compares what it prints with what the snippets announce. */
async function checkRun(
  snippets: readonly Snippet[],
  command: string,
  args: readonly string[],
  cwd: string,
): Promise<string[]> {
  const line = snippets[0]?.line ?? 0;
  const { stdout, stderr, ending } = await runProgram(command, args, cwd);
  if (ending !== "exit code 0") return [`line ${line}: ended with ${ending}: ${stderr.trim()}`];
  const parts = snippets.map(({ output }) => output);
  if (parts.every((part) => part === undefined)) return [];
  const expected = parts.flatMap((part) => part ?? []);
  const printed = stdout.replace(/\n$/, "").split("\n");
  const matches =
    printed.length === expected.length &&
    expected.every((text, index) => asPattern(text).test(printed[index] ?? ""));
  if (matches) return [];
  return [`line ${line}: announces\n${expected.join("\n")}\nbut prints\n${printed.join("\n")}`];
}

function asPattern(text: string): RegExp {
  const literal = text.split("…").map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${literal.join(".*")}$`);
}

type Outcome = { readonly stdout: string; readonly stderr: string; readonly ending: string };

/** Runs to the end; after RUN_TIMEOUT_MS the program and what it started are killed. */
function runProgram(command: string, args: readonly string[], cwd: string): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output = { stdout: "", stderr: "" };
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, RUN_TIMEOUT_MS);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text;
    });
    child.on("error", (cause) => {
      clearTimeout(timer);
      reject(cause);
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      const exit = signal === null ? `exit code ${code}` : `signal ${signal}`;
      resolve({ ...output, ending: timedOut ? `no end within ${RUN_TIMEOUT_MS} ms` : exit });
    });
  });
}
