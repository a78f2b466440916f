// The pages are complete without this. It writes numbers as the reader's language does, and copies a command.
"use strict";
const format = new Intl.NumberFormat();
for (const data of document.querySelectorAll("data[value]")) {
  const n = Number(data.value);
  if (Number.isFinite(n)) data.textContent = format.format(n);
}
for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}
