// SPDX-License-Identifier: Apache-2.0
// Keeps the marked regions of a page fresh: when a stream says that something changed, the page is
// fetched again and each [data-live] element is replaced by its new self, unless it has the focus.

let fetching = false;
let again = false;

export async function refresh() {
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  try {
    do {
      again = false;
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok || answer.redirected) break;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live][id]")) {
        const now = fresh.getElementById(old.id);
        if (!now || now.isEqualNode(old)) continue;
        const focused = old.contains(document.activeElement) ? document.activeElement : null;
        const href = focused && focused.getAttribute("href");
        const scroll = old.querySelector(".graph-scroll");
        const left = scroll ? scroll.scrollLeft : 0;
        old.replaceWith(now);
        if (scroll) now.querySelector(".graph-scroll").scrollLeft = left;
        if (href) now.querySelector(`a[href="${CSS.escape(href)}"]`)?.focus({ preventScroll: true });
      }
    } while (again);
  } finally {
    fetching = false;
  }
}

export function followPipeline() {
  const live = document.getElementById("live");
  if (!live) return;
  const stream = new EventSource(`${live.dataset.stream}&from=${live.dataset.from}`);
  stream.addEventListener("change", refresh);
  stream.addEventListener("end", () => {
    stream.close();
    refresh();
  });
  addEventListener("pagehide", () => stream.close());
}
