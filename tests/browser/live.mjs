// An open page keeps itself current, and says so when the link is gone: nothing old may look current.
// Expects the address and the process id of a pescaia that it may end.
import { execFileSync } from "node:child_process";
import { chromium } from "playwright-core";

const [base, server] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
const page = await browser.newPage({ locale: "it-IT" });
const wrong = [];
await page.goto(`${base}/stazioni/bisenzio-gamberame`, { waitUntil: "load" });
// The chart that can be zoomed: opened, it stays while the page renews itself, and grows with the newest value.
await page.locator("button[data-chart]").click();
const points = async () => Number(await page.locator(".zoom[data-points]").getAttribute("data-points"));
const opened = await points();
if (!(opened > 8000)) wrong.push(`${opened} points in the opened chart`);
const measured = () => page.locator(".card time").getAttribute("datetime");
const before = await measured();
await page.waitForTimeout(25_000);
if ((await measured()) === before) wrong.push("the page did not refresh itself");
if (!((await points()) > opened)) wrong.push("the opened chart did not grow");
const over = await page.locator(".u-over").boundingBox();
await page.mouse.move(over.x + over.width * 0.5, over.y + 50);
await page.mouse.down();
await page.mouse.move(over.x + over.width * 0.7, over.y + 50, { steps: 5 });
await page.mouse.up();
await page.locator("button[data-whole]").click();
execFileSync("kill", ["-9", server]);
await page.waitForTimeout(45_000);
if (!(await page.locator(".offline-note").isVisible())) wrong.push("the lost link is not said");
if (!(await page.locator(".card").getAttribute("class")).includes("aged")) wrong.push("the old value still looks current");
const age = Number.parseInt(await page.locator(".card [data-at]").innerText(), 10);
if (!(age >= 40)) wrong.push(`an age of ${age} s after 45 s without a server`);
await browser.close();
if (wrong.length > 0) {
  console.log(wrong.join("\n"));
  process.exit(1);
}
