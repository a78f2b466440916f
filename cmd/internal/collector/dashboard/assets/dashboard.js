// The pages are complete without this script. It formats numbers for the
// reader's language, shows the values of a chart at the pointer, under a finger,
// or with the arrow keys, sorts and filters tables, closes menus, and copies
// commands and links.
"use strict";

const numbers = new Intl.NumberFormat();
const shares = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
const all = (selector, within = document) => within.querySelectorAll(selector);

function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

for (const data of all("data[value]")) {
  const n = Number(data.value);
  if (Number.isFinite(n)) data.textContent = numbers.format(n);
}

// Menus close at Escape, and when the reader clicks elsewhere or leaves them.
function closeMenus(but) {
  for (const menu of all("details.menu[open]")) if (menu !== but) menu.open = false;
}
document.addEventListener("click", (event) => {
  const menu = event.target.closest("details.menu");
  closeMenus(event.target.closest("a[href^='#']") ? null : menu);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  document.querySelector("details.menu[open]:focus-within summary")?.focus();
  closeMenus(null);
});
for (const menu of all("details.menu")) {
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
  });
  menu.addEventListener("toggle", () => { if (menu.open) menu.querySelector("input[type=search]:not([hidden])")?.focus(); });
}

// A search field filters what is in the same box, where there is much of it.
for (const field of all("input[data-filter]")) {
  const items = [...all(field.dataset.filter, field.closest(".drop, .data"))];
  if (items.length < 12) continue;
  field.hidden = false;
  const texts = items.map((item) => item.textContent.toLowerCase());
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    items.forEach((item, i) => { item.hidden = !texts[i].includes(wanted); });
  });
}

// The headings of a table sort it: numbers and days from the largest, texts from A.
const numeric = (text) => (/^[^\d]*\d[\d,.\s%]*$/.test(text) ? Number(text.replace(/−/, "-").replace(/[^\d.-]/g, "")) : NaN);
for (const table of all("table.sortable")) {
  const body = table.tBodies[0];
  if (body.rows.length < 2) continue;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = element("button", head.textContent);
    button.type = "button";
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const text = (row) => row.cells[column]?.querySelector("data")?.value ?? row.cells[column]?.textContent ?? "";
      const compare = (a, b) => {
        const [x, y] = [numeric(text(a)), numeric(text(b))];
        if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1; // what is unknown comes last
        return Number.isNaN(x) ? text(b).localeCompare(text(a), undefined, { numeric: true }) : y - x;
      };
      const rows = [...body.rows].sort(compare);
      const words = rows.length > 0 && Number.isNaN(numeric(text(rows[0]))) && !/^\d{4}-/.test(text(rows[0]));
      const was = head.getAttribute("aria-sort");
      const up = was ? was === "descending" : words;
      if (up) rows.reverse();
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...rows);
    });
  });
}

// A chosen option counts at once.
for (const select of all("select[data-send]")) {
  select.form.querySelector("button").hidden = true;
  select.addEventListener("change", () => select.form.requestSubmit());
}

async function copy(text, say) {
  try {
    await navigator.clipboard.writeText(text.textContent ?? text);
    say("Copied");
  } catch {
    if (!text.textContent) throw new Error("closed");
    getSelection().selectAllChildren(text); // pages over plain HTTP may not write to the clipboard
    say("Press Ctrl+C or ⌘C to copy");
  }
}
for (const button of all("button[data-copy]")) {
  button.hidden = false;
  const name = button.textContent;
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", () => {
    copy(button.parentElement.querySelector(button.dataset.copy), (outcome) => { button.textContent = outcome; });
    setTimeout(() => { button.textContent = name; }, 3000);
  });
}

// Where the clipboard is closed, the link leads to the address to copy.
if (navigator.clipboard) {
  for (const link of all("a[data-copy-link]")) {
    const outcome = element("span");
    outcome.setAttribute("role", "status");
    link.after(outcome);
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // opens a tab or window
      event.preventDefault();
      copy(link.href, () => { outcome.textContent = "Link copied."; }).catch(() => location.assign(link.href));
    });
  }
}

// An app without reports shows the first one when it arrives.
const waiting = document.querySelector("[data-waiting]");
if (waiting) {
  waiting.querySelector(".waiting").hidden = false;
  const look = async () => {
    try {
      if (!document.hidden && !(await (await fetch(location.href)).text()).includes("data-waiting")) location.reload();
    } catch { /* the collector restarts; the next look may succeed */ }
    setTimeout(look, 2000);
  };
  setTimeout(look, 2000);
}

