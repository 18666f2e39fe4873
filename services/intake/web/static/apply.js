// What makes 保証申込 handier where scripts run: tabs without a round trip, the ratio while typing, drafts that save
// themselves. Every button works without.
"use strict";

const form = document.querySelector("form[data-apply]");

if (form) {
  const field = (name) => form.elements.namedItem(name);

  // --- tabs ---
  const show = (tab) => {
    for (const part of form.querySelectorAll("[data-panel]")) part.hidden = part.dataset.panel !== tab;
    for (const button of form.querySelectorAll("[data-tab]")) {
      if (button.dataset.tab === tab) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    field("tab").value = tab;
  };
  for (const button of form.querySelectorAll("[data-tab]")) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      show(button.dataset.tab);
    });
  }
  for (const link of document.querySelectorAll("[data-jump]")) {
    link.addEventListener("click", (event) => {
      const target = document.getElementById(link.dataset.jump);
      if (!target) return;
      event.preventDefault();
      show(target.closest("section[data-panel]").dataset.panel);
      target.scrollIntoView({ block: "center" });
      target.focus({ preventScroll: true });
    });
  }

  // --- small buttons ---
  for (const button of form.querySelectorAll("[data-fill]")) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      const target = field(button.dataset.fill);
      target.value = button.dataset.text;
      target.dispatchEvent(new Event("change", { bubbles: true }));
      target.focus();
    });
  }
  for (const button of form.querySelectorAll("[data-confirm]")) {
    button.addEventListener("click", (event) => {
      if (!window.confirm(button.dataset.confirm)) event.preventDefault();
    });
  }

  // --- amounts and ratios ---
  const yen = (name) => {
    const text = field(name)?.value ?? "";
    const plain = text.normalize("NFKC").replace(/[\s,、円¥]/g, "");
    return /^[0-9]{1,16}$/.test(plain) ? BigInt(plain) : null;
  };
  const ratio = (product) => {
    const amount = yen(`products.${product}.amount_yen`);
    const ofYear = product === "advance_payment" ? yen(`products.${product}.fiscal_year_amount_yen`) : null;
    const whole = ofYear || yen("works.price_yen");
    if (!amount || !whole) return "0.0%";
    // Half up to one decimal, in whole numbers: as the server does it.
    const tenths = (2000n * amount + whole) / (2n * whole);
    return `${tenths / 10n}.${tenths % 10n}%`;
  };
  const showRatios = () => {
    for (const output of form.querySelectorAll("[data-ratio]")) {
      const text = ratio(output.dataset.ratio);
      if (output.value !== text) output.value = text;
    }
  };
  form.addEventListener("input", (event) => {
    if ("yen" in event.target.dataset) showRatios();
  });
  form.addEventListener("change", (event) => {
    if (!("yen" in event.target.dataset)) return;
    const amount = yen(event.target.name);
    if (amount !== null) event.target.value = String(amount).replace(/\B(?=([0-9]{3})+$)/g, ",");
    showRatios();
  });
  showRatios();

  // --- 申込送信先 follows 発注者 until somebody chooses another ---
  const purchaser = field("works.purchaser_id");
  const branch = field("branch_id");
  const suggested = () => purchaser.selectedOptions[0]?.dataset.branch ?? "";
  let before = suggested();
  purchaser.addEventListener("change", () => {
    if (branch.value === "" || branch.value === before) branch.value = suggested();
    before = suggested();
  });

  // --- drafts save themselves ---
  const status = form.querySelector("[data-autosaved]");
  let waiting = 0;
  const save = async () => {
    const body = new URLSearchParams(new FormData(form));
    body.set("go", "auto");
    try {
      const answer = await fetch(form.action, { method: "POST", body, redirect: "manual" });
      if (answer.status !== 204 || form.dataset.sent) return;
      const now = new Date().toLocaleTimeString("ja-JP", { hour: "2-digit", minute: "2-digit" });
      status.textContent = `${status.dataset.autosaved}（${now}）`;
      if (!form.dataset.kept) history.replaceState(null, "", form.action);
      form.dataset.kept = "yes";
    } catch {
      // The next change, or any button, saves again.
    }
  };
  form.addEventListener("change", () => {
    clearTimeout(waiting);
    waiting = setTimeout(save, 1500);
  });
  form.addEventListener("submit", () => clearTimeout(waiting));
}
