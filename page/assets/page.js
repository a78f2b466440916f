// What the page does besides, where there is JavaScript: copying the ID, a word while a request is under way, and an
// address that can be kept.
'use strict';

// The outcome in the address has been shown: a reload should not show it again.
if (location.search) {
  history.replaceState(null, '', location.pathname);
}

const copy = document.getElementById('copy');
if (copy) {
  const id = document.getElementById('installation-id');
  const said = document.getElementById('copied');
  copy.hidden = false;
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(id.textContent);
      said.textContent = 'Copied.';
    } catch { // not allowed, or not there: over plain HTTP to another machine
      getSelection().selectAllChildren(id);
      said.textContent = document.execCommand('copy') ? 'Copied.' : 'Selected: copy it with Ctrl+C or ⌘C.';
    }
  });
}

for (const form of document.forms) {
  let sent = false;
  form.addEventListener('submit', (event) => {
    if (sent) {
      event.preventDefault();
      return;
    }
    sent = true;
    const button = event.submitter;
    if (button && button.dataset.busy) {
      button.textContent = button.dataset.busy;
    }
  });
  addEventListener('pageshow', () => { sent = false; });
}
