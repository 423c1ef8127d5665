// @ts-check
// A small plotter: lines through points, on linear axes that begin at nought, so that what is linear is a
// straight line. The thin bars are the middle half.

/** @typedef {{ x: number, y: number, low?: number, high?: number }} Point */
/** @typedef {{ name: string, points: readonly Point[] }} Series */

const WIDTH = 720;
const HEIGHT = 400;
const PLOT = { left: 72, right: 24, top: 52, bottom: 56 };
const TICKS = 6;
/** Apart in lightness as well, and each with its own mark. */
const COLOURS = ['#1b5e9b', '#c2410c', '#2f7d32', '#7b3fa0', '#8a6d00'];
const INK = '#1f2328';
const FAINT = '#d5dae0';

/**
 * @param {{ title: string, x: string, y: string, series: readonly Series[] }} chart
 * @returns {string} an SVG document
 */
export function chart({ title, x, y, series }) {
  const points = series.flatMap((one) => one.points);
  const xs = scale(points.map((point) => point.x));
  const ys = scale(points.map(({ y: middle, high = middle }) => high));
  const right = WIDTH - PLOT.right;
  const bottom = HEIGHT - PLOT.bottom;
  const toX = (/** @type {number} */ value) => PLOT.left + (value / xs.end) * (right - PLOT.left);
  const toY = (/** @type {number} */ value) => bottom - (value / ys.end) * (bottom - PLOT.top);
  const middle = (PLOT.top + bottom) / 2;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="13" fill="${INK}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    text(PLOT.left, 26, title, 'font-size="16" font-weight="600"'),
    ...ys.ticks.flatMap((tick) => [
      line(PLOT.left, toY(tick), right, toY(tick), FAINT),
      text(PLOT.left - 8, toY(tick) + 4, number(tick), 'text-anchor="end"'),
    ]),
    ...xs.ticks.flatMap((tick) => [
      line(toX(tick), bottom, toX(tick), bottom + 5, INK),
      text(toX(tick), bottom + 20, number(tick), 'text-anchor="middle"'),
    ]),
    line(PLOT.left, bottom, right, bottom, INK),
    text((PLOT.left + right) / 2, HEIGHT - 12, x, 'text-anchor="middle"'),
    text(18, middle, y, `text-anchor="middle" transform="rotate(-90 18 ${middle})"`),
    ...series.flatMap((one, at) => drawn(one, at, toX, toY)),
    ...series.flatMap(({ name }, at) => [
      mark(PLOT.left + 18, PLOT.top + 10 + at * 20, at),
      text(PLOT.left + 30, PLOT.top + 14 + at * 20, name, ''),
    ]),
    '</svg>\n',
  ].join('\n');
}

/**
 * @param {Series} series
 * @param {number} at
 * @param {(x: number) => number} toX
 * @param {(y: number) => number} toY
 */
function drawn({ points }, at, toX, toY) {
  const colour = COLOURS[at % COLOURS.length] ?? INK;
  const path = points.map(({ x, y }) => `${fixed(toX(x))},${fixed(toY(y))}`).join(' ');
  return [
    `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ...points.flatMap(({ x, y, low = y, high = y }) => [
      line(toX(x), toY(low), toX(x), toY(high), colour),
      mark(toX(x), toY(y), at),
    ]),
  ];
}

/** A circle, a square, a triangle, a diamond: not by colour alone. */
/** @param {number} x @param {number} y @param {number} at */
function mark(x, y, at) {
  const fill = `fill="${COLOURS[at % COLOURS.length]}"`;
  const corners = [
    [],
    [
      [-4, -4],
      [4, -4],
      [4, 4],
      [-4, 4],
    ],
    [
      [0, -5],
      [5, 4],
      [-5, 4],
    ],
    [
      [0, -6],
      [6, 0],
      [0, 6],
      [-6, 0],
    ],
  ][at % 4];
  if (!corners || corners.length === 0) {
    return `<circle cx="${fixed(x)}" cy="${fixed(y)}" r="4" ${fill}/>`;
  }
  const path = corners.map(([dx = 0, dy = 0]) => `${fixed(x + dx)},${fixed(y + dy)}`).join(' ');
  return `<polygon points="${path}" ${fill}/>`;
}

/** An axis from nought to above the greatest value, with round ticks. */
/** @param {readonly number[]} values */
function scale(values) {
  const most = Math.max(...values) || 1;
  const rough = most / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5].find((one) => one * power >= rough) ?? 10);
  const count = Math.ceil((most * 1.001) / step);
  return {
    end: count * step,
    ticks: Array.from({ length: count + 1 }, (_, n) => n * step),
  };
}

/** @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 @param {string} colour */
function line(x1, y1, x2, y2, colour) {
  return `<line x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}" stroke="${colour}"/>`;
}

/** @param {number} x @param {number} y @param {string} content @param {string} attributes */
function text(x, y, content, attributes) {
  return `<text x="${fixed(x)}" y="${fixed(y)}" ${attributes}>${escaped(content)}</text>`;
}

/** @param {string} content */
function escaped(content) {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

/** @param {number} value */
function fixed(value) {
  return Number(value.toFixed(1));
}

/** @param {number} value */
function number(value) {
  return Number(value.toPrecision(3)).toLocaleString('en');
}
