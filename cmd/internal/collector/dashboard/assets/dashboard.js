// The pages are complete without this script. It formats numbers for the
// reader's language, shows the values of a chart at the pointer or with the
// arrow keys, and copies commands and links.
"use strict";

const numbers = new Intl.NumberFormat();
const shares = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });

for (const data of document.querySelectorAll("data[value]")) {
  const n = Number(data.value);
  if (Number.isFinite(n)) data.textContent = numbers.format(n);
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.querySelector(button.dataset.copy);
    let outcome = "Copied.";
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      getSelection().selectAllChildren(text); // pages over plain HTTP may not write to the clipboard
      outcome = "Selected. Press Ctrl+C or ⌘C to copy.";
    }
    document.querySelector("#copied").textContent = outcome;
  });
}

// Where the clipboard is closed, the link leads to the address to copy.
if (navigator.clipboard) {
  for (const link of document.querySelectorAll("a[data-copy-link]")) {
    const outcome = document.createElement("span");
    outcome.setAttribute("role", "status");
    link.after(outcome);
    link.addEventListener("click", async (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // opens a tab or window
      event.preventDefault();
      try {
        await navigator.clipboard.writeText(link.href);
        outcome.textContent = "Link copied.";
      } catch {
        location.assign(link.href);
      }
    });
  }
}

// explore lets a reader look at the values of a chart, place by place.
function explore(svg) {
  const data = JSON.parse(svg.dataset.hover);
  const count = data.labels.length;
  if (count === 0) return;
  const figure = svg.parentElement;
  const line = document.createElement("div");
  line.className = "crosshair";
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  line.hidden = tip.hidden = true;
  figure.append(line, tip);
  figure.tabIndex = 0;
  figure.setAttribute("role", "group");
  figure.setAttribute("aria-label", `${svg.getAttribute("aria-label")}. Use the arrow keys to explore it.`);
  let place = count - 1;

  const box = () => {
    const outer = figure.getBoundingClientRect();
    const inner = svg.getBoundingClientRect();
    const style = getComputedStyle(svg);
    const left = inner.left - outer.left + parseFloat(style.paddingLeft);
    return { left, width: inner.width - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight), top: inner.top - outer.top + parseFloat(style.paddingTop) };
  };
  const show = (at) => {
    place = Math.min(count - 1, Math.max(0, at));
    const { left, width, top } = box();
    const share = data.bands ? (place + 0.5) / count : count > 1 ? place / (count - 1) : 0.5;
    const x = left + share * width;
    line.style.left = `${x}px`;
    line.style.top = `${top}px`;
    const rows = [document.createElement("strong")];
    rows[0].textContent = data.labels[place] + (place >= count - (data.open ?? 0) ? " (in progress)" : "");
    data.names.forEach((name, i) => {
      const value = data.values[i][place];
      if (value === null) return;
      const row = document.createElement("span");
      row.textContent = `${name}: ${data.percent ? shares.format(value) : numbers.format(Math.abs(value))}`;
      rows.push(row);
    });
    if (rows.length === 1) rows.push("unknown or hidden");
    tip.replaceChildren(...rows);
    line.hidden = tip.hidden = false;
    const room = figure.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(room, x > figure.clientWidth / 2 ? x - tip.offsetWidth - 12 : x + 12))}px`;
    tip.style.top = `${top}px`;
  };
  const hide = () => { line.hidden = tip.hidden = true; };

  svg.addEventListener("pointermove", (event) => {
    const { left, width } = box();
    const share = (event.clientX - figure.getBoundingClientRect().left - left) / width;
    show(data.bands ? Math.floor(share * count) : Math.round(share * (count - 1)));
  });
  figure.addEventListener("pointerleave", hide);
  figure.addEventListener("blur", hide);
  figure.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: count - 1 }[event.key];
    if (event.key === "Escape") hide();
    if (to === undefined) return;
    event.preventDefault();
    show(tip.hidden && event.key.startsWith("Arrow") ? place : to);
  });
}

document.querySelectorAll("svg[data-hover]").forEach(explore);
