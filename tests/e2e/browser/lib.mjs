// SPDX-License-Identifier: Apache-2.0
// What the browser tests share: the fixture server, Chromium, and a page that notices every console
// error, failed request and policy violation.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

export async function startFixture(program) {
  const folder = mkdtempSync(join(tmpdir(), "slipway-web-"));
  const child = spawn(program, [join(folder, "state")], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  const facts = await new Promise((resolve, reject) => {
    lines.once("line", (line) => resolve(JSON.parse(line)));
    child.once("exit", (code) => reject(new Error(`the fixture ended with ${code}`)));
  });
  child.removeAllListeners("exit");
  return {
    ...facts,
    base: `http://127.0.0.1:${facts.port}`,
    tell: (line) => child.stdin.write(line + "\n"),
    async stop() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.stdin.end("quit\n");
      const code = await ended;
      rmSync(folder, { recursive: true, force: true });
      if (code) throw new Error(`the fixture ended with ${code}`);
    },
  };
}

export async function startBrowser() {
  const profile = mkdtempSync(join(tmpdir(), "slipway-chromium-"));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", `--disk-cache-dir=${profile}`],
  });
  return {
    browser,
    async stop() {
      await browser.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

// A page whose `complaints` collect what a user would find in the console.
export async function newPage(browser, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", timezoneId: "UTC", ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (m) => {
    if (m.type() === "error" || m.type() === "warning") page.complaints.push(`${m.type()}: ${m.text()}`);
  });
  page.on("pageerror", (e) => page.complaints.push(`exception: ${e.message}`));
  return page;
}

export async function signIn(page, base, password, login = "owner") {
  await page.goto(`${base}/users/sign_in`);
  await page.fill("#login", login);
  await page.fill("#password", password);
  await Promise.all([page.waitForURL(`${base}/`), page.press("#password", "Enter")]);
}

export async function widthOverflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}
