/**
 * A throw-away copy of the sources, in which a test may break a rule to see it caught.
 */

import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository: tests run from their sources, two folders below it. */
export const ROOT_PATH = fileURLToPath(new URL("../..", import.meta.url));

const COPIED = ["src", "package.json", "tsconfig.json", "tsconfig.base.json"];

export class SourceTree {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Copies src and what the tools need beside it into a new temp folder. */
  static async copy(): Promise<SourceTree> {
    const path = await mkdtemp(join(tmpdir(), "meshbus-tree-"));
    for (const name of COPIED) {
      await cp(join(ROOT_PATH, name), join(path, name), { recursive: true });
    }
    await symlink(join(ROOT_PATH, "node_modules"), join(path, "node_modules"));
    return new SourceTree(path);
  }

  /** Writes `text` to `filePath`, relative to the copy. */
  async plant(filePath: string, text: string): Promise<void> {
    const target = join(this.path, filePath);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
