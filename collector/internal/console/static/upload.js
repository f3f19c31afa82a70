// Large files go in pieces, and go on where they stopped. Small ones, and browsers without
// this script, send the form as it is.
export function upload() {
  const form = document.querySelector("form[data-upload]");
  if (!form) return;
  const piece = Number(form.dataset.upload), status = form.querySelector("[data-upload-status]");
  const say = (text, n) => { status.textContent = text.replace("##", n); };

  async function begin(file) {
    const fields = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (typeof value === "string") fields.append(name, value);
    fields.set("name", file.name);
    fields.set("size", file.size);
    const r = await fetch(form.action.split("#")[0] + "/begin", { method: "POST", body: fields });
    if (r.status === 201) return (await r.json()).id;
    if (r.status !== 422) throw new Error("refused");
    throw new Error(Object.values((await r.json()).errors).join(" "));
  }

  async function send(id, file) {
    for (let at = 0, failures = 0; at < file.size;) {
      try {
        const r = await fetch(`/uploads/${id}?offset=${at}`, { method: "PUT", body: file.slice(at, at + piece) });
        if (!r.ok && r.status !== 409) throw new Error("HTTP " + r.status);
        at = (await r.json()).size;
        failures = 0;
        say(form.dataset.sent, Math.floor(at * 100 / file.size));
      } catch (e) {
        if (++failures > 20) throw e;
        say(form.dataset.again, failures);
        await new Promise((next) => setTimeout(next, Math.min(30, failures * 2) * 1000));
        try {
          const r = await fetch(`/uploads/${id}`);
          if (r.ok) at = (await r.json()).size;
        } catch { /* the next try says it again */ }
      }
    }
    const r = await fetch(`/uploads/${id}/finish`, { method: "POST" });
    if (!r.ok) throw new Error("HTTP " + r.status);
    return (await r.json()).where;
  }

  // A file that was begun before goes on when the same one is chosen again: its name and size
  // are remembered by this browser alone.
  const key = (file) => `upload ${form.action} ${file.name} ${file.size} ${file.lastModified}`;

  form.addEventListener("submit", async (e) => {
    const file = form.elements.file.files[0];
    if (!file || file.size <= piece) return;
    e.preventDefault();
    e.stopImmediatePropagation();
    const button = form.querySelector("button.primary");
    if (button.disabled) return;
    button.disabled = true;
    try {
      let id = localStorage.getItem(key(file));
      if (id) {
        const r = await fetch(`/uploads/${id}`);
        if (!r.ok) id = null;
      }
      id ||= await begin(file);
      localStorage.setItem(key(file), id);
      const where = await send(id, file);
      localStorage.removeItem(key(file));
      location.assign(where);
      if (where.includes("#")) location.reload();
    } catch (err) {
      status.textContent = form.dataset.failed + " " + err.message;
      button.disabled = false;
    }
  });
}
