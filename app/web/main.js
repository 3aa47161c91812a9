// The page itself: what is typed is translated a moment later, and the newest request wins.

import { getLanguages, getSettings, key, ServiceError, translate } from "./api.js";
import { Files } from "./files.js";
import { HeatMap } from "./heat.js";
import { AUTO, direction, Languages } from "./languages.js";
import { fillDocument, formatNumber, messages } from "./messages.js";
import { differing, showWords, wordsOf } from "./words.js";

const PAUSE_MS = 200; // after the last key, before a request
const PATIENCE_MS = 150; // before a request that takes longer shows that it is under way
const MOST_CHOICES = 5;
const LONGEST_WAIT_S = 60;

const element = (id) => document.getElementById(id);
const [source, mirror, target, count] = ["source", "mirror", "target", "count"].map(element);
const [swap, clear, copy, state] = ["swap", "clear", "copy", "state"].map(element);
const [problem, problemText, countdown, again] = ["problem", "problem-text", "countdown", "again"].map(element);

const languages = new Languages(element("from"), element("to"));
const heat = new HeatMap(element("detail"));
const remark = (flag) => messages.flag[flag] ?? messages.otherFlag(flag);
const files = new Files(element("files"), {
  pair: () => ({ source: languages.source, target: languages.target }),
  remark,
  askKey,
});

let limit = Infinity; // characters (Unicode code points), the service's
let nBest = 1;
let isStarted = false;
let running = null; // AbortController of the newest request
let pauseTimer, patienceTimer, copyTimer, retryTimer;
let failures = 0; // in a row
let hypotheses = []; // translations of the text as it stands, best first
let chosen = 0;

// ---- start

async function start() {
  try {
    const [listed, settings] = await Promise.all([getLanguages(), getSettings()]);
    limit = settings.charLimit > 0 ? settings.charLimit : Infinity;
    nBest = Math.min(MOST_CHOICES, settings.maxNBest ?? 1);
    if (!languages.load(listed)) {
      showProblem(messages.noLanguages);
      return;
    }
    const [from, to] = addressedPair();
    languages.choose(settings.language.source.code, settings.language.target.code);
    languages.choose(from, to);
    files.load(settings);
    if (settings.apiKeys || settings.keyRequired) element("key-open").hidden = false;
    if (settings.keyRequired && !key.get()) askKey();
  } catch (error) {
    fail(error, start);
    return;
  }
  isStarted = true;
  succeed();
  pairChanged();
}

function addressedPair() {
  try {
    return location.hash.slice(1).split("/").map(decodeURIComponent);
  } catch {
    return []; // a stray percent sign: as if there were no pair
  }
}

// ---- from text to translation

function textChanged() {
  const { value } = source;
  const used = [...value].length;
  const isTooLong = used > limit;
  showCount(used, isTooLong);
  clear.hidden = !value;
  mirror.textContent = `${value}\u200b`; // so that a last empty line has its height
  heat.clear();
  clearTimeout(pauseTimer);
  running?.abort();
  if (!isStarted) return;
  if (isTooLong || !value.trim()) {
    showNothing();
    showDetected(null);
    succeed();
    if (isTooLong) showProblem(messages.tooLong(formatNumber(limit)));
    return;
  }
  setStale(true);
  pauseTimer = setTimeout(request, PAUSE_MS);
}

async function request() {
  clearTimeout(pauseTimer);
  clearTimeout(retryTimer);
  running?.abort();
  const text = source.value;
  if (!isStarted || !text.trim() || [...text].length > limit) return;
  const mine = new AbortController();
  running = mine;
  patienceTimer = setTimeout(() => setBusy(true), PATIENCE_MS);
  mine.signal.addEventListener("abort", () => clearTimeout(patienceTimer));
  const fields = { q: text, source: languages.source, target: languages.target, attention: true, flags: true, n_best: nBest };
  try {
    const answer = await translate(fields, mine.signal);
    if (running !== mine || mine.signal.aborted) return;
    succeed();
    showAnswer(answer);
  } catch (error) {
    if (running !== mine || mine.signal.aborted) return;
    fail(error, request);
  } finally {
    if (running === mine) {
      clearTimeout(patienceTimer);
      setBusy(false);
    }
  }
}

/** Whether what is shown is the translation of an older text. */
function setStale(isStale) {
  target.classList.toggle("stale", isStale);
  element("choices").disabled = isStale;
}

function setBusy(isBusy) {
  element("progress").hidden = !isBusy;
  target.setAttribute("aria-busy", isBusy);
  if (isBusy || state.textContent === messages.translating) state.textContent = isBusy ? messages.translating : "";
}

// ---- showing an answer

function showAnswer({ translatedText, nBest: listed = [], attention, flags = [], version, detectedLanguage, pivot }) {
  const best = { text: translatedText, attention };
  const others = listed.filter(({ text }, place) => listed.findIndex((other) => other.text === text) === place);
  hypotheses = others.length && others[0].text === translatedText ? others : [best];
  setStale(false);
  showDetected(detectedLanguage?.confidence > 0 ? detectedLanguage.language : null);
  showFlags(flags, pivot);
  showChoices();
  choose(0);
  element("model").textContent = version ? messages.model(version) : "";
}

