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

// パスワードを表示する: until the form is sent.
for (const choice of document.querySelectorAll("[data-reveal]")) {
  const box = choice.querySelector("input");
  const form = choice.closest("form");
  const fields = form.querySelectorAll("input[type=password]");
  const show = (shown) => fields.forEach((field) => { field.type = shown ? "text" : "password"; });
  choice.hidden = false;
  box.addEventListener("change", () => show(box.checked));
  form.addEventListener("submit", () => { box.checked = false; show(false); });
}

// Whoever sent a form with faults hears of them first.
const faults = document.querySelector("[data-faults]");
if (faults) faults.focus();
