// SPDX-License-Identifier: Apache-2.0
// Starts what a page needs beyond plain HTML. Every page works without it, except what is live.
import { followJob } from "./log.js";
import { followPipeline } from "./live.js";

const root = document.documentElement;

// Light or dark: the server reads the cookie and writes data-theme, so there is no flash.
const theme = document.getElementById("theme");
if (theme) {
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const set = root.dataset.theme;
    const dark = set === "dark" || (set === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
    root.dataset.theme = dark ? "light" : "dark";
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `slipway_theme=${root.dataset.theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  });
}

// Copy buttons: data-copy holds the text.
async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.setAttribute("readonly", "");
  area.className = "sr";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    await copy(button.dataset.copy);
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1500);
  }
  // A click elsewhere closes open drop-downs.
  for (const menu of document.querySelectorAll("details.menu[open]"))
    if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
for (const snippet of document.querySelectorAll(".snippet")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "icon-btn";
  button.dataset.copy = snippet.querySelector("code").textContent;
  button.setAttribute("aria-label", "Copy these lines");
  const icon = document.querySelector("#icon-copy");
  if (icon) button.append(icon.content.cloneNode(true));
  else button.textContent = "Copy";
  snippet.append(button);
}
// Fields that hold something to copy select themselves.
for (const input of document.querySelectorAll("input[readonly]"))
  input.addEventListener("focus", () => input.select());

// What a form has just done is told once, not again after a reload.
const here = new URL(location.href);
if (here.searchParams.has("notice")) {
  here.searchParams.delete("notice");
  history.replaceState(history.state, "", here);
}

// On a narrow screen the current tab may be out of sight.
const tab = document.querySelector(".tabs a[aria-current]");
if (tab) tab.parentElement.scrollLeft = tab.offsetLeft - 24;

followJob();
followPipeline();
