// The page works without this script. It copies the ID, shows that a request
// is in progress, and keeps the address clean.
'use strict';

// A reload should not show the outcome in the address again.
if (location.search) {
  history.replaceState(null, '', location.pathname);
}

const copy = document.getElementById('copy');
if (copy) {
  const id = document.getElementById('installation-id');
  const status = document.getElementById('copied');
  copy.hidden = false;
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(id.textContent);
      status.textContent = 'Copied.';
    } catch { // not available over plain HTTP to another machine
      getSelection().selectAllChildren(id);
      status.textContent = document.execCommand('copy') ? 'Copied.' : 'Selected. Press Ctrl+C or ⌘C to copy.';
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
