// Tells typing errors of number and key before they are sent: the server says the same to whoever has no scripts.
"use strict";

(() => {
  const form = document.querySelector("form[data-rules]");
  if (!form) return;
  const rules = JSON.parse(form.dataset.rules);
  const number = form.querySelector("#number");
  const key = form.querySelector("#key");

  // As schemas/contract_number.py has it: full width to half width, spaces away. The case of a key stays.
  const stripped = (text) => text.replace(/[ \t\r\n\u3000\u00a0\u200b\ufeff]/g, "")
    .replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0));
  const asNumber = (text) => {
    const plain = stripped(text.replace(/[‐‑‒–—―−ー－ｰ]/g, "-")).toUpperCase();
    return plain.length === 11 && !plain.includes("-") ? `${plain.slice(0, 5)}-${plain.slice(5)}` : plain;
  };
  const hasFormat = (text) => /^[0-9]{5}-[0-9]{5}[0-9A-Z]$/.test(text);
  // ISO 7064 mod 37,36.
  const hasCheck = (text) => {
    const places = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let check = 18;
    for (const character of text.replace("-", "")) {
      check = (((check || 36) * 2) % 37 + places.indexOf(character)) % 36;
    }
    return check === 1;
  };

  const faultOfNumber = () => {
    const typed = asNumber(number.value);
    if (!typed) return "number_missing";
    if (!hasFormat(typed)) return "number_format";
    return hasCheck(typed) ? "" : "number_wrong";
  };
  const textOfNumber = () => rules.texts[faultOfNumber()] || "";
  const textOfKey = () => {
    const typed = stripped(key.value);
    const characters = [...typed];
    const stranger = characters.find((character) => !rules.alphabet.includes(character));
    if (!typed) return rules.texts.key_missing;
    if (hasFormat(asNumber(typed))) return rules.texts.key_is_number;
    if (stranger && !/[\p{L}\p{N}\p{P}\p{S}]/u.test(stranger)) return rules.texts.key_unseen;
    if (stranger) return rules.texts.key_character.replace("%(character)s", () => rules.misread[stranger] || `「${stranger}」`);
    if (characters.length !== rules.length) return rules.texts.key_length.replace("%(count)s", characters.length);
    return "";
  };

  const tell = (input, text) => {
    const id = `${input.id}-fault`;
    const field = input.closest(".field");
    for (const old of field.querySelectorAll(".fault")) old.remove();
    const by = [`${input.id}-hint`];
    if (text) {
      const fault = document.createElement("p");
      fault.className = "fault";
      fault.id = id;
      fault.textContent = text;
      field.append(fault);
      by.push(id);
      input.setAttribute("aria-invalid", "true");
    } else input.removeAttribute("aria-invalid");
    input.setAttribute("aria-describedby", by.join(" "));
    return !text;
  };

  for (const [input, text] of [[number, textOfNumber], [key, textOfKey]]) {
    // At once, but not to who has not begun yet.
    input.addEventListener("change", () => input.value && tell(input, text()));
    // What is right again is so while it is typed: later, the button would move away under the pointer.
    input.addEventListener("input", () => input.getAttribute("aria-invalid") && !text() && tell(input, ""));
  }
  form.addEventListener("submit", (event) => {
    const right = [tell(number, textOfNumber()), tell(key, textOfKey())];
    if (right.every(Boolean)) return;
    event.preventDefault();
    delete form.dataset.sent;
    (right[0] ? key : number).focus();
  });

  // Number and key copied together from the notice go into their fields.
  form.addEventListener("paste", (event) => {
    if (event.target !== number && event.target !== key) return;
    const text = (event.clipboardData || { getData: () => "" }).getData("text").normalize("NFKC");
    const found = /([0-9]{5}[-‐‑‒–—―−ー]?[0-9]{5}[0-9A-Za-z])(?![0-9A-Za-z])[^]*?(?<![0-9A-Za-z])([0-9A-Za-z]{12})(?![0-9A-Za-z])/.exec(text);
    if (!found) return;
    event.preventDefault();
    [number.value, key.value] = [asNumber(found[1]), found[2]];
    tell(number, textOfNumber());
    tell(key, textOfKey());
    form.querySelector("button").focus();
  });
})();
