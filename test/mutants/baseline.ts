/**
 * The code as it is, on the same seeds and tests as the mutants: what it gets wrong itself is no fault found.
 *
 * Each seed and test runs once, when somebody asks.
 */
import { type MutantTree, plantTree } from "./mutant-tree.ts";
import { runSeeds } from "./run-seeds.ts";
import { runTest } from "./run-test.ts";

export class Baseline {
  readonly #root: string;
  readonly #trees = new Map<"compiled" | "sources", Promise<MutantTree>>();
  readonly #seeds = new Map<string, Promise<boolean>>();
  readonly #tests = new Map<string, Promise<boolean>>();

  constructor(root: string) {
    this.#root = root;
  }

  /** Whether no checker finds anything at this seed. */
  isClean(ground: string, seed: number): Promise<boolean> {
    const name = `${ground}:${seed}`;
    let clean = this.#seeds.get(name);
    if (clean === undefined) {
      clean = this.#runSeed(name);
      this.#seeds.set(name, clean);
    }
    return clean;
  }

  /** Whether the test runs and passes. */
  passes(file: string, test: string): Promise<boolean> {
    const name = `${file} ${test}`;
    let passed = this.#tests.get(name);
    if (passed === undefined) {
      passed = this.#runTest(file, test);
      this.#tests.set(name, passed);
    }
    return passed;
  }

  async remove(): Promise<void> {
    for (const tree of this.#trees.values()) await (await tree).remove();
  }

  async #runSeed(name: string): Promise<boolean> {
    const { path } = await this.#tree("compiled");
    let clean = false;
    await runSeeds(path, [name], async (report) => {
      clean = report.violations.length === 0;
      return true;
    });
    return clean;
  }

  async #runTest(file: string, test: string): Promise<boolean> {
    const { path } = await this.#tree("sources");
    const { passed, failed } = await runTest(path, file, test);
    return passed === 1 && failed === 0;
  }

  #tree(kind: "compiled" | "sources"): Promise<MutantTree> {
    let tree = this.#trees.get(kind);
    if (tree === undefined) {
      tree = plantTree(this.#root, kind);
      this.#trees.set(kind, tree);
    }
    return tree;
  }
}
