// The pairs of languages served: two lists that follow each other, and which way a language is written.

import { messages } from "./messages.js";

/** The code that leaves it to the service to find out the language of a text. */
export const AUTO = "auto";

const RIGHT_TO_LEFT = new Set(["ar", "arc", "ckb", "dv", "fa", "he", "ks", "ps", "sd", "ug", "ur", "yi"]);
const RIGHT_TO_LEFT_SCRIPTS = /-(adlm|arab|hebr|nkoo|rohg|syrc|thaa)\b/i;
const LEFT_TO_RIGHT_SCRIPTS = /-(latn|cyrl|deva)\b/i;

export function direction(code) {
  if (code === AUTO) return "auto"; // as the text itself begins
  if (RIGHT_TO_LEFT_SCRIPTS.test(code)) return "rtl";
  return RIGHT_TO_LEFT.has(code.split("-")[0].toLowerCase()) && !LEFT_TO_RIGHT_SCRIPTS.test(code) ? "rtl" : "ltr";
}

/** What GET /languages lists, and the pair chosen in two <select> elements. */
export class Languages {
  constructor(from, to) {
    this.from = from;
    this.to = to;
    this.names = new Map();
    this.targets = new Map();
    this.detected = null; // code of the text's language, where that was to be found out and could be
  }

  get source() {
    return this.from.value;
  }

  get target() {
    return this.to.value;
  }

  /** The language of the text: the one chosen, or the one detected; null while that is not known. */
  get spoken() {
    return this.source === AUTO ? this.detected : this.source;
  }

  get canSwap() {
    return this.has(this.target, this.spoken);
  }

  has(source, target) {
    return this.targets.get(source)?.includes(target) ?? false;
  }

  /** `listed` as GET /languages gives it. A language reads itself there, which is no translation. */
  load(listed) {
    for (const { code, name, targets } of listed) {
      this.names.set(code, name);
      const others = targets.filter((target) => target !== code);
      if (others.length) this.targets.set(code, others);
    }
    fill(this.from, [...this.targets.keys()], this.names);
    if (this.targets.size) {
      const all = new Set([...this.targets.values()].flat());
      this.targets.set(AUTO, [...all]);
      this.from.prepend(new Option(messages.detect, AUTO));
    }
    this.from.disabled = this.to.disabled = this.targets.size === 0;
    return this.targets.size > 0;
  }

  /** Show which language a text was found to be in; null: none. */
  showDetected(code) {
    this.detected = code;
    const option = this.from.querySelector(`option[value="${AUTO}"]`);
    if (option) option.text = code ? messages.detected(this.names.get(code) ?? code) : messages.detect;
  }

  /** Choose a pair as far as it is there. */
  choose(source, target) {
    if (this.targets.has(source)) this.from.value = source;
    const wanted = target === this.source ? null : target;
    const before = this.target;
    fill(this.to, this.targets.get(this.source), this.names);
    this.to.value = [wanted, before].find((code) => code && this.has(this.source, code)) ?? this.to.value;
  }
}

function fill(select, codes, names) {
  const options = codes.map((code) => new Option(names.get(code) ?? code, code));
  options.sort((one, other) => one.text.localeCompare(other.text));
  select.replaceChildren(...options);
}
