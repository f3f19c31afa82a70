// Searches a table while one types: the server searches all rows, the page exchanges
// the table and keeps the address, so that the view can be sent to a colleague.
import { renew } from "./region.js";

export function search() {
  const form = document.querySelector("form[data-search]");
  if (!form) return;
  let timer = 0, abort;

  async function run() {
    abort?.abort();
    abort = new AbortController();
    const url = location.pathname + "?" + new URLSearchParams(new FormData(form));
    try {
      if (await renew(url, abort.signal)) history.replaceState(null, "", url);
    } catch { /* overtaken by the next key, or the server is away: the button still works */ }
  }
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(run, 200); });
  form.addEventListener("submit", (e) => { e.preventDefault(); clearTimeout(timer); run(); });
}
