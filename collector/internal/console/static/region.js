// Renews the parts of the page that carry data-region from the server's own HTML, so
// that there is one renderer: the server, which has made every stranger's text inert.

// The page's policy forbids making HTML from text anywhere but here.
const policy = globalThis.trustedTypes
  ? trustedTypes.createPolicy("hozen", { createHTML: (html) => html })
  : { createHTML: (html) => html };

// key finds an element again after the exchange.
const key = (e) => e.id ? "#" + CSS.escape(e.id) : e.getAttribute("href") ? `${e.tagName}[href="${CSS.escape(e.getAttribute("href"))}"]` : "";

// renew asks for url and exchanges the regions that differ. It reports false when the
// session is over or the server can't be reached.
export async function renew(url, signal) {
  const answer = await fetch(url, { headers: { "X-Hozen-Live": "1" }, credentials: "same-origin", redirect: "error", signal });
  if (!answer.ok) return false;
  const fresh = new DOMParser().parseFromString(policy.createHTML(await answer.text()), "text/html");
  for (const region of document.querySelectorAll("[data-region]")) {
    const next = fresh.getElementById(region.id);
    if (!next || next.innerHTML === region.innerHTML) continue;
    const open = [...region.querySelectorAll("details")].map((d) => d.open);
    const focus = region.contains(document.activeElement) ? key(document.activeElement) : "";
    const words = [...region.querySelectorAll("[data-progress]")].map((p) => [p.dataset.progress, p.textContent]);
    region.replaceChildren(...document.importNode(next, true).childNodes);
    const details = region.querySelectorAll("details");
    if (details.length === open.length) details.forEach((d, i) => { d.open = open[i]; });
    for (const [id, text] of words) {
      for (const p of region.querySelectorAll("[data-progress]")) if (text && p.dataset.progress === id) p.textContent = text;
    }
    if (focus) region.querySelector(focus)?.focus({ preventScroll: true });
  }
  return true;
}
