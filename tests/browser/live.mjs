// An open page keeps itself current, and says so when the link is gone: nothing old may look current.
// Expects the address and the process id of a pescaia that it may end.
import { execFileSync } from "node:child_process";
import { chromium } from "playwright-core";

const [base, server] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
const page = await browser.newPage({ locale: "it-IT" });
const wrong = [];
await page.goto(`${base}/stazioni/bisenzio-gamberame`, { waitUntil: "networkidle" });
const measured = () => page.locator(".card time").getAttribute("datetime");
const before = await measured();
await page.waitForTimeout(25_000);
if ((await measured()) === before) wrong.push("the page did not refresh itself");
execFileSync("kill", ["-9", server]);
await page.waitForTimeout(45_000);
if (!(await page.locator(".offline-note").isVisible())) wrong.push("the lost link is not said");
if (!(await page.locator(".card").getAttribute("class")).includes("aged")) wrong.push("the old value still looks current");
const age = Number.parseInt(await page.locator(".card [data-age]").innerText(), 10);
if (!(age >= 40)) wrong.push(`an age of ${age} s after 45 s without a server`);
await browser.close();
if (wrong.length > 0) {
  console.log(wrong.join("\n"));
  process.exit(1);
}
