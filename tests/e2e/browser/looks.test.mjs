// SPDX-License-Identifier: Apache-2.0
// Every page, light and dark, wide and at 360 pixels: nothing sticks out, nothing is in the console, text
// has contrast.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newPage, signIn, startBrowser, startFixture, widthOverflow } from "./lib.mjs";

let site, chrome, paths;
before(async () => {
  site = await startFixture(process.env.WEB_FIXTURE);
  chrome = await startBrowser();
  const p = "/owner/harbor";
  paths = ["/", "/?show=all", "/help", "/projects/new", "/-/user_settings/personal_access_tokens", "/admin/runners", "/yard",
    p, "/owner/empty-dock", `${p}/-/tree/main/tides/2026/november`, `${p}/-/blob/main/src/main.c`,
    `${p}/-/blob/main/tides/2026/november/north-quay-with-a-rather-long-file-name.csv`, `${p}/-/commits`,
    `${p}/-/commit/${site.sha}`, `${p}/-/branches`, `${p}/-/tags`, `${p}/-/pipelines`,
    ...[site.good_pipeline, site.mixed_pipeline, site.error_pipeline, site.live_pipeline].map((i) => `${p}/-/pipelines/${i}`),
    ...[site.good_job, site.bad_job, site.manual_job, site.waiting_job].map((i) => `${p}/-/jobs/${i}`),
    `${p}/-/jobs/${site.good_job}/artifacts/browse`, `${p}/-/project_members`, `${p}/-/settings/ci_cd`, `${p}/-/settings`];
});
after(async () => {
  await chrome.stop();
  await site.stop();
});

// Text whose contrast with what is behind it is below WCAG AA, computed in the page.
function lowContrast() {
  const parse = (c) => {
    const m = c.match(/[\d.]+/g).map(Number);
    return { r: m[0], g: m[1], b: m[2], a: m.length > 3 ? m[3] : 1 };
  };
  const over = (t, u) => ({ r: t.r * t.a + u.r * (1 - t.a), g: t.g * t.a + u.g * (1 - t.a), b: t.b * t.a + u.b * (1 - t.a), a: 1 });
  const light = ({ r, g, b }) => {
    const f = (v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
  };
  const behind = (e) => {
    const layers = [];
    for (let n = e; n; n = n.parentElement) {
      const c = getComputedStyle(n).backgroundColor;
      if (!/^rgb/.test(c)) continue;
      const p = parse(c);
      if (p.a) layers.push(p);
      if (p.a === 1) break;
    }
    return layers.reverse().reduce((u, t) => over(t, u), { r: 255, g: 255, b: 255, a: 1 });
  };
  const bad = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; (n = walker.nextNode()); ) {
    const e = n.parentElement;
    if (!n.data.trim() || e.closest("svg, .sr, template, [aria-hidden=true]") || !e.getClientRects().length) continue;
    const s = getComputedStyle(e);
    if (s.visibility === "hidden" || !/^rgb/.test(s.color)) continue;
    const back = behind(e);
    const front = over({ ...parse(s.color), a: parse(s.color).a * Number(s.opacity) }, back);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(s.fontSize);
    const need = size >= 24 || (size >= 18.6 && Number(s.fontWeight) >= 700) ? 3 : 4.5;
    if (ratio < need) bad.push(`${ratio.toFixed(2)} "${n.data.trim().slice(0, 30)}" .${e.className}`);
  }
  return bad;
}

for (const [name, options] of Object.entries({
  "light, wide": { viewport: { width: 1440, height: 900 }, colorScheme: "light" },
  "dark, wide": { viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  "light, phone": { viewport: { width: 360, height: 740 }, colorScheme: "light", hasTouch: true },
  "dark, phone": { viewport: { width: 360, height: 740 }, colorScheme: "dark", hasTouch: true },
}))
  test(name, async () => {
    const page = await newPage(chrome.browser, options);
    await page.goto(`${site.base}/users/sign_in`);
    assert.equal(await widthOverflow(page), 0, "sign-in is too wide");
    await signIn(page, site.base, site.password);
    const dark = options.colorScheme === "dark";
    for (const path of paths) {
      const answer = await page.goto(site.base + path);
      assert.equal(answer.status(), 200, path);
      assert.equal(await widthOverflow(page), 0, `${path} is too wide`);
      const back = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
      assert.equal(Number(back.match(/\d+/)[0]) < 60, dark, `${path}: ${back}`);
      assert.deepEqual(await page.evaluate(lowContrast), [], `${path}: contrast`);
    }
    assert.deepEqual(page.complaints, []);
  });

test("the theme can be chosen and stays", async () => {
  const page = await newPage(chrome.browser, { colorScheme: "light" });
  await signIn(page, site.base, site.password);
  await page.click("#theme");
  assert.equal(await page.getAttribute("html", "data-theme"), "dark");
  await page.goto(`${site.base}/help`);
  assert.equal(await page.getAttribute("html", "data-theme"), "dark");
  await page.click("#theme");
  assert.equal(await page.getAttribute("html", "data-theme"), "light");
});

test("the clone address can be copied", async () => {
  const page = await newPage(chrome.browser, { permissions: ["clipboard-read", "clipboard-write"] });
  await signIn(page, site.base, site.password);
  await page.goto(`${site.base}/owner/harbor`);
  await page.click("summary:has-text('Clone')");
  await page.click("[data-copy]:visible");
  await page.waitForSelector(".done");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "http://localhost:8080/owner/harbor.git");
  await page.keyboard.press("Escape");
  assert.equal(await page.isVisible("#clone-url"), false);
});
