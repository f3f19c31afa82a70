// Keeps a page up to date: the stream says that something changed, the page asks for
// itself again. Without news it asks every 20 seconds, because measurements age. A page that
// gets no answer for a minute says of no endpoint any more that it is isolated, or is not.
import { renew } from "./region.js";

const known = 60_000; // ms for which the last answer may be shown

// age takes back what nobody knows any more. The next answer puts it right again.
function age() {
  for (const e of document.querySelectorAll(".iso-isolated, .iso-released, [data-aged]:is(.is-ok, .is-calm, .iso)")) {
    e.classList.remove("iso-isolated", "iso-released", "is-ok", "is-calm", "iso");
    e.classList.add("aged" in e.dataset ? "is-unknown" : "iso-unknown");
    for (const words of e.matches("[data-iso]") ? [e] : e.querySelectorAll("[data-iso]")) words.textContent = document.body.dataset.unknown;
    for (const picture of e.querySelectorAll(".emblem")) picture.textContent = "?";
  }
}

export function live() {
  const address = document.body.dataset.live;
  if (!address || !globalThis.EventSource) return;
  const state = document.getElementById("live-state");
  let timer = 0, last = 0, busy = false, again = false, heard = Date.now();
  let leaving = 0, asking = new AbortController();
  function lost() {
    if (state) state.textContent = document.body.dataset.lost;
    if (Date.now() - heard > known) age();
  }

  async function now() {
    if (document.hidden || Date.now() < leaving) return;
    if (busy) { again = true; return; }
    busy = true;
    last = Date.now();
    try {
      const ok = await renew(location.pathname + location.search, asking.signal);
      if (ok) {
        heard = last;
        if (state) state.textContent = "";
      } else lost();
    } catch {
      if (Date.now() >= leaving) lost();
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
  // A page that gives way asks for nothing: after a sign-out the answer would be a refusal. What
  // turns out to be a download leaves the page there, which goes on after a while.
  addEventListener("beforeunload", () => {
    leaving = Date.now() + 5_000;
    asking.abort();
    asking = new AbortController();
  });
  addEventListener("pagehide", () => stream.close());
}
