// What the pages gain by JavaScript: they renew themselves, tables search while one
// types, commands can be copied. Everything works without.
import { live } from "./live.js";
import { search } from "./table.js";
import { upload } from "./upload.js";

for (const button of document.querySelectorAll("button[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  if (!source || !navigator.clipboard) continue;
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      button.textContent = document.body.dataset.copied;
      setTimeout(() => { button.textContent = label; }, 2000);
    } catch {
      getSelection()?.selectAllChildren(source);
    }
  });
}

// The menu of the signed-in person closes like a menu.
const me = document.querySelector("details.me");
if (me) {
  document.addEventListener("click", (e) => { if (!me.contains(e.target)) me.open = false; });
  document.addEventListener("keydown", (e) => { if (e.key === "Escape") me.open = false; });
}

upload();

// One press is one order, however often the button is hit.
for (const form of document.querySelectorAll("form[method=post]")) {
  let sent = false;
  form.addEventListener("submit", (e) => {
    if (sent) e.preventDefault();
    sent = true;
    setTimeout(() => { sent = false; }, 5000);
  });
}

live();
search();
