/** A chart of horizontal bars as SVG text: medians with the least and the most of their rounds. Light and dark. */
export type Bar = {
  readonly label: string;
  readonly value: number;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  readonly text: string;
  readonly isOurs: boolean;
};

const WIDTH = 820;
const LEFT = 290;
const RIGHT = 110;
const ROW = 24;
const BAR = 14;
const TOP = 56;
const BOTTOM = 14;

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .note { fill: #59636e; font-size: 12px; }
  .ours { fill: #1a7f5a; }
  .theirs { fill: #8c959f; }
  .range { stroke: #1f2328; stroke-width: 1.2; fill: none; }
  .ground { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note { fill: #9198a1; }
    .ours { fill: #3fb68b; }
    .theirs { fill: #6e7681; }
    .range { stroke: #e6edf3; }
    .ground { fill: #0d1117; }
  }`;

export const chartOf = (title: string, note: string, bars: readonly Bar[]): string => {
  const most = Math.max(...bars.map(({ value, max }) => Math.max(value, max ?? 0)));
  const room = WIDTH - LEFT - RIGHT;
  const scaled = (value: number): number => Math.round((value / most) * room * 10) / 10;
  const height = TOP + bars.length * ROW + BOTTOM;
  const lines = bars.flatMap((bar, at) => barOf(bar, TOP + at * ROW, scaled));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(title)}">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="ground" width="${WIDTH}" height="${height}" rx="6"/>`,
    `<text class="title" x="16" y="24">${escaped(title)}</text>`,
    `<text class="note" x="16" y="43">${escaped(note)}</text>`,
    ...lines,
    "</svg>\n",
  ].join("\n");
};

const barOf = (bar: Bar, top: number, scaled: (value: number) => number): readonly string[] => {
  const middle = top + ROW / 2;
  const { value, min = value, max = value } = bar;
  const from = LEFT + scaled(min);
  const to = LEFT + scaled(max);
  const end = Math.max(LEFT + scaled(value), to);
  const tick = BAR / 4;
  return [
    `<text x="${LEFT - 10}" y="${middle + 4}" text-anchor="end">${escaped(bar.label)}</text>`,
    `<rect class="${bar.isOurs ? "ours" : "theirs"}" x="${LEFT}" y="${middle - BAR / 2}" width="${Math.max(1, scaled(value))}" height="${BAR}" rx="2"/>`,
    `<path class="range" d="M${from} ${middle}H${to}M${from} ${middle - tick}v${2 * tick}M${to} ${middle - tick}v${2 * tick}"/>`,
    `<text x="${end + 8}" y="${middle + 4}">${escaped(bar.text)}</text>`,
  ];
};

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
