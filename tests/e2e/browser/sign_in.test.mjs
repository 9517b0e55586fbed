// SPDX-License-Identifier: Apache-2.0
// With the keyboard alone: sign in, find a project, open a file, sign out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { newPage, startBrowser, startFixture } from "./lib.mjs";

const focused = (page) =>
  page.evaluate(() => {
    const e = document.activeElement;
    return (e.getAttribute("aria-label") || e.innerText || e.name || "").trim();
  });

async function tabTo(page, what) {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press("Tab");
    if ((await focused(page)).includes(what)) return;
  }
  assert.fail(`no Tab leads to ${what}`);
}

test("keyboard alone", async (t) => {
  const site = await startFixture(process.env.WEB_FIXTURE);
  const chrome = await startBrowser();
  t.after(async () => {
    await chrome.stop();
    await site.stop();
  });
  const page = await newPage(chrome.browser);
  await page.goto(`${site.base}/owner/harbor`);
  assert.match(page.url(), /users\/sign_in/);
  // The name has the focus at once.
  assert.equal(await focused(page), "login");
  await page.keyboard.type("owner");
  await page.keyboard.press("Tab");
  await page.keyboard.type("wrong");
  await page.keyboard.press("Enter");
  await page.waitForSelector("[role=alert]");
  assert.match(await page.textContent("[role=alert]"), /wrong/);
  assert.equal(await page.inputValue("#login"), "owner");
  assert.equal(await page.inputValue("#password"), "");
  await page.focus("#password");
  await page.keyboard.type(site.password);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${site.base}/owner/harbor`);

  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "Skip to content");
  assert.ok((await page.locator(".skip").boundingBox()).y >= 0, "the skip link shows itself");
  await page.keyboard.press("Enter");
  await tabTo(page, "main"); // the branch switch
  await tabTo(page, "src");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, "none", "focus is visible");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/-/tree/main/src");
  await tabTo(page, "Your account");
  await page.keyboard.press("Enter");
  await tabTo(page, "Sign out");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/users/sign_in*");
  assert.match(await page.textContent("[role=status]"), /signed out/);
  const complaints = page.complaints.filter((c) => !/status of 401/.test(c));
  assert.deepEqual(complaints, []);
});
