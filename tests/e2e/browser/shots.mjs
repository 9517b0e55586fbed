// SPDX-License-Identifier: Apache-2.0
// Takes screenshots of every page, for people to look at: node shots.mjs FIXTURE FOLDER [NAME...]
import { mkdirSync } from "node:fs";
import { newPage, signIn, startBrowser, startFixture, widthOverflow } from "./lib.mjs";

const [program, folder, ...only] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const site = await startFixture(program);
const chrome = await startBrowser();
const p = "/owner/harbor";
const pages = {
  projects: "/",
  home: p,
  tree: `${p}/-/tree/main/src`,
  blob: `${p}/-/blob/main/src/main.c`,
  commits: `${p}/-/commits`,
  commit: `${p}/-/commit/${site.sha}~`.replace("~", ""),
  branches: `${p}/-/branches`,
  pipelines: `${p}/-/pipelines`,
  pipeline: `${p}/-/pipelines/${site.good_pipeline}`,
  pipeline_live: `${p}/-/pipelines/${site.live_pipeline}`,
  pipeline_error: `${p}/-/pipelines/${site.error_pipeline}`,
  job: `${p}/-/jobs/${site.good_job}`,
  job_bad: `${p}/-/jobs/${site.bad_job}`,
  job_live: `${p}/-/jobs/${site.live_job}`,
  artifacts: `${p}/-/jobs/${site.good_job}/artifacts/browse/public`,
  tokens: "/-/user_settings/personal_access_tokens",
  variables: `${p}/-/settings/ci_cd`,
  members: `${p}/-/project_members`,
  settings: `${p}/-/settings`,
  new_project: "/projects/new",
  empty: "/owner/empty-dock",
  group: "/yard",
  runners: "/admin/runners",
  help: "/help",
  missing: "/owner/nothing",
};
const looks = {
  light: { viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  phone: { viewport: { width: 360, height: 740 }, colorScheme: "light", deviceScaleFactor: 2, hasTouch: true },
};
for (const [look, options] of Object.entries(looks)) {
  const page = await newPage(chrome.browser, options);
  if (!only.length || only.includes("sign_in")) {
    await page.goto(`${site.base}/users/sign_in`);
    await page.screenshot({ path: `${folder}/sign_in-${look}.png` });
  }
  await signIn(page, site.base, site.password);
  for (const [name, path] of Object.entries(pages)) {
    if (only.length && !only.includes(name)) continue;
    await page.goto(site.base + path);
    await page.waitForTimeout(80);
    await page.screenshot({ path: `${folder}/${name}-${look}.png`, fullPage: true });
    const over = await widthOverflow(page);
    if (over > 0) console.log(`${name} ${look}: ${over}px too wide`);
  }
  for (const c of page.complaints) console.log(`${look}: ${c}`);
  await page.context().close();
}
await chrome.stop();
await site.stop();
