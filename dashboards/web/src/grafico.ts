// The hydrograph to be looked into: drag, keys or buttons to zoom, double click to return, the newest value as it comes. Rain, bands and
// gaps are as in the drawing of the server, which stays in the page for those who do not see this one.

import uPlot from "uplot";
import type { Latest } from "./latest";

interface Observation {
  phenomenon_time: string;
  result: number;
  quality: number;
}
interface Bucket {
  start: string;
  end: string;
  min: number;
  mean: number;
  max: number;
}
interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

/** Time in seconds, then one column (as measured) or three (mean, least, greatest). A gap is a null. */
type Columns = [number[], ...(number | null)[][]];

const figure = document.querySelector<HTMLElement>("figure[data-key]");
const settings = figure?.dataset ?? {};
const key = settings.key ?? "";
const unit = settings.unit ?? "";
const whole = { from: Number(settings.from), to: Number(settings.to) };
const period = Number(settings.period);
const gap = Number(settings.gap);
/** More points than this are asked for as the least and greatest of intervals. */
const most = Number(settings.most);
const thresholds = JSON.parse(settings.thresholds ?? "[]") as [number, string][];
/** Start, end, millimetres. */
type Bar = [number, number, number];
let rain = JSON.parse(settings.rain ?? "[]") as Bar[];
const [levelWord = "", timeWord = "", leastWord = "", greatestWord = "", keysWord = "", failedWord = ""] = (settings.words ?? "").split("|");
const lang = document.documentElement.lang;
const zone = "Europe/Rome";

