/** Waiting for a condition, with a deadline; never for a time. */
export const DEADLINE_MS = 60_000;
const LOOK_MS = 5;

export const until = async (
  what: string,
  condition: () => boolean | Promise<boolean>,
  state: () => string = () => "",
): Promise<void> => {
  const endMs = performance.now() + DEADLINE_MS;
  while (!(await condition())) {
    if (performance.now() > endMs) {
      throw new Error(`not within ${DEADLINE_MS} ms: ${what} ${state()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
};

export const range = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => from + index);
