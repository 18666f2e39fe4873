// Guarantees: a file may be fetched again, and a subject copied. Both work by hand without.
"use strict";

// The answer of these forms is a file, so that the page stays and may ask once more.
for (const form of document.querySelectorAll("form[data-again]")) {
  form.addEventListener("submit", () => setTimeout(() => delete form.dataset.sent, 3000));
}

for (const button of document.querySelectorAll("[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  const status = document.querySelector("[data-copy-status]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      status.textContent = button.dataset.copied;
    } catch {
      // No clipboard here: it is marked, and can be copied by keyboard.
      status.textContent = "";
    }
  });
}