/** Show one of the translations found, with its heat map. */
function choose(place) {
  if (!hypotheses[place] || target.classList.contains("stale")) return;
  chosen = place;
  const { text, attention = [] } = hypotheses[place];
  const spans = showWords(target, text);
  for (const span of spans) span.tabIndex = -1;
  if (spans.length) spans[0].tabIndex = 0;
  const sourceSpans = showWords(mirror, source.value);
  mirror.append("\u200b");
  heat.show(sourceSpans, spans, attention);
  element("spoken").textContent = text;
  copy.disabled = !text;
  const radio = element("choice-list").querySelectorAll("input")[place];
  if (radio) radio.checked = true;
}

function showNothing() {
  hypotheses = [];
  target.replaceChildren();
  setStale(false);
  element("spoken").textContent = "";
  copy.disabled = true;
  setBusy(false);
  showFlags([]);
  showChoices();
}

function showDetected(code) {
  languages.showDetected(code);
  swap.disabled = !languages.canSwap;
}

/** `pivot`: code of the language that the translation went through, if it did. */
function showFlags(flags, pivot) {
  const remarks = flags.map(remark);
  if (pivot) remarks.push(messages.pivot(languages.names.get(pivot) ?? pivot));
  const items = remarks.map((remark) => {
    const item = document.createElement("li");
    item.textContent = remark;
    return item;
  });
  element("flags").replaceChildren(...items);
  element("flags").hidden = items.length === 0;
}

function showChoices() {
  const isNeeded = hypotheses.length > 1;
  element("choices").hidden = !isNeeded;
  const bestWords = isNeeded ? wordsOf(hypotheses[0].text) : [];
  const labels = !isNeeded ? [] : hypotheses.map(({ text, score }, place) => {
    const label = document.createElement("label");
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "choice", value: place });
    const words = document.createElement("span");
    words.className = "candidate";
    const isOther = differing(wordsOf(text), bestWords);
    showWords(words, text).forEach((span, word) => span.classList.toggle("other", isOther[word]));
    const value = document.createElement("span");
    value.className = "score";
    if (typeof score === "number") {
      value.textContent = messages.score(score);
      value.setAttribute("aria-label", messages.scoreLabel(score));
    }
    label.append(radio, words, value);
    return label;
  });
  const list = element("choice-list");
  list.replaceChildren(...labels);
  list.lang = target.lang;
  list.dir = target.dir;
}

function showCount(used, isTooLong) {
  const [shown, most] = [formatNumber(used), formatNumber(limit)];
  count.textContent = limit === Infinity ? messages.countUnlimited(shown) : messages.count(shown, most);
  count.classList.toggle("over", isTooLong);
  if (isTooLong) source.setAttribute("aria-invalid", "true");
  else source.removeAttribute("aria-invalid");
}

// ---- when it does not work

function fail(error, retry) {
  const service = error instanceof ServiceError ? error : new ServiceError("fault");
  if (!(error instanceof ServiceError)) console.error(error);
  failures += 1;
  const { kind, retryAfterS, requestId } = service;
  const text = {
    busy: messages.busy,
    quota: messages.quota,
    late: messages.late,
    large: messages.tooLarge,
    key: key.get() ? messages.keyWrong : messages.keyNeeded,
    wrong: service.message,
    fault: messages.fault(requestId),
    unreachable: navigator.onLine ? messages.unreachable : messages.offline,
  }[kind];
  if (kind === "key") askKey();
  const isOffline = kind === "unreachable" && !navigator.onLine; // the event `online` will tell
  const retries = ["busy", "quota", "unreachable"].includes(kind) && !isOffline;
  const waitS = Math.max(1, Math.min(LONGEST_WAIT_S, retryAfterS ?? 2 ** (failures - 1)));
  showProblem(text, { retry: ["wrong", "large", "key"].includes(kind) ? null : retry, waitS: retries ? waitS : null });
}

function showProblem(text, { retry = null, waitS = null } = {}) {
  clearTimeout(retryTimer);
  if (problemText.textContent !== text) problemText.textContent = text;
  problem.hidden = false;
  again.hidden = !retry;
  again.onclick = retry;
  countdown.textContent = "";
  if (waitS === null) return;
  let left = Math.ceil(waitS);
  const tick = () => {
    countdown.textContent = messages.tryingIn(formatNumber(left));
    if (left <= 0) retry();
    else retryTimer = setTimeout(tick, 1000);
    left -= 1;
  };
  tick();
}

function succeed() {
  failures = 0;
  clearTimeout(retryTimer);
  problem.hidden = true;
  problemText.textContent = countdown.textContent = "";
}

window.addEventListener("online", () => {
  if (!problem.hidden && !again.hidden) again.click();
});

// ---- the key, where the service asks for one

function askKey() {
  showKey(true);
}

function showKey(isShown) {
  element("key-form").hidden = !isShown;
  element("key-open").hidden = false;
  element("key-open").setAttribute("aria-expanded", isShown);
}

