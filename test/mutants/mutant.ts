/**
 * A mutant: one named way to break a promise, as a patch to a copy of one source file.
 *
 * Problem: a checker that never saw its fault may be blind. Approach: the anchor is text of the source, found
 * exactly once, so that a mutant whose source has changed fails loudly instead of breaking nothing; what must
 * see the fault is named, so that a patch that only makes the code throw does not pass for a fault seen.
 */

/** Who must see it: checks of the simulation, any of them; or one test, where no simulated world can. */
export type CaughtBy =
  | {
      readonly by: "simulation";
      readonly checks: readonly string[];
      /** A ground (grounds.ts) or scenario whose seeds are tried before all others. */
      readonly ground?: string;
    }
  | { readonly by: "test"; readonly file: string; readonly test: string };

export type Mutant = {
  readonly name: string;
  /** The promise it breaks: G1 to G9. */
  readonly promise: string;
  /** What the broken code does, as a sentence without a subject. */
  readonly does: string;
  readonly file: string;
  readonly anchor: string;
  readonly replacement: string;
  readonly caughtBy: CaughtBy;
};

/** The source with the fault in it. @throws Error unless the anchor is there exactly once */
export const mutate = (source: string, { name, file, anchor, replacement }: Mutant): string => {
  const parts = source.split(anchor);
  if (parts.length !== 2) {
    const times = parts.length - 1;
    throw new Error(`mutant ${name}: its anchor is ${times} times in ${file}, not once`);
  }
  if (anchor === replacement) throw new Error(`mutant ${name} changes nothing`);
  return parts.join(replacement);
};
