// The page's words in the reader's language, and their places in the document.

import en from "./messages/en.js";

const TRANSLATIONS = { en };

const language = navigator.languages.map((tag) => tag.split("-")[0]).find((code) => code in TRANSLATIONS) ?? "en";

export const messages = { ...en, ...TRANSLATIONS[language] };

const numbers = new Intl.NumberFormat(language);

export function formatNumber(number) {
  return numbers.format(number);
}

/** Fill every data-message (text) and data-message-NAME (attribute NAME) of the document. */
export function fillDocument() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("*")) {
    for (const { name, value } of [...element.attributes]) {
      if (name === "data-message") element.textContent = messages[value];
      else if (name.startsWith("data-message-")) element.setAttribute(name.slice("data-message-".length), messages[value]);
    }
  }
}
