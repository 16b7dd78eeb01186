// Keeps a page current on a wall screen: listens to what is committed, fetches the page again and puts what changed in place,
// counts ages on, and never lets a value look current when the link is gone or the value is old. Without this script the page is
// whole, as of the time that stands in its foot.

import type { Latest, RainSum } from "./latest";

/** Between two looks: without the live feed, beside it, and where data are dear. */
const ALONE_MS = 10_000;
const BESIDE_FEED_MS = 30_000;
const SAVING_MS = 60_000;
/** A page that changes all the time is fetched again no more often than this. */
const LEAST_MS = 900;
/** A server that says nothing for so long is not there; a second look follows so soon before the link counts as lost. */
const PATIENCE_MS = 8_000;
const SECOND_LOOK_MS = 2_000;
/** Somebody who selects text keeps the page from being renewed for no longer than this. */
const SELECTING_MS = 30_000;
/** A page that seems older than this when it is opened comes from a cache, or this machine's clock is wrong: it is fetched anew. */
const OLD_PAGE_MS = 20_000;
/** Within so many metres per hour a level is stable, as the server has it. */
const STABLE = 0.01;

const root = document.documentElement;
const main = document.querySelector<HTMLElement>("main");
const spoken = document.getElementById("annuncio");
let askedAt = 0;
let renewedAt = Date.now();
let failures = 0;
let waiting: number | undefined;
let feed: EventSource | undefined;

const saving = (navigator as Navigator & { connection?: { saveData?: boolean } }).connection?.saveData === true;