element("key-open").addEventListener("click", () => {
  showKey(element("key-form").hidden);
  if (!element("key-form").hidden) element("key").focus();
});
element("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(element("key").value.trim().replace(/[^\x21-\x7e]/g, "?")); // all that a header may hold
  element("key").value = "";
  showKey(false);
  succeed();
  source.focus();
  if (isStarted) request();
  else start();
});

// ---- languages

function pairChanged() {
  for (const [node, code] of [[source, languages.source], [mirror, languages.source], [target, languages.target]]) {
    node.lang = code === AUTO ? "" : code;
    node.dir = direction(code);
  }
  showDetected(null);
  history.replaceState(null, "", `#${encodeURIComponent(languages.source)}/${encodeURIComponent(languages.target)}`);
  textChanged();
  if (source.value) request();
}

let sourceBefore = "";
languages.from.addEventListener("focus", () => (sourceBefore = languages.source));
languages.from.addEventListener("change", () => {
  languages.choose(languages.source, languages.target === languages.source ? sourceBefore : languages.target);
  sourceBefore = languages.source;
  pairChanged();
});
languages.to.addEventListener("change", pairChanged);

function swapLanguages() {
  if (swap.disabled) return;
  const { spoken: from, target: to } = languages;
  if (hypotheses[chosen] && !target.classList.contains("stale")) source.value = hypotheses[chosen].text;
  showNothing();
  languages.choose(to, from);
  pairChanged();
}

swap.addEventListener("click", swapLanguages);

// ---- the heat map

function wordUnder(event) {
  return document.elementsFromPoint(event.clientX, event.clientY).find((found) => found.matches("#mirror .word"));
}

source.addEventListener("pointermove", (event) => {
  if (event.pointerType === "touch") return; // a tap sets the caret, which is followed below
  const word = wordUnder(event);
  if (word) heat.lightFromSource(Number(word.dataset.word));
  else heat.hint();
});
source.addEventListener("pointerleave", () => heat.hint());
source.addEventListener("blur", () => heat.hint());

document.addEventListener("selectionchange", () => {
  if (document.activeElement !== source || target.classList.contains("stale")) return;
  let place = 0;
  for (const node of mirror.childNodes) {
    const end = place + node.textContent.length;
    if (node.dataset && source.selectionStart >= place && source.selectionStart <= end) {
      heat.lightFromSource(Number(node.dataset.word));
      return;
    }
    place = end;
  }
  heat.hint();
});

const wordOf = (event) => event.target.closest?.("#target .word");

target.addEventListener("pointerover", (event) => {
  const word = wordOf(event);
  if (word) heat.lightFromTarget(Number(word.dataset.word));
});
target.addEventListener("pointerleave", () => heat.hint());
target.addEventListener("focusin", (event) => {
  const word = wordOf(event);
  if (!word) return;
  for (const span of heat.targetSpans) span.tabIndex = span === word ? 0 : -1;
  heat.lightFromTarget(Number(word.dataset.word));
  word.setAttribute("aria-describedby", "detail");
});
target.addEventListener("focusout", (event) => {
  wordOf(event)?.removeAttribute("aria-describedby");
  heat.hint();
});
target.addEventListener("keydown", (event) => {
  const word = wordOf(event);
  if (!word || event.altKey || event.ctrlKey || event.metaKey) return;
  const spans = heat.targetSpans;
  const here = spans.indexOf(word);
  const forward = target.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
  const place = { [forward]: here + 1, Home: 0, End: spans.length - 1 }[event.key];
  const next = spans[place ?? (/^Arrow(Left|Right)$/.test(event.key) ? here - 1 : -1)];
  if (place === undefined && !/^Arrow(Left|Right)$/.test(event.key)) return;
  event.preventDefault();
  next?.focus();
});

// ---- copying, clearing, choosing

async function copyTranslation() {
  const text = hypotheses[chosen]?.text;
  if (!text) return;
  clearTimeout(copyTimer);
  state.textContent = (await intoClipboard(text)) ? messages.copied : messages.copyFailed;
  copyTimer = setTimeout(() => (state.textContent = ""), 2000);
}

async function intoClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // without https browsers have no clipboard but this one
    const before = document.activeElement;
    const field = Object.assign(document.createElement("textarea"), { value: text, className: "unseen" });
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    before?.focus();
    return done;
  }
}

copy.addEventListener("click", copyTranslation);
clear.addEventListener("click", () => {
  source.value = "";
  textChanged();
  source.focus();
});
element("choice-list").addEventListener("change", (event) => choose(Number(event.target.value)));
source.addEventListener("input", textChanged);

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    request();
    return;
  }
  if (!event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const digit = /^Digit([1-9])$/.exec(event.code);
  // by the place of the key: with Alt, macOS makes another letter of it
  const action = { KeyS: swapLanguages, KeyC: copyTranslation }[event.code] ?? (digit && (() => choose(digit[1] - 1)));
  if (!action) return;
  event.preventDefault();
  action();
});

if (/Mac|iP(hone|ad)/.test(navigator.userAgent)) element("modifier").textContent = "⌘";
fillDocument();
showCount(0, false);
start();
