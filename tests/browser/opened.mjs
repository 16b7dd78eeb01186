// The chart that can be zoomed, opened at three widths: nothing runs off the side, the rain and the bands are still there, and it goes by
// keyboard. Expects the address of a demonstration.
import { chromium } from "playwright-core";

const base = process.argv[2];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
const wrong = [];
/** Pixels of the canvas in each of these colours. */
const painted = (page) => page.evaluate(() => {
  const canvas = document.querySelector(".zoom canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const colours = { band1: [0xfd, 0xf0, 0xc8], band2: [0xfa, 0xdc, 0xd3], rain: [0x5b, 0x8f, 0xc7], line: [0x17, 0x32, 0x4d] };
  const found = Object.fromEntries(Object.keys(colours).map((name) => [name, 0]));
  for (let at = 0; at < data.length; at += 4) {
    for (const [name, colour] of Object.entries(colours)) if (colour.every((part, place) => Math.abs(data[at + place] - part) < 6)) found[name] += 1;
  }
  return found;
});
for (const width of [360, 768, 1280]) {
  const page = await browser.newPage({ locale: "it-IT", viewport: { width, height: 800 } });
  const say = (text) => wrong.push(`${width}: ${text}`);
  page.on("pageerror", (error) => say(`script: ${error}`));
  await page.goto(`${base}/stazioni/bisenzio-gamberame`, { waitUntil: "load" });
  const fits = async (when) => {
    const [scroll, inner] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    if (scroll > inner) say(`${when}: ${scroll} wide`);
  };
  await fits("closed");
  await page.locator("button[data-chart]").click();
  await page.locator(".zoom[data-points]").waitFor({ timeout: 60_000 });
  await page.waitForTimeout(500);
  await fits("opened");
  const found = await painted(page);
  console.log(width, JSON.stringify(found));
  for (const [name, pixels] of Object.entries(found)) if (pixels < 20) say(`no ${name} in the opened chart`);
  const shown = async () => Number(await page.locator(".zoom").getAttribute("data-shown"));
  const whole = await shown();
  await page.locator(".zoom").focus();
  await page.keyboard.press("+");
  await page.waitForTimeout(300);
  const nearer = await shown();
  if (!(nearer < whole * 0.6)) say(`the key + shows ${nearer} s of ${whole}`);
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  const told = await page.locator("figure p[aria-live]").innerText();
  if (!/\d,\d\d m/.test(told)) say(`the arrows say "${told}"`);
  await page.locator("button[data-do=earlier]").click();
  await page.locator("button[data-do=out]").click();
  await page.keyboard.press("Tab");
  await page.locator(".zoom").focus();
  await page.keyboard.press("Escape");
  await page.waitForTimeout(1500);
  if (Math.abs((await shown()) - whole) > whole * 0.1) say(`Escape shows ${await shown()} s of ${whole}`);
  await fits("zoomed");
  await page.setViewportSize({ width: 340, height: 800 });
  await page.waitForTimeout(500);
  await fits("made narrower");
  await page.close();
}
await browser.close();
if (wrong.length > 0) {
  console.log(wrong.join("\n"));
  process.exit(1);
}
