// SPDX-License-Identifier: Apache-2.0
// A running job's log streams into the page; states follow without a reload.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newPage, signIn, startBrowser, startFixture } from "./lib.mjs";

let site, chrome;
before(async () => {
  site = await startFixture(process.env.WEB_FIXTURE);
  chrome = await startBrowser();
});
after(async () => {
  await chrome.stop();
  await site.stop();
});

test("the log streams, folds and ends", async () => {
  const page = await newPage(chrome.browser);
  await signIn(page, site.base, site.password);
  const pipeline = await page.context().newPage();
  await pipeline.goto(`${site.base}/owner/harbor/-/pipelines/${site.live_pipeline}`);
  await page.goto(`${site.base}/owner/harbor/-/jobs/${site.live_job}`);
  await page.waitForSelector("#log-live:text('live')");
  assert.equal(await page.locator("#log .l").count(), 3);

  site.tell("log \\e[32mok 2 - <b>escaped</b>\\e[0m\\n");
  await page.waitForSelector("#L4 >> text=ok 2 - <b>escaped</b>");
  assert.equal(await page.locator("#log b").count(), 0);
  // The section that was open when the page was made goes on.
  assert.equal(await page.locator("details[data-sec=step_script] #L4").count(), 1);
  assert.equal(await page.locator("#L4 .f2").count(), 1);

  site.tell("log section_end:1760000009:step_script\\r\\e[0Ksection_start:1760000010:after[collapsed=true]\\r\\e[0KCleaning\\nrm -r tmp\\n");
  await page.waitForSelector("details[data-sec=after]");
  assert.equal(await page.textContent("details[data-sec=step_script] > summary .took"), "00:09");
  assert.equal(await page.locator("details[data-sec=after]").getAttribute("open"), null);
  assert.equal(await page.isVisible("#L6"), false);
  await page.click("details[data-sec=after] > summary .t");
  assert.equal(await page.isVisible("#L6"), true);

  // The end stays in view while it is followed; scrolling up lets go.
  site.tell("log " + Array.from({ length: 120 }, (_, i) => `line ${i}`).join("\\n") + "\\n");
  await page.waitForSelector("#log >> text=line 119");
  const last = () => page.locator("#log .l").last().evaluate((e) => e.getBoundingClientRect().bottom <= innerHeight);
  assert.equal(await last(), true);
  await page.mouse.move(400, 400);
  await page.mouse.wheel(0, -2000);
  await page.waitForSelector("#log-follow[aria-pressed=false]");
  site.tell("log one more\\n");
  await page.waitForSelector("#log >> text=one more");
  assert.equal(await last(), false);

  site.tell("finish success");
  await page.waitForSelector("#job-head .pill.s-success");
  await page.waitForSelector("#log-live", { state: "hidden" });
  await pipeline.waitForSelector("#pipe-head .pill.s-success");
  await pipeline.waitForSelector(`#pipe-graph .node.s-success[data-job="${site.live_job}"]`);
  assert.deepEqual(page.complaints, []);
});

test("the log is all there without scripts", async () => {
  const page = await newPage(chrome.browser, { javaScriptEnabled: false });
  await signIn(page, site.base, site.password);
  await page.goto(`${site.base}/owner/harbor/-/jobs/${site.good_job}`);
  assert.match(await page.textContent("#log"), /Job succeeded/);
  assert.equal(await page.isVisible("text=Uploading artifacts as"), false);
  await page.click("summary:has-text('Uploading artifacts')");
  assert.equal(await page.isVisible("text=Uploading artifacts as"), true);
  assert.equal(await page.isVisible("#log-follow"), false);
  assert.equal(await page.isVisible("#theme"), false);
});