const decimals = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
const number = (value: number | null | undefined): string => (value == null ? "—" : `${value.toLocaleString(lang, decimals)} ${unit}`);
const clock = new Intl.DateTimeFormat(lang, { timeZone: zone, hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat(lang, { timeZone: zone, day: "2-digit", month: "2-digit" });
const both = new Intl.DateTimeFormat(lang, { timeZone: zone, weekday: "short", day: "2-digit", month: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" });

async function pages<T>(query: string): Promise<T[]> {
  const found: T[] = [];
  let cursor: string | null = null;
  do {
    const more: string = cursor ? `&cursor=${cursor}` : "";
    const answer = await fetch(`/api/v1/datastreams/${key}/observations?${query}${more}&limit=50000`);
    if (!answer.ok) throw new Error(String(answer.status));
    const page = (await answer.json()) as Page<T>;
    found.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return found;
}

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();
const seconds = (text: string): number => Date.parse(text) / 1000;

/** Rows with a null wherever nothing was measured for longer than `limit`. */
function columns(rows: [number, ...number[]][], limit: number): Columns {
  const width = rows[0]?.length ?? 2;
  const out: (number | null)[][] = Array.from({ length: width }, () => []);
  let before: number | undefined;
  for (const row of rows) {
    if (before !== undefined && row[0] - before > limit) {
      out.forEach((column, place) => column.push(place === 0 ? before! + limit / 2 : null));
    }
    row.forEach((cell, place) => out[place]?.push(cell));
    before = row[0];
  }
  return out as Columns;
}

/** As fine as the span allows: what was measured, or the least, mean and greatest of intervals, so that no crest is lost. */
async function load(from: number, to: number): Promise<Columns> {
  const span = `from=${iso(from)}&to=${iso(to)}`;
  if ((to - from) / period <= most) {
    const found = await pages<Observation>(span);
    const usable = found.filter((one) => one.quality <= 2);
    return columns(usable.map((one) => [seconds(one.phenomenon_time), one.result]), gap);
  }
  const [step, width] = (to - from) / 900 <= most ? ["PT15M", 900] : ["PT1H", 3600];
  const found = await pages<Bucket>(`${span}&agg=${step}`);
  return columns(found.map((one) => [seconds(one.start) + width / 2, one.mean, one.min, one.max]), Math.max(gap, width * 1.5));
}

function options(width: number, columnCount: number, shown: { from: number; to: number }): uPlot.Options {
  const line = "#17324d";
  const named = (label: string, more: uPlot.Series): uPlot.Series => ({ label, value: (_, value) => number(value), spanGaps: false, points: { show: false }, ...more });
  const series: uPlot.Series[] = [{ label: timeWord, value: (_, at) => (at == null ? "—" : both.format(at * 1000)) }, named(levelWord, { stroke: line, width: 2 })];
  if (columnCount > 2) series.push(named(leastWord, { stroke: "#8aa4bd", width: 1 }), named(greatestWord, { stroke: "#8aa4bd", width: 1 }));
  const axis: uPlot.Axis = { font: "13px \"Titillium Web\", system-ui, sans-serif", stroke: "#5a6772", grid: { stroke: "#e6ebf0" } };
  return {
    width,
    padding: [null, rain.length > 0 ? 40 : 12, null, null],
    height: Math.max(280, Math.min(420, width * 0.45)),
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone),
    cursor: { drag: { x: true, y: false } },
    scales: {
      x: { min: shown.from, max: shown.to },
      y: {
        range: (_, low, high) => {
          const top = Math.max(high ?? 1, ...thresholds.map(([value]) => value));
          const bottom = Math.min(low ?? 0, top);
          const room = Math.max(top - bottom, 0.1) * 0.06;
          return [bottom - room, top + room];
        },
      },
    },
    axes: [
      { ...axis, values: (_, at, __, ___, step) => at.map((one) => (step >= 86_400 || clock.format(one * 1000) === "00:00" ? date.format(one * 1000) : clock.format(one * 1000))) },
      { ...axis, size: 56, values: (_, values) => values.map((value) => value.toLocaleString(lang)) },
    ],
    series,
    bands: columnCount > 2 ? [{ series: [3, 2], fill: "#d3dfeb" }] : [],
    hooks: { drawClear: [drawBands, drawRain, drawGaps], draw: [drawThresholds], setScale: [(plot, scale) => void (scale === "x" && looked(plot))] },
  };
}

/** In canvas pixels, kept inside the plot. */
function across(plot: uPlot, from: number, to: number): [number, number] {
  const { left, width } = plot.bbox;
  const inside = (at: number): number => Math.min(left + width, Math.max(left, plot.valToPos(at, "x", true)));
  return [inside(from), inside(to)];
}

function drawBands(plot: uPlot): void {
  const { ctx, bbox } = plot;
  const top = (value: number): number => Math.min(bbox.top + bbox.height, Math.max(bbox.top, plot.valToPos(value, "y", true)));
  ctx.save();
  thresholds.forEach(([value], place) => {
    const above = thresholds[place + 1];
    const [low, high] = [top(value), above ? top(above[0]) : bbox.top];
    ctx.fillStyle = place === 0 ? "#fdf0c8" : "#fadcd3";
    ctx.fillRect(bbox.left, high, bbox.width, low - high);
  });
  ctx.restore();
}

/** Bars hang from the top, a quarter of the height at most, as the server draws them. */
function drawRain(plot: uPlot): void {
  const { ctx, bbox } = plot;
  const { min, max } = plot.scales.x ?? {};
  if (min == null || max == null) return;
  const seen = rain.filter(([start, end]) => end > min && start < max);
  const highest = Math.max(0, ...seen.map(([, , sum]) => sum));
  if (highest === 0) return;
  const range = Math.max(10, 4 * highest);
  ctx.save();
  ctx.fillStyle = "#5b8fc7";
  for (const [start, end, sum] of seen) {
    const [from, to] = across(plot, start, end);
    ctx.fillRect(from, bbox.top, Math.max(1, to - from - 0.5), (sum / range) * bbox.height);
  }
  ctx.fillStyle = "#2f5f95";
  ctx.font = `${12 * devicePixelRatio}px "Titillium Web", system-ui, sans-serif`;
  ctx.textAlign = "left";
  const x = bbox.left + bbox.width + 4 * devicePixelRatio;
  ctx.fillText(highest.toLocaleString(lang, { maximumFractionDigits: 1 }), x, bbox.top + (highest / range) * bbox.height);
  ctx.fillText("mm", x, bbox.top + (highest / range) * bbox.height + 14 * devicePixelRatio);
  ctx.restore();
}

/** What was not measured is grey from the value before to the one after. */
function drawGaps(plot: uPlot): void {
  const { ctx, bbox } = plot;
  const times = data[0];
  const values = data[1];
  if (!values) return;
  ctx.save();
  ctx.fillStyle = "rgba(136,149,162,0.28)";
  values.forEach((value, place) => {
    const [before, after] = [times[place - 1], times[place + 1]];
    if (value !== null || before === undefined || after === undefined) return;
    const [from, to] = across(plot, before, after);
    ctx.fillRect(from, bbox.top, to - from, bbox.height);
  });
  const last = times[times.length - 1];
  const now = Math.min(Date.now() / 1000, whole.to);
  if (last !== undefined && now - last > gap && data.length === 2) {
    const [from, to] = across(plot, last, now);
    ctx.fillRect(from, bbox.top, to - from, bbox.height);
  }
  ctx.restore();
}

function drawThresholds(plot: uPlot): void {
  const { ctx, bbox } = plot;
  ctx.save();
  thresholds.forEach(([value, label], place) => {
    const y = plot.valToPos(value, "y", true);
    ctx.strokeStyle = ctx.fillStyle = place === 0 ? "#7a5200" : "#a32a12";
    ctx.setLineDash(place === 0 ? [7, 4] : []);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.font = `600 ${13 * devicePixelRatio}px "Titillium Web", system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "bottom";
    ctx.fillText(label, bbox.left + 8 * devicePixelRatio, y - 4 * devicePixelRatio);
  });
  ctx.restore();
}

let plot: uPlot | undefined;
let data: Columns = [[], []];
let held = { ...whole };
let redraw: number | undefined;
let finer: number | undefined;
const place = document.createElement("div");
const told = document.createElement("p");

/** The part of time that is shown. */
const shownNow = (): { from: number; to: number } => ({ from: plot?.scales.x?.min ?? whole.from, to: plot?.scales.x?.max ?? whole.to });

/** A part of the whole period, not smaller than ten values. */
function look(from: number, to: number): void {
  const span = Math.min(whole.to - whole.from, Math.max(to - from, period * 10));
  const start = Math.min(Math.max(from, whole.from), whole.to - span);
  if (start < held.from - 1 || start + span > held.to + 1) return void show({ from: start, to: start + span });
  plot?.setScale("x", { min: start, max: start + span });
}

/** Around the value that is pointed at, or the middle. */
function zoom(factor: number): void {
  const { from, to } = shownNow();
  const pointed = plot?.cursor.idx == null ? undefined : data[0][plot.cursor.idx];
  const around = pointed !== undefined && pointed > from && pointed < to ? pointed : (from + to) / 2;
  look(around - (around - from) * factor, around + (to - around) * factor);
}

function move(share: number): void {
  const { from, to } = shownNow();
  look(from + (to - from) * share, to + (to - from) * share);
}

/** Points at the value so many places on, and says it. */
function step(places: number): void {
  if (!plot) return;
  const [times, values] = data as [number[], (number | null)[]];
  const { from, to } = shownNow();
  const first = plot.cursor.idx ?? (places > 0 ? times.findIndex((at) => at >= from) - 1 : times.length);
  let next = Math.min(times.length - 1, Math.max(0, first + places));
  while (values[next] === null && next + Math.sign(places) >= 0 && next + Math.sign(places) < times.length) next += Math.sign(places);
  const at = times[next];
  if (at === undefined) return;
  if (at < from || at > to) look(at - (to - from) / 2, at + (to - from) / 2);
  plot.setCursor({ left: plot.valToPos(at, "x"), top: plot.valToPos(values[next] ?? 0, "y") });
  told.textContent = `${both.format(at * 1000)}: ${number(values[next])}`;
}

const ACTIONS: Record<string, () => void> = {
  in: () => zoom(0.5),
  out: () => zoom(2),
  earlier: () => move(-0.5),
  later: () => move(0.5),
  whole: () => void show({ ...whole }),
};

function pressed(event: KeyboardEvent): void {
  const wide = event.shiftKey ? 10 : 1;
  const keys: Record<string, () => void> = {
    ArrowLeft: () => step(-wide),
    ArrowRight: () => step(wide),
    PageUp: () => move(-0.5),
    PageDown: () => move(0.5),
    "+": () => zoom(0.5),
    "=": () => zoom(0.5),
    "-": () => zoom(2),
    Escape: () => void show({ ...whole }),
    "0": () => void show({ ...whole }),
  };
  const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function draw(shown: { from: number; to: number }): void {
  plot?.destroy();
  plot = new uPlot(options(place.clientWidth, data.length, shown), data as uPlot.AlignedData, place);
  plot.over.addEventListener("dblclick", () => void show(whole), { capture: true });
  place.querySelector("canvas")?.setAttribute("aria-hidden", "true");
  place.dataset.points = String(data[0].length);
  place.dataset.columns = String(data.length);
}

async function show(shown: { from: number; to: number }): Promise<void> {
  data = await load(shown.from, shown.to);
  held = { ...shown };
  draw(shown);
}

/** Somebody zoomed into intervals: a moment later what was measured takes their place. */
function looked(of: uPlot): void {
  const { min, max } = of.scales.x ?? {};
  if (min != null && max != null) place.dataset.shown = String(Math.round(max - min));
  if (min == null || max == null || data.length < 3 || max - min > (held.to - held.from) * 0.8) return;
  window.clearTimeout(finer);
  finer = window.setTimeout(() => void show({ from: min, to: max }), 250);
}

function append(latest: Latest): void {
  if (latest.datastream !== key || latest.result === null || (latest.quality ?? 9) > 2 || latest.phenomenon_time === null || data.length !== 2) return;
  const at = seconds(latest.phenomenon_time);
  const [times, values] = data as [number[], (number | null)[]];
  const last = times[times.length - 1] ?? 0;
  if (at <= last || held.to < whole.to) return;
  if (at - last > gap) {
    times.push(last + gap / 2);
    values.push(null);
  }
  times.push(at);
  values.push(latest.result);
  // The whole period moves on with the newest value; a part that somebody looks at stays.
  const { min, max } = plot?.scales.x ?? {};
  const follows = max == null || max >= held.to - 1;
  whole.from += Math.max(0, at - whole.to);
  whole.to = held.to = Math.max(whole.to, at);
  redraw ??= window.setTimeout(() => {
    redraw = undefined;
    plot?.setData(data as uPlot.AlignedData, false);
    if (follows) plot?.setScale("x", { min: Math.min(min ?? whole.from, whole.from), max: whole.to });
    else plot?.redraw();
    place.dataset.points = String(times.length);
  }, 1000);
}

async function open(): Promise<void> {
  if (!figure) return;
  figure.dataset.open = "";
  place.className = "zoom";
  place.tabIndex = 0;
  place.setAttribute("role", "group");
  place.setAttribute("aria-label", keysWord);
  told.className = "vh";
  told.setAttribute("aria-live", "polite");
  const drawing = [...figure.querySelectorAll<SVGElement>("svg.chart")];
  figure.prepend(place, told);
  try {
    await show({ ...whole });
  } catch {
    delete figure.dataset.open;
    place.remove();
    told.className = "note";
    told.textContent = failedWord;
    figure.querySelectorAll<HTMLButtonElement>("button[data-chart]").forEach((button) => (button.disabled = false));
    return;
  }
  drawing.forEach((svg) => svg.classList.add("vh"));
  figure.querySelectorAll<HTMLElement>("[data-when=open]").forEach((element) => (element.hidden = false));
  figure.querySelectorAll<HTMLElement>("[data-when=closed]").forEach((element) => (element.hidden = true));
  figure.querySelectorAll<HTMLButtonElement>("button[data-do]").forEach((button) => button.addEventListener("click", () => ACTIONS[button.dataset.do ?? ""]?.()));
  place.addEventListener("keydown", pressed);
  document.addEventListener("pescaia:figure", (event) => {
    const fresh = (event as CustomEvent<HTMLElement>).detail.dataset.rain;
    if (fresh !== undefined && fresh !== settings.rain) {
      settings.rain = fresh;
      rain = JSON.parse(fresh) as Bar[];
      plot?.redraw();
    }
  });
  document.addEventListener("pescaia:latest", (event) => append((event as CustomEvent<Latest>).detail));
  new ResizeObserver(() => plot && place.clientWidth !== plot.width && plot.setSize({ width: place.clientWidth, height: plot.height })).observe(place);
}

void open();
