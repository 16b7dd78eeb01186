// Nothing old looks current: with the server held, and with a copy of a page that is served for ever, every open page goes grey by itself,
// without a tick, an arrow or a count, and comes back with the server. Expects the address and the process id of a demonstration.
import { execFileSync } from "node:child_process";
import { chromium } from "playwright-core";

const [base, server] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
const wrong = [];
const PATHS = ["/", "/livelli", "/stazioni/bisenzio-gamberame", "/stazioni/sofignano"];
const MARKS = /[✓▲■◆●↑↓]/u;
const COUNTS = /\d+ (stazion|livell|stations|levels|su \d|of \d)/;
const open = async (path) => {
  const page = await browser.newPage({ locale: "it-IT", viewport: { width: 1280, height: 900 } });
  await page.goto(base + path, { waitUntil: "load" });
  return page;
};
/** What a reader sees, without what is drawn and without the table of past measurements. */
const seen = (page) => page.evaluate(() => [...document.querySelectorAll("main .event, main .said, main .list, main .levels-table, main .card, main .near-by, main .levels, main .other")].filter((part) => part.checkVisibility()).map((part) => part.innerText).join("\n"));
const until = async (what, holds, ms = 60_000) => {
  for (const end = Date.now() + ms; ; await new Promise((done) => setTimeout(done, 250))) {
    if (await holds()) return;
    if (Date.now() > end) return wrong.push(`not within ${ms / 1000} s: ${what}`);
  }
};
const isGrey = async (page) => {
  const text = await seen(page);
  return !MARKS.test(text) && !COUNTS.test(text) && text.includes("◌");
};

const pages = [];
for (const path of PATHS) pages.push([path, await open(path)]);
for (const [path, page] of pages) if (!MARKS.test(await seen(page))) wrong.push(`${path}: nothing is current while the server is there`);
execFileSync("kill", ["-STOP", server]);
for (const [path, page] of pages) {
  await page.bringToFront();
  await until(`${path}: the lost link is said`, () => page.locator(".offline-note").isVisible(), 100_000);
  await until(`${path}: no mark, no count`, () => isGrey(page), 5_000);
  console.log(`${path} held: ${(await seen(page)).replaceAll("\n", " ").slice(0, 160)}`);
}
execFileSync("kill", ["-CONT", server]);
for (const [path, page] of pages) {
  await page.bringToFront();
  await until(`${path}: current again`, async () => MARKS.test(await seen(page)) && !(await page.locator(".offline-note").isVisible()));
  await page.close();
}

// A proxy that hands out one copy for ever: the link is there, the data grow old.
for (const path of PATHS) {
  const page = await browser.newPage({ locale: "it-IT" });
  const copy = await (await fetch(base + path, { headers: { accept: "text/html", "accept-language": "it" } })).text();
  await page.route(base + path, (route) => route.fulfill({ body: copy, contentType: "text/html; charset=utf-8" }));
  await page.route(/\/api\/v1\/live/, (route) => route.abort());
  await page.goto(base + path, { waitUntil: "load" });
  if (!MARKS.test(await seen(page))) wrong.push(`${path}: a fresh copy is grey`);
  await until(`${path}: an old copy is grey`, () => isGrey(page));
  if (await page.locator(".offline-note").isVisible()) wrong.push(`${path}: a link is called lost that is there`);
  await page.close();
}

// The focus of somebody who goes through the list by keyboard stays, and so does the news.
const list = await open("/");
await list.locator("ul.list a").first().focus();
const focused = () => list.evaluate(() => document.activeElement?.getAttribute("href"));
const [href, made] = [await focused(), await list.locator("ul.list time").first().getAttribute("datetime")];
await until("a list with the focus in it is renewed", async () => (await list.locator("ul.list time").first().getAttribute("datetime")) !== made);
await list.waitForTimeout(31_000);
if ((await focused()) !== href) wrong.push(`the focus went from ${href} to ${await focused()}`);
if (!MARKS.test(await seen(list))) wrong.push("a list with the focus in it is no longer renewed");

await browser.close();
if (wrong.length > 0) {
  console.log(wrong.join("\n"));
  process.exit(1);
}
