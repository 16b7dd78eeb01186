// Names that would be markup are text on every page; a gauge without data has its page. Expects the address.
import { chromium } from "playwright-core";

const base = process.argv[2];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
const page = await browser.newPage({ locale: "it-IT" });
const wrong = [];
page.on("dialog", (dialog) => { wrong.push(`a dialog: ${dialog.message()}`); void dialog.dismiss(); });
page.on("pageerror", (error) => wrong.push(`script: ${error}`));
for (const path of ["/", "/livelli", "/stazioni/evil", "/?q=%3Cscript%3Ealert(1)%3C/script%3E", "/livelli?fiume=%3Cscript%3Ealert(1)%3C/script%3E"]) {
  const answer = await page.goto(base + path, { waitUntil: "load" });
  if (answer.status() !== 200) wrong.push(`${path}: status ${answer.status()}`);
  await page.waitForTimeout(1200);
  if ((await page.locator("main script, main img").count()) > 0) wrong.push(`${path}: a name became markup`);
  if (path === "/" && !(await page.locator("main").innerText()).includes("<script>alert(1)</script>")) wrong.push("the name is not shown as it is");
}
await page.goto(`${base}/stazioni/evil`, { waitUntil: "load" });
const text = await page.locator("main").innerText();
if (!text.includes("Nessun dato") || !text.includes("Nessuna misura ricevuta finora.")) wrong.push(`no data is not said: ${text.slice(0, 200)}`);
if ((await page.locator(".card.ok").count()) > 0) wrong.push("no data is green");
await browser.close();
if (wrong.length > 0) {
  console.log(wrong.join("\n"));
  process.exit(1);
}
