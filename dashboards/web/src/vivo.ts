// Keeps a page current on a wall screen: listens to what is committed, fetches the page again and puts what changed in place,
// counts ages on, and never lets a value look current when the link is gone. Without this script the page is whole, as of when it
// was loaded.

import type { Latest } from "./latest";

/** Between two looks: without the live feed, beside it, and where data are dear. */
const ALONE_MS = 10_000;
const BESIDE_FEED_MS = 30_000;
const SAVING_MS = 60_000;
/** A page that changes all the time is fetched again no more often than this. */
const LEAST_MS = 900;

const root = document.documentElement;
const main = document.querySelector<HTMLElement>("main");
const spoken = document.getElementById("annuncio");
let loadedAt = Date.now();
let askedAt = 0;
let failures = 0;
let waiting: number | undefined;
let feed: EventSource | undefined;

const saving = (navigator as Navigator & { connection?: { saveData?: boolean } }).connection?.saveData === true;

/** The words of the server, chosen by the page's language. */
const word = (name: string): string => main?.dataset[name] ?? "";

function ageText(seconds: number): string {
  const [amount, unit] =
    seconds < 120 ? [seconds, "s"]
    : seconds < 7_200 ? [seconds / 60, "min"]
    : seconds < 172_800 ? [seconds / 3_600, "h"]
    : [seconds / 86_400, word("giorni")];
  return word("fa").replace("#", `${Math.max(0, Math.floor(amount as number))} ${unit}`);
}

/** Ages grow each second; past its limit a value is struck as old, whatever the server last said. */
function countOn(): void {
  const since = (Date.now() - loadedAt) / 1000;
  for (const element of document.querySelectorAll<HTMLElement>("[data-age]")) {
    const age = Number(element.dataset.age) + since;
    const text = ageText(age);
    if (element.textContent !== text) element.textContent = text;
    const limit = Number(element.dataset.limit);
    if (limit > 0) element.closest("[data-state]")?.classList.toggle("aged", age > limit);
  }
}

/** Puts in place what differs; what somebody is using, and a chart that was opened, stay. */
function renew(fresh: Element): void {
  if (!main) return;
  const [old, now] = [[...main.children], [...fresh.children]];
  const alike = old.length === now.length && old.every((element, place) => element.tagName === now[place]?.tagName);
  if (!alike) {
    if (!main.contains(document.activeElement) || document.activeElement === main) main.replaceChildren(...now);
    return;
  }
  old.forEach((element, place) => {
    const next = now[place];
    if (!next || element.isEqualNode(next) || element.contains(document.activeElement) || element.matches("[data-open]")) return;
    if (element instanceof HTMLDetailsElement && next instanceof HTMLDetailsElement) next.open = element.open;
    const scrolled = element.scrollLeft;
    element.replaceWith(next);
    next.scrollLeft = scrolled;
  });
}

async function refresh(): Promise<void> {
  if (document.hidden || !main) return;
  // Somebody selects: do not pull the page away.
  if (!document.getSelection()?.isCollapsed) return;
  askedAt = Date.now();
  try {
    const answer = await fetch(location.href, { cache: "no-store", headers: { accept: "text/html" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main");
    if (!fresh) throw new Error("no page");
    const before = main.querySelector("[data-state]")?.getAttribute("data-state");
    renew(fresh);
    loadedAt = Date.now();
    failures = 0;
    root.classList.remove("offline");
    const after = main.querySelector("[data-state]")?.getAttribute("data-state");
    if (spoken && after && after !== before) spoken.textContent = main.querySelector("[data-say]")?.textContent ?? "";
  } catch {
    failures += 1;
    if (failures >= 2) root.classList.add("offline");
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

/** What the feed says of one datastream: its row of a list is set at once, a page of its own is fetched again. */
function heard(latest: Latest): void {
  document.dispatchEvent(new CustomEvent("pescaia:latest", { detail: latest }));
  if (main?.dataset.live !== "") return refreshSoon();
  const row = main.querySelector<HTMLElement>(`[data-key="${CSS.escape(latest.datastream)}"]`);
  if (!row) return;
  const value = row.querySelector<HTMLElement>("[data-now]");
  const age = row.querySelector<HTMLElement>("[data-age]");
  const decimals = value?.dataset.now;
  if (!value || !age || !decimals || latest.result === null || latest.age_s === null || row.dataset.level !== latest.state) return refreshSoon();
  const format = { minimumFractionDigits: Number(decimals), maximumFractionDigits: Number(decimals) };
  const text = latest.result.toLocaleString(root.lang, format).replace("-", "\u2212") + (value.dataset.unit ?? "");
  if (value.textContent !== text) value.textContent = text;
  age.dataset.age = String(latest.age_s - (Date.now() - loadedAt) / 1000);
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

if (main) {
  setInterval(countOn, 1_000);
  setInterval(() => {
    const every = saving ? SAVING_MS : feed?.readyState === EventSource.OPEN ? BESIDE_FEED_MS : ALONE_MS;
    if (Date.now() - askedAt >= every - 500) void refresh();
    if (feed?.readyState === EventSource.CLOSED) listen();
  }, ALONE_MS);
  askedAt = Date.now();
  listen();
  document.addEventListener("visibilitychange", () => {
    listen();
    void refresh();
  });
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