// explore lets a reader look at the values of a chart, place by place.
function explore(svg) {
  const data = JSON.parse(svg.dataset.hover);
  const count = data.labels.length;
  if (count === 0) return;
  const figure = svg.parentElement;
  const line = element("div", "", "crosshair");
  const tip = element("div", "", "tip");
  tip.setAttribute("role", "status");
  line.hidden = tip.hidden = true;
  figure.append(line, tip);
  figure.tabIndex = 0;
  figure.setAttribute("role", "group");
  figure.setAttribute("aria-label", `${figure.querySelector("[role=img]").getAttribute("aria-label")}. Use the arrow keys to explore it.`);
  let place = count - 1;

  const box = () => {
    const outer = figure.getBoundingClientRect();
    const inner = svg.getBoundingClientRect();
    const style = getComputedStyle(svg);
    const [left, right, top, bottom] = ["Left", "Right", "Top", "Bottom"].map((side) => parseFloat(style[`padding${side}`]));
    return { left: inner.left - outer.left + left, width: inner.width - left - right, top: inner.top - outer.top + top, height: inner.height - top - bottom };
  };
  const show = (at) => {
    place = Math.min(count - 1, Math.max(0, at));
    const { left, width, top, height } = box();
    const share = data.bands ? (place + 0.5) / count : count > 1 ? place / (count - 1) : 0.5;
    const x = left + share * width;
    line.style.left = `${x}px`;
    line.style.top = `${top}px`;
    line.style.height = `${height}px`;
    const rows = [element("strong", data.labels[place] + (place >= count - (data.open ?? 0) ? " (in progress)" : ""))];
    data.names.forEach((name, i) => {
      const value = data.values[i][place];
      if (value === null || value === undefined) return;
      rows.push(element("span", `${name}: `, data.tones[i]), element("span", data.percent ? shares.format(value) : numbers.format(Math.abs(value))));
    });
    if (rows.length === 1) rows.push(element("span", "unknown or hidden", "rest"));
    for (const text of data.marks?.[place]?.split("\n") ?? []) rows.push(element("em", text));
    tip.replaceChildren(...rows);
    line.hidden = tip.hidden = false;
    const room = figure.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(room, x > figure.clientWidth / 2 ? x - tip.offsetWidth - 12 : x + 12))}px`;
    tip.style.top = `${top}px`;
  };
  const hide = () => { line.hidden = tip.hidden = true; };
  const point = (event) => {
    const { left, width } = box();
    const share = (event.clientX - figure.getBoundingClientRect().left - left) / width;
    show(data.bands ? Math.floor(share * count) : Math.round(share * (count - 1)));
  };

  // A click follows a link in the chart. A finger reads the values instead, and dragging chooses days.
  let stays = false;
  svg.addEventListener("pointerdown", (event) => { stays = event.pointerType !== "mouse"; });
  svg.addEventListener("click", (event) => {
    if (stays) event.preventDefault();
    point(event);
  });

  // Dragging across days shows them alone, as the form of the range does.
  const isDay = (text) => /^\d{4}-\d\d-\d\d$/.test(text);
  if (document.querySelector("input[name=from]") && count > 2 && data.labels.every(isDay)) {
    const band = element("div", "", "zoom");
    band.hidden = true;
    figure.append(band);
    let from = -1;
    const at = (event) => { point(event); return place; };
    svg.addEventListener("pointerdown", (event) => { if (event.button === 0 && event.pointerType === "mouse") from = at(event); });
    svg.addEventListener("pointermove", (event) => {
      if (from < 0) return;
      const { left, width, top, height } = box();
      const [low, high] = [from, at(event)].sort((a, b) => a - b);
      const edge = (i) => (data.bands ? i / count : i / (count - 1)) * width;
      Object.assign(band.style, { left: `${left + edge(low)}px`, width: `${edge(high + (data.bands ? 1 : 0)) - edge(low)}px`, top: `${top}px`, height: `${height}px` });
      band.hidden = low === high;
    });
    document.addEventListener("pointerup", (event) => {
      if (from < 0) return;
      const [low, high] = [from, place].sort((a, b) => a - b);
      from = -1;
      band.hidden = true;
      if (low === high || !figure.contains(event.target)) return;
      stays = true;
      const next = new URL(location.href);
      next.searchParams.delete("days");
      next.searchParams.set("from", data.labels[low]);
      const step = data.bands && high + 1 < count ? new Date(Date.parse(data.labels[high + 1]) - 864e5) : new Date(Date.parse(data.labels[high]));
      next.searchParams.set("to", step.toISOString().slice(0, 10));
      next.hash = "";
      location.assign(next);
    });
    svg.addEventListener("dragstart", (event) => event.preventDefault());
  }
  svg.addEventListener("pointermove", point);
  figure.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
  document.addEventListener("pointerdown", (event) => { if (!figure.contains(event.target)) hide(); });
  figure.addEventListener("blur", hide);
  figure.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: count - 1 }[event.key];
    if (event.key === "Escape") hide();
    if (to === undefined) return;
    event.preventDefault();
    show(tip.hidden && event.key.startsWith("Arrow") ? place : to);
  });
}

all("svg[data-hover]").forEach(explore);
