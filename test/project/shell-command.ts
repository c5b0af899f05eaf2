/**
 * Whether the commands of a shell snippet exist, found without running them.
 *
 * Installing, and running the very tests that read the snippet, cannot be done from a test; what can
 * be known is that the script, file or binary they name is there. Anything not known here is refused.
 */

import type { Snippet } from "./snippet.ts";

export type Manifest = {
  readonly scripts?: Readonly<Record<string, string>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
};

export type ShellSurroundings = {
  readonly manifest: Manifest;
  /** Whether a file exists in the repository, or is a module of the page. */
  readonly fileExists: (name: string) => boolean;
};

/** What is wrong with the snippet's commands, each with its line. */
export function checkCommands(snippet: Snippet, around: ShellSurroundings): string[] {
  const problems: string[] = [];
  // A joined line keeps the number of its last part.
  let joined = "";
  snippet.code.split("\n").forEach((text, index) => {
    const line = joined + text.replace(/^\$ /, "").replace(/(^|\s)#.*$/, "");
    joined = line.endsWith("\\") ? line.slice(0, -1) : "";
    if (joined !== "") return;
    for (const command of line.split(/&&|;|\|\|?/)) {
      const problem = checkCommand(command.trim(), snippet.run, around);
      if (problem !== undefined) problems.push(`line ${snippet.line + index}: ${problem}`);
    }
  });
  return problems;
}

function checkCommand(
  command: string,
  isRun: boolean,
  around: ShellSurroundings,
): string | undefined {
  const words = command.split(/\s+/).filter((word) => word !== "" && word !== "&");
  while (/^[A-Z_][A-Z0-9_]*=/.test(words[0] ?? "")) words.shift();
  const [program, ...args] = words;
  if (program === undefined) return undefined;
  if (program === "npm") return checkNpm(args, isRun, around);
  if (program === "node")
    return checkFile(
      args.find((arg) => !arg.startsWith("-")),
      around,
    );
  if (program === "npx") {
    const name = args.find((arg) => !arg.startsWith("-")) ?? "";
    return name in (around.manifest.bin ?? {}) ? undefined : `the package has no binary "${name}"`;
  }
  if (isRun || program === "cd" || (program === "git" && args[0] === "clone")) return undefined;
  return `cannot tell whether "${command}" works: write "sh run" to have it run, or "text"`;
}

function checkNpm(
  args: readonly string[],
  isRun: boolean,
  around: ShellSurroundings,
): string | undefined {
  const [verb = "", ...rest] = args.filter((arg) => !/^(-s|--silent)$/.test(arg));
  const { scripts = {}, dependencies = {}, devDependencies = {} } = around.manifest;
  if (verb === "install" || verb === "i" || verb === "ci") {
    if (isRun) return "a test cannot install: take this line out of the run snippet";
    const names = new Set([
      "meshbus",
      ...Object.keys(dependencies),
      ...Object.keys(devDependencies),
    ]);
    const unknown = rest.filter((name) => !name.startsWith("-") && !names.has(name));
    return unknown.length === 0 ? undefined : `not a package used here: ${unknown.join(" ")}`;
  }
  const script = verb === "run" ? (rest[0] ?? "") : verb;
  if (verb !== "run" && verb !== "test" && verb !== "start") return `unknown: npm ${verb}`;
  const body = scripts[script];
  if (body === undefined) return `package.json has no script "${script}"`;
  if (isRun && /vitest|\bcheck/.test(`${script} ${body}`)) {
    return `npm ${script} would run this very test: take it out of the run snippet`;
  }
  const entry = /\bnode (\S+\.js)/.exec(body)?.[1];
  return entry === undefined ? undefined : checkFile(entry, around);
}

/** A built file is there when its source is. */
function checkFile(name: string | undefined, around: ShellSurroundings): string | undefined {
  if (name === undefined) return "node is given no file";
  const path = name.replace(/^\.\//, "");
  const source = path
    .replace(/^dist\//, "src/")
    .replace(/^\.build\//, "")
    .replace(/\.js$/, ".ts");
  return around.fileExists(path) || around.fileExists(source) ? undefined : `no such file: ${name}`;
}
