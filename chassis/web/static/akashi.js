// What makes pages handier where scripts run. Every page works without.
"use strict";

// 印刷, 閉じる: shown only where they can work.
for (const button of document.querySelectorAll("[data-print], [data-close]")) {
  button.hidden = false;
  button.addEventListener("click", () => ("print" in button.dataset ? window.print() : window.close()));
}

// A form is sent once, however often its button is pressed.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// Whoever sent a form with faults hears of them first.
const faults = document.querySelector("[data-faults]");
if (faults) faults.focus();
