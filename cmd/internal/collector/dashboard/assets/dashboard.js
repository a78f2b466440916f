// The pages are complete without this. It writes numbers as the reader's language does, says what a chart has at the
// pointer or, with the arrow keys, at a place, and copies a command.
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
    let said = "Copied.";
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      getSelection().selectAllChildren(text); // pages over plain HTTP may not write to the clipboard
      said = "Selected: copy it with your keyboard.";
    }
    document.querySelector("#copied").textContent = said;
  });
}

// explore makes a chart say what it has at a place.
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
  figure.setAttribute("aria-label", `${svg.getAttribute("aria-label")}. The arrow keys go through it.`);
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
    rows[0].textContent = data.labels[place] + (place >= count - (data.open ?? 0) ? " (not over)" : "");
    data.names.forEach((name, i) => {
      const value = data.values[i][place];
      if (value === null) return;
      const row = document.createElement("span");
      row.textContent = `${name}: ${data.percent ? shares.format(value) : numbers.format(Math.abs(value))}`;
      rows.push(row);
    });
    if (rows.length === 1) rows.push("not known, or hidden");
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
