// Opens every page at desktop and phone width, with and without JavaScript, and fails on a console error, an axe finding,
// a page wider than its window, or more bytes than its budget.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const base = process.argv[2];
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const BUDGET = 60_000;
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const pages = [
  ["/", 200], ["/?lang=en", 200], ["/?q=bisenzio", 200], ["/stazioni/bisenzio-gamberame", 200], ["/stazioni/bisenzio-gamberame?periodo=30g&lang=en", 200],
  ["/livelli", 200], ["/livelli?ordina=fiume&fiume=Bisenzio&lang=en", 200], ["/dati", 200], ["/dati/livelli-giornalieri", 200], ["/dati/livelli-giornalieri?lang=en", 200],
  ["/dati/nowhere", 404], ["/stazioni/bisenzio-gamberame?periodo=1a", 200], ["/stazioni/castelletti", 200], ["/stazioni/sofignano", 200], ["/stazioni/prova", 200], ["/stazioni/nowhere", 404], ["/nessuna/pagina", 404], ["/?q=vaiano", 200], ["/stazioni/schwingbach", 200],
];
const wrong = [];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
for (const [width, height] of [[1280, 900], [360, 740], [320, 640]]) {
  for (const [path, expected] of pages) {
    const context = await browser.newContext({ viewport: { width, height }, locale: "it-IT", timezoneId: "Europe/Rome", reducedMotion: "reduce" });
    const page = await context.newPage();
    const say = (text) => wrong.push(`${width} ${path}: ${text}`);
    page.on("console", (message) => { if (message.type() === "error" && expected === 200) say(`console: ${message.text()}`); });
    page.on("pageerror", (error) => say(`script: ${error}`));
    const wire = await context.newCDPSession(page);
    await wire.send("Network.enable");
    let bytes = 0;
    wire.on("Network.loadingFinished", (event) => { bytes += event.encodedDataLength; });
    // The live feed never rests, so neither does the network.
    const answer = await page.goto(base + path, { waitUntil: "load" });
    await page.evaluate(() => document.fonts.ready);
    await page.waitForTimeout(150);
    if (answer.status() !== expected) say(`status ${answer.status()}`);
    if (bytes > BUDGET) say(`${bytes} bytes`);
    const [scroll, inner] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    if (scroll > inner) say(`${scroll} wide`);
    if (width !== 320) {
      await page.evaluate(axe);
      const found = await page.evaluate((tags) => window.axe.run({ runOnly: tags }), TAGS);
      for (const finding of found.violations) say(`axe ${finding.id}: ${finding.nodes[0].html}`);
    }
    console.log(`${width} ${path} ${bytes} bytes`);
    await context.close();
  }
}
const plain = await browser.newContext({ javaScriptEnabled: false });
const page = await plain.newPage();
await page.goto(`${base}/stazioni/bisenzio-gamberame`);
for (const [what, selector] of [["sentence", ".said"], ["value", ".value"], ["chart", "svg.chart path.level"], ["table", "tbody tr"]]) {
  if ((await page.locator(selector).count()) === 0) wrong.push(`without JavaScript: no ${what}`);
}
await page.goto(`${base}/livelli`);
if ((await page.locator("tbody tr").count()) < 9) wrong.push("without JavaScript: no levels");
await page.goto(`${base}/dati/livelli-giornalieri`);
if ((await page.locator("a[download]").count()) < 3) wrong.push("without JavaScript: nothing to download");
await browser.close();
if (wrong.length > 0) {
  console.log(wrong.join("\n"));
  process.exit(1);
}
