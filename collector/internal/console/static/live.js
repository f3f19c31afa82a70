// Keeps a page up to date: the stream says that something changed, the page asks for
// itself again. Without news it asks every 20 seconds, because measurements age.
import { renew } from "./region.js";

export function live() {
  const address = document.body.dataset.live;
  if (!address || !globalThis.EventSource) return;
  const state = document.getElementById("live-state");
  let timer = 0, last = 0, busy = false, again = false;

  async function now() {
    if (document.hidden) return;
    if (busy) { again = true; return; }
    busy = true;
    last = Date.now();
    try {
      const ok = await renew(location.pathname + location.search);
      if (state) state.textContent = ok ? "" : document.body.dataset.lost;
    } catch {
      if (state) state.textContent = document.body.dataset.lost;
    }
    busy = false;
    if (again) { again = false; soon(); }
  }
  // At most once a second, and soon after the last of a burst of news.
  function soon() {
    clearTimeout(timer);
    timer = setTimeout(now, Math.max(150, 1000 - (Date.now() - last)));
  }

  const stream = new EventSource(address);
  stream.addEventListener("message", (e) => {
    const news = JSON.parse(e.data);
    if (news.kind !== "progress") { soon(); return; }
    for (const line of document.querySelectorAll("[data-progress]")) {
      if (line.dataset.progress !== news.endpoint) continue;
      line.textContent = news.text + (news.total ? ` (${news.done ?? 0}/${news.total})` : "");
    }
  });
  stream.addEventListener("open", soon);
  setInterval(now, 20_000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
  addEventListener("pagehide", () => stream.close());
}
