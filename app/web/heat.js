// The heat map: a word under the pointer, the caret or the focus lights up the words it belongs to, by weight.

import { messages } from "./messages.js";

const SHOWN = 4; // words named in the line below the panes
const LEAST_SHOWN = 0.03;

/** Lights between the words of a text and those of its translation. */
export class HeatMap {
  constructor(detail) {
    this.detail = detail;
    this.clear();
  }

  /** Forget everything: there is no translation, or it is no longer that of the text. */
  clear() {
    this.dim();
    this.sourceSpans = [];
    this.targetSpans = [];
    this.fromTarget = [];
    this.fromSource = [];
    this.detail.replaceChildren();
  }

  /** `attention`: for each word of the translation [word of the text, weight], the largest first. */
  show(sourceSpans, targetSpans, attention) {
    this.dim();
    this.sourceSpans = sourceSpans;
    this.targetSpans = targetSpans;
    this.fromTarget = attention;
    this.fromSource = sourceSpans.map(() => []);
    attention.forEach((row, target) => {
      for (const [source, weight] of row) this.fromSource[source]?.push([target, weight]);
    });
    for (const row of this.fromSource) row.sort((one, other) => other[1] - one[1]);
    this.hint();
  }

  /** What a word of the translation looked at. */
  lightFromTarget(word) {
    this.light(this.targetSpans[word], this.sourceSpans, this.fromTarget[word], messages.looksAt, messages.looksAtNothing);
  }

  /** Which words of the translation looked at a word of the text. */
  lightFromSource(word) {
    this.light(this.sourceSpans[word], this.targetSpans, this.fromSource[word], messages.seenFrom, messages.seenFromNothing);
  }

  light(origin, spans, row, sentence, nothing) {
    if (!origin || !row) return;
    this.dim();
    origin.classList.add("origin");
    this.lit = [origin];
    for (const [word, weight] of row) {
      const span = spans[word];
      if (!span) continue;
      span.classList.add("lit");
      span.style.setProperty("--weight", Math.min(1, weight).toFixed(3));
      this.lit.push(span);
    }
    const named = row.filter(([word, weight], place) => spans[word] && (place === 0 || weight >= LEAST_SHOWN));
    if (!named.length) {
      this.detail.textContent = nothing(origin.textContent);
      return;
    }
    const parts = named.slice(0, SHOWN).map(([word, weight]) => {
      const part = document.createElement("span");
      part.className = "part";
      const name = document.createElement("b");
      name.textContent = spans[word].textContent;
      part.append(name, " ", messages.percent(weight));
      return part;
    });
    this.detail.replaceChildren(sentence(origin.textContent), " ", ...parts.flatMap((part) => [part, " "]));
  }

  /** Put all lights out. */
  dim() {
    for (const span of this.lit ?? []) {
      span.classList.remove("origin", "lit");
      span.style.removeProperty("--weight");
    }
    this.lit = [];
  }

  /** Lights out, and what can be done here in place of what was seen. */
  hint() {
    this.dim();
    this.detail.textContent = this.fromTarget.length ? messages.hint : "";
  }
}
