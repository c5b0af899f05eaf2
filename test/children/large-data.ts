/** Data that is large on its way between nodes and small between a test and its nodes. */

const TEXT = "0123456789abcdef";

/** What a test gives as `{ n, textBytes }`, as it is sent. */
export const grown = (data: unknown): unknown => {
  const { n, textBytes } = data as { n: number; textBytes?: number };
  return textBytes === undefined ? data : { n, text: textOf(n, textBytes) };
};

/** What came, with its text's size in place of the text; -1: it is not what was sent. */
export const shrunk = (data: unknown): unknown => {
  const { text, n, of = n, ...rest } = data as { n: number; of?: number; text?: string };
  if (text === undefined) return data;
  return { ...rest, n, textBytes: text === textOf(of, text.length) ? text.length : -1 };
};

const textOf = (n: number, bytes: number): string =>
  `${n}:`
    .padEnd(TEXT.length, TEXT)
    .repeat(Math.ceil(bytes / TEXT.length))
    .slice(0, bytes);
