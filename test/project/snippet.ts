/**
 * The code blocks of a Markdown page, as a checker needs them.
 *
 * Convention, in the words after the language of a fence:
 *   ts, js           type-checked as a module of its own against the package
 *   ts continue      appended to the ts block before it: one module in several pieces
 *   ts file=a.ts     the module has this name, and later blocks may import "./a.ts"
 *   ts run           also executed; must end with exit code 0
 *   // output:       as a line of a block: it is executed, and the comment lines that follow are what it
 *                    prints; "…" in such a line stands for any text
 *   sh               each command must exist: an npm script, a file, a binary of the package
 *   sh run           executed in the repository; "# output:" works as above
 * Every fence names a language ("text" for none), so that nothing escapes by a missing word. A fence
 * inside an HTML comment counts as well: there goes what a reader need not see.
 */

export type SnippetLanguage = "ts" | "js" | "sh";

export type Snippet = {
  readonly language: SnippetLanguage;
  /** Line of the first line of code in its page, from 1. */
  readonly line: number;
  readonly code: string;
  readonly run: boolean;
  readonly continued: boolean;
  readonly fileName: string | undefined;
  /** What it prints, when it says so. */
  readonly output: readonly string[] | undefined;
};

export type Page = { readonly snippets: readonly Snippet[]; readonly problems: readonly string[] };

const FENCE = /^(\s*)(`{3,}|~{3,})\s*(.*)$/;
const CHECKED = new Set<string>(["ts", "js", "sh"]);
const MISSPELT =
  /^(typescript|tsx|mts|javascript|jsx|mjs|cjs|bash|shell|zsh|console|shellscript)$/i;

/** The snippets to check in `markdown`, and the fences that break the convention. */
export function readPage(markdown: string): Page {
  const snippets: Snippet[] = [];
  const problems: string[] = [];
  const lines = markdown.split("\n");
  for (let index = 0; index < lines.length; index += 1) {
    const fence = FENCE.exec(lines[index] ?? "");
    if (fence === null) continue;
    const [, indent = "", marks = "", info = ""] = fence;
    const start = index + 1;
    const end = closingLine(lines, start, marks);
    if (end === undefined) {
      problems.push(`line ${start}: the code block never ends`);
      break;
    }
    const code = lines.slice(start, end).map((line) => withoutIndent(line, indent.length));
    const outcome = readSnippet(info.trim().split(/\s+/), code, start + 1);
    if (typeof outcome === "string") problems.push(`line ${start}: ${outcome}`);
    else if (outcome !== undefined) snippets.push(outcome);
    index = end;
  }
  return { snippets, problems };
}

function closingLine(lines: readonly string[], start: number, marks: string): number | undefined {
  const found = lines.findIndex((line, index) => {
    const text = line.trim();
    return index >= start && text.startsWith(marks) && text.replaceAll(marks[0] ?? "", "") === "";
  });
  return found === -1 ? undefined : found;
}

function withoutIndent(line: string, columns: number): string {
  return line.slice(0, columns).trim() === "" ? line.slice(columns) : line;
}

/** A snippet, undefined for a language that is not checked, or what is wrong with the fence. */
function readSnippet(
  [language = "", ...flags]: readonly string[],
  code: readonly string[],
  line: number,
): Snippet | string | undefined {
  if (language === "") return 'the fence names no language; write "text" for none';
  if (MISSPELT.test(language)) return `write ts, js or sh, not ${language}`;
  if (!CHECKED.has(language)) return undefined;
  const file = flags.find((flag) => flag.startsWith("file="))?.slice("file=".length);
  const unknown = flags.filter(
    (flag) => !["run", "continue"].includes(flag) && !flag.startsWith("file="),
  );
  if (unknown.length > 0) return `unknown words after ${language}: ${unknown.join(" ")}`;
  if (file !== undefined && !/^[\w-]+\.(ts|js)$/.test(file)) return `no file name: ${file}`;
  const output = readOutput(code, language === "sh" ? "#" : "//");
  return {
    language: language as SnippetLanguage,
    line,
    code: code.join("\n"),
    run: flags.includes("run") || output !== undefined,
    continued: flags.includes("continue"),
    fileName: file,
    output,
  };
}

function readOutput(code: readonly string[], mark: string): string[] | undefined {
  const at = code.findIndex((line) => line.trim() === `${mark} output:`);
  if (at === -1) return undefined;
  const rest = code.slice(at + 1);
  const end = rest.findIndex((line) => !line.startsWith(mark));
  const comments = end === -1 ? rest : rest.slice(0, end);
  return comments.map((line) => line.slice(mark.length).replace(/^ /, ""));
}
