/**
 * Why JSON.stringify refused a value: it says that there is a BigInt or a cycle, seldom where.
 * Walked only after the failure, so its cost does not matter; depth and steps are bounded all the
 * same.
 */

export type JsonProblem = { readonly path: string; readonly message: string };

const STEPS_MAX = 100_000;
const DEPTH_MAX = 1_000;

/** The first part of the value that JSON cannot say; undefined when none was found. */
export const jsonProblem = (value: unknown): JsonProblem | undefined => {
  const steps = { left: STEPS_MAX };
  return search(value, "", [], steps);
};

const search = (
  value: unknown,
  path: string,
  above: object[],
  steps: { left: number },
): JsonProblem | undefined => {
  if (typeof value === "bigint") return { path, message: "BigInt has no JSON form" };
  if (typeof value !== "object" || value === null) return undefined;
  if (above.includes(value)) return { path, message: "refers back to itself (a cycle)" };
  if (above.length >= DEPTH_MAX) return { path: "", message: `is nested over ${DEPTH_MAX} deep` };
  // What toJSON makes of a value cannot be known without calling it again.
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return undefined;
  above.push(value);
  for (const name of Object.keys(value)) {
    if (--steps.left < 0) return undefined;
    const part = (value as Record<string, unknown>)[name];
    const found = search(part, path === "" ? name : `${path}.${name}`, above, steps);
    if (found !== undefined) return found;
  }
  above.pop();
  return undefined;
};
