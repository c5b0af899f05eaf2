/**
 * How far a pattern is from selecting a subject: 0 where it does, small where somebody probably meant it to.
 *
 * Tokens are compared as words of a text are: one that is missing or too many costs 1, a wrong one 1, one that is
 * misspelt half of that. Cost: tokens of both times the letters of both, for names of 255 characters at most.
 */

/** Misspelt by so many letters. */
const TYPO_MAX = 2;

/** Nobody means a subject by a pattern that is further away. */
export const NEAR_MAX = 1;

export const patternDistance = (pattern: string, subject: string): number => {
  const wanted = subject.split(".");
  return distance(spread(pattern.split("."), wanted.length), wanted, tokenCost);
};

/** ">" stands for at least one token, and here for as many as are left. */
const spread = (tokens: string[], count: number): string[] => {
  if (tokens.at(-1) !== ">") return tokens;
  const head = tokens.slice(0, -1);
  return [...head, ...new Array<string>(Math.max(1, count - head.length)).fill("*")];
};

const tokenCost = (token: string, wanted: string): number => {
  if (token === "*" || token === wanted) return 0;
  const isTypo = distance([...token.toLowerCase()], [...wanted.toLowerCase()], same) <= TYPO_MAX;
  return isTypo && Math.max(token.length, wanted.length) > TYPO_MAX ? 0.5 : 1;
};

const same = (a: string, b: string): number => (a === b ? 0 : 1);

/** Levenshtein's, over tokens or letters, in one row. */
const distance = (
  from: readonly string[],
  to: readonly string[],
  costOf: (a: string, b: string) => number,
): number => {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (const [at, one] of from.entries()) {
    const next = [at + 1];
    for (const [other, wanted] of to.entries()) {
      const replaced = (row[other] as number) + costOf(one, wanted);
      const changed = Math.min(next[other] as number, row[other + 1] as number) + 1;
      next.push(Math.min(replaced, changed));
    }
    row = next;
  }
  return row[to.length] as number;
};
