// Keeps a page current on a wall screen: fetches it again and puts the new <main> in place, counts ages on, and never lets a
// value look current when the link is gone. Without this script the page is whole, as of when it was loaded.

const EVERY_MS = 10_000;
const QUIET_MS = 60_000;

const root = document.documentElement;
const main = document.querySelector<HTMLElement>("main");
const spoken = document.getElementById("annuncio");
let loadedAt = Date.now();
let failures = 0;

const saving = (navigator as Navigator & { connection?: { saveData?: boolean } }).connection?.saveData === true;

/** The words of the server, chosen by the page's language. */
const word = (name: string): string => main?.dataset[name] ?? "";

function ageText(seconds: number): string {
  const [amount, unit] =
    seconds < 120 ? [seconds, "s"]
    : seconds < 7_200 ? [Math.floor(seconds / 60), "min"]
    : seconds < 172_800 ? [Math.floor(seconds / 3_600), "h"]
    : [Math.floor(seconds / 86_400), word("giorni")];
  return word("fa").replace("#", `${Math.max(0, Math.floor(amount as number))} ${unit}`);
}

/** Ages grow each second; past its limit a value is struck as old, whatever the server last said. */
function countOn(): void {
  const since = (Date.now() - loadedAt) / 1000;
  for (const element of document.querySelectorAll<HTMLElement>("[data-age]")) {
    const age = Number(element.dataset.age) + since;
    element.textContent = ageText(age);
    const limit = Number(element.dataset.limit);
    if (limit > 0 && age > limit) {
      element.closest("[data-state]")?.classList.add("aged");
    }
  }
}

async function refresh(): Promise<void> {
  if (document.hidden || !main) return;
  // Somebody reads, selects or types: do not pull the page away.
  const active = document.activeElement;
  if (active && active !== document.body && main.contains(active)) return;
  if (!document.getSelection()?.isCollapsed) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store", headers: { accept: "text/html" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main");
    if (!fresh) throw new Error("no page");
    const before = main.querySelector("[data-state]")?.getAttribute("data-state");
    const open = [...main.querySelectorAll("details")].map((details) => details.open);
    main.replaceChildren(...fresh.childNodes);
    main.querySelectorAll("details").forEach((details, place) => (details.open = open[place] ?? false));
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

if (main) {
  setInterval(countOn, 1_000);
  setInterval(() => void refresh(), saving ? QUIET_MS : EVERY_MS);
  document.addEventListener("visibilitychange", () => void refresh());
  // A page from the browser's cache or history is older than it says: ask at once.
  window.addEventListener("pageshow", (event) => {
    const [loaded] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
    if (event.persisted || loaded?.transferSize === 0) void refresh();
  });
}
