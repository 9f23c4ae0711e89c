// The page works without this script. It makes forms safer and uploads visible.
"use strict";

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.confirm)) event.preventDefault();
  });
}

// A double click sends a form once.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", () => {
    for (const button of form.querySelectorAll("button")) setTimeout(() => { button.disabled = true; }, 0);
  });
}
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form[data-once] button")) button.disabled = false;
});

// Menus close on Escape and when another one opens.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
for (const menu of document.querySelectorAll("details.menu")) {
  menu.addEventListener("toggle", () => {
    if (!menu.open) return;
    for (const other of document.querySelectorAll("details.menu[open]")) if (other !== menu) other.open = false;
  });
}

// After a form that was refused, the keyboard goes on at the reason.
const focusAlert = () => {
  const alert = document.querySelector("main [role=alert]");
  if (!alert) return;
  alert.tabIndex = -1;
  alert.focus();
};
focusAlert();

// Shows how much of a file has been sent.
for (const form of document.querySelectorAll("form[data-upload]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const bar = form.querySelector("progress");
    const request = new XMLHttpRequest();
    bar.hidden = false;
    request.upload.addEventListener("progress", (sent) => {
      if (sent.lengthComputable) bar.value = (100 * sent.loaded) / sent.total;
    });
    const failed = () => {
      bar.hidden = true;
      for (const button of form.querySelectorAll("button")) button.disabled = false;
      let note = form.querySelector("[role=alert]");
      if (!note) {
        note = document.createElement("p");
        note.className = "note bad";
        note.setAttribute("role", "alert");
        form.prepend(note);
      }
      note.textContent = "The connection was lost before the file was complete. Nothing was stored; try again.";
    };
    request.addEventListener("error", failed);
    request.addEventListener("abort", failed);
    request.addEventListener("load", () => {
      if (request.responseURL && request.status < 400) {
        window.location.assign(request.responseURL);
        return;
      }
      const answer = new DOMParser().parseFromString(request.responseText, "text/html");
      document.title = answer.title;
      document.querySelector("main").replaceWith(answer.querySelector("main"));
      focusAlert();
    });
    request.open("POST", form.action);
    request.send(new FormData(form));
  });
}

// Watches the files that the server works on.
for (const running of document.querySelectorAll("[data-progress]")) {
  const watch = async () => {
    try {
      const answer = await fetch(running.dataset.progress, { headers: { accept: "application/json" } });
      const state = await answer.json();
      if (!state.running) {
        // A file that was chosen meanwhile would be lost.
        if ([...document.querySelectorAll("input[type=file]")].some((input) => input.files.length)) {
          running.querySelector(".hint").textContent = "It is complete. Load this page again to see the result.";
        } else {
          window.location.replace(window.location.pathname);
        }
        return;
      }
      running.querySelector("[data-rows]").textContent = state.rows.toLocaleString("en");
      const bar = running.querySelector("progress");
      bar.max = state.size;
      bar.value = state.bytes;
    } catch { /* the next attempt may do better */ }
    setTimeout(watch, 700);
  };
  setTimeout(watch, 700);
}