/** The words of the server, chosen by the page's language. */
const word = (name: string): string => main?.dataset[name] ?? "";
const clock = new Intl.DateTimeFormat(root.lang, { timeZone: "Europe/Rome", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** This machine's clock less the server's, milliseconds. An answer is never younger than it says, so the least that was seen is nearest. */
let ahead = Number.POSITIVE_INFINITY;
const pageAge = Date.now() - Number(main?.dataset.made);
const seemsOld = pageAge > OLD_PAGE_MS;
/** Until the server was asked, a page that seems old counts as old. */
const assumed = seemsOld ? 0 : pageAge;
const serverNow = (): number => (Date.now() - (Number.isFinite(ahead) ? ahead : assumed)) / 1000;

function ageText(seconds: number): string {
  const [amount, unit] =
    seconds < 120 ? [seconds, "s"]
    : seconds < 7_200 ? [seconds / 60, "min"]
    : seconds < 172_800 ? [seconds / 3_600, "h"]
    : [seconds / 86_400, word("giorni")];
  return word("fa").replace("#", `${Math.max(0, Math.floor(amount as number))} ${unit}`);
}

/** The age, with the clock time that the server wrote beside it. */
function countOn(): void {
  for (const element of document.querySelectorAll<HTMLElement>("[data-at]")) {
    const clockTime = element.dataset.clock ?? (element.textContent ?? "").split(", ").slice(1).join(", ");
    element.dataset.clock = clockTime;
    const text = `${ageText(serverNow() - Number(element.dataset.at))}, ${clockTime}`;
    if (element.textContent !== text) element.textContent = text;
  }
}

/** What may not be seen of an old value goes, and what says so comes. */
function grey(element: Element, isGrey: boolean, within: (part: Element) => boolean): void {
  for (const part of element.querySelectorAll<HTMLElement>("[data-fresh]")) if (within(part)) part.hidden = isGrey;
  for (const part of element.querySelectorAll<HTMLElement>("[data-grey]")) if (within(part)) part.hidden = !isGrey;
}

/** Past its time, or without a link, nothing has a tick, an arrow or a count, whatever the server last said. Grey wins. */
function judge(): void {
  if (!main) return;
  const offline = failures >= 2;
  root.classList.toggle("offline", offline);
  const note = document.querySelector<HTMLElement>(".offline-note");
  if (note) note.hidden = !offline;
  let anyAged = false;
  const now = serverNow();
  for (const card of main.querySelectorAll<HTMLElement>("[data-state]")) {
    // The server has greyed it already, and says why.
    const known = card.classList.contains("old");
    const staleAt = Number(card.dataset.staleAt);
    const isAged = !known && (offline || (staleAt > 0 && now >= staleAt));
    const was = card.classList.contains("aged");
    card.classList.toggle("aged", isAged);
    grey(card, isAged, (part) => part.closest("[data-state]") === card);
    anyAged ||= isAged;
    if (isAged && !was && !offline) refreshSoon();
  }
  // What is counted over all of them, and the strip of an event.
  const uncertain = anyAged || offline;
  grey(main, uncertain, (part) => part.closest("[data-state]") === null);
  for (const here of main.querySelectorAll("[data-here]")) uncertain ? here.removeAttribute("aria-current") : here.setAttribute("aria-current", "true");
}

/** What has the focus keeps it when its part of the page is replaced, by its id or address. */
function refocus(change: () => void): void {
  const active = document.activeElement as HTMLElement | null;
  const inside = active && main?.contains(active) ? active : null;
  const find = inside?.id ? `#${CSS.escape(inside.id)}` : inside?.hasAttribute("href") ? `[href="${CSS.escape(inside.getAttribute("href") ?? "")}"]` : inside?.getAttribute("aria-label") ? `[aria-label="${CSS.escape(inside.getAttribute("aria-label") ?? "")}"]` : "";
  change();
  if (inside && !inside.isConnected && find) main?.querySelector<HTMLElement>(find)?.focus({ preventScroll: true });
}

/** Puts in place what differs; a form that somebody fills in, and a chart that was opened, stay. */
function renew(fresh: Element): void {
  if (!main) return;
  const [old, now] = [[...main.children], [...fresh.children]];
  const open = main.querySelector<HTMLElement>("figure[data-open]");
  const drawn = fresh.querySelector<HTMLElement>("figure");
  if (open && drawn) document.dispatchEvent(new CustomEvent("pescaia:figure", { detail: drawn }));
  const stays = (element: Element): boolean => element === open || (element.contains(document.activeElement) && element.matches("form, details"));
  const alike = old.length === now.length && old.every((element, place) => element.tagName === now[place]?.tagName);
  refocus(() => {
    if (!alike) {
      if (open && drawn) drawn.replaceWith(open);
      main.replaceChildren(...fresh.children);
      return;
    }
    old.forEach((element, place) => {
      const next = now[place];
      if (!next || element.isEqualNode(next) || stays(element)) return;
      if (element instanceof HTMLDetailsElement && next instanceof HTMLDetailsElement) next.open = element.open;
      const scrolled = element.scrollLeft;
      element.replaceWith(next);
      next.scrollLeft = scrolled;
    });
  });
}

const isSelecting = (): boolean => document.getSelection()?.isCollapsed === false && Date.now() - renewedAt < SELECTING_MS;

async function refresh(): Promise<void> {
  if (document.hidden || !main || isSelecting()) return;
  askedAt = Date.now();
  try {
    const answer = await fetch(location.href, { cache: "no-store", headers: { accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector<HTMLElement>("main");
    if (!fresh) throw new Error("no page");
    const stateOf = (): string => main.querySelector("[data-summary]")?.getAttribute("data-summary") ?? main.querySelector("[data-state]")?.getAttribute("data-state") ?? "";
    const before = stateOf();
    ahead = Math.min(ahead, Date.now() - Number(fresh.dataset.made));
    renew(fresh);
    renewedAt = Date.now();
    failures = 0;
    scripted();
    countOn();
    judge();
    const after = stateOf();
    if (spoken && after && after !== before) spoken.textContent = main.querySelector("[data-say]")?.textContent ?? "";
  } catch {
    failures += 1;
    judge();
    if (failures === 1) window.setTimeout(() => void refresh(), SECOND_LOOK_MS);
  }
}

/** Soon, but not too often. */
function refreshSoon(): void {
  if (waiting !== undefined) return;
  const wait = Math.max(0, LEAST_MS - (Date.now() - askedAt));
  waiting = window.setTimeout(() => {
    waiting = undefined;
    void refresh();
  }, wait);
}

const fixed = (value: number, decimals: number): string => value.toLocaleString(root.lang, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });

/** As the server writes a rate of rise. */
function rateText(rise: number | null): string {
  if (rise === null) return "";
  if (Math.abs(rise) <= STABLE) return word("stabile");
  return `${rise > 0 ? "↑" : "↓"} ${fixed(Math.abs(rise * 100), 0)} cm/h`;
}

/** As the server writes a sum of rain. */
const sumText = ({ period, sum, is_whole: isWhole }: RainSum): string => `${isWhole ? "" : "≥ "}${fixed(sum ?? 0, 1)} mm in ${period.replace(/\D/g, "")} h`;

/** The sums of a gauge's row, unless rain has begun or ended with them. */
function setRain(row: HTMLElement, rain: RainSum[]): boolean {
  const [first, ...more] = rain.filter((sum) => sum.sum !== null);
  const value = row.querySelector<HTMLElement>("[data-sums]");
  const rest = row.querySelector<HTMLElement>("[data-rate]");
  if (!first || !value || !rest || ((first.sum ?? 0) > 0) !== row.classList.contains("rain")) return false;
  value.textContent = sumText(first);
  rest.textContent = more.map(sumText).join(" · ");
  return true;
}

/** What the feed says of one datastream: its row of a list is set at once; whatever else changes with it, the page is fetched again. */
function heard(latest: Latest): void {
  document.dispatchEvent(new CustomEvent("pescaia:latest", { detail: latest }));
  if (main?.dataset.live !== "") return refreshSoon();
  const row = main.querySelector<HTMLElement>(`[data-key="${CSS.escape(latest.datastream)}"]`);
  if (!row) return;
  const value = row.querySelector<HTMLElement>("[data-now]");
  const age = row.querySelector<HTMLElement>("[data-at]");
  const rate = row.querySelector<HTMLElement>("[data-rate]");
  const isRain = row.querySelector("[data-sums]") !== null;
  const sameState = row.dataset.level === latest.state && Number(row.dataset.near) === (latest.near_threshold ?? 0) && !row.classList.contains("old") && !row.classList.contains("odd");
  const isPlain = latest.result !== null && latest.phenomenon_time !== null && latest.stale_at !== null && !latest.stale && (latest.quality ?? 9) <= 2;
  if (!age || !sameState || !isPlain || (isRain ? !setRain(row, latest.rain ?? []) : !value)) return refreshSoon();
  const at = Date.parse(latest.phenomenon_time ?? "");
  if (value) value.textContent = fixed(latest.result ?? 0, Number(value.dataset.now)) + (value.dataset.unit ?? "");
  if (rate && !isRain) rate.textContent = rateText(latest.rise_per_hour);
  age.dataset.at = String(Math.floor(at / 1000));
  age.dataset.clock = word("alle").replace("#", clock.format(at));
  age.setAttribute("datetime", latest.phenomenon_time ?? "");
  row.dataset.staleAt = String(Math.floor(Date.parse(latest.stale_at ?? "") / 1000));
  countOn();
  judge();
}

/** The feed lives while the page is looked at. */
function listen(): void {
  if (saving || !main || main.dataset.live === undefined) return;
  if (document.hidden) {
    feed?.close();
    feed = undefined;
    return;
  }
  if (feed && feed.readyState !== EventSource.CLOSED) return;
  const stations = main.dataset.live;
  feed = new EventSource(`/api/v1/live${stations ? `?stations=${encodeURIComponent(stations)}` : ""}`);
  feed.addEventListener("latest", (event) => heard(JSON.parse((event as MessageEvent<string>).data) as Latest));
  // The browser connects again by itself; whether anybody is there is asked at once.
  feed.addEventListener("error", () => void refresh());
}

/** What works only with this script is shown by it. */
function scripted(): void {
  for (const element of document.querySelectorAll<HTMLElement>("[data-scripted]")) element.hidden = false;
}

if (main) {
  scripted();
  countOn();
  judge();
  setInterval(() => {
    countOn();
    judge();
  }, 1_000);
  setInterval(() => {
    const every = failures > 0 ? ALONE_MS : saving ? SAVING_MS : feed?.readyState === EventSource.OPEN ? BESIDE_FEED_MS : ALONE_MS;
    if (Date.now() - askedAt >= every - 500) void refresh();
    if (feed?.readyState === EventSource.CLOSED) listen();
  }, ALONE_MS);
  askedAt = Date.now();
  listen();
  if (seemsOld) void refresh();
  document.addEventListener("visibilitychange", () => {
    listen();
    void refresh();
  });
  window.addEventListener("offline", () => {
    failures = Math.max(failures, 2);
    judge();
  });
  window.addEventListener("online", () => void refresh());
  // A page from the browser's cache or history is older than it says: ask at once.
  window.addEventListener("pageshow", (event) => {
    const [loaded] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
    if (event.persisted || loaded?.transferSize === 0) void refresh();
  });
  // The chart that can be zoomed is fetched when somebody wants it.
  document.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLButtonElement>("button[data-chart]");
    if (!button || button.disabled) return;
    button.disabled = true;
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = button.dataset.style ?? "";
    const script = document.createElement("script");
    script.src = button.dataset.chart ?? "";
    script.addEventListener("error", () => (button.disabled = false));
    document.head.append(style, script);
  });
}

export {};
