// Texts as words between white space, on the page and compared with each other.

// What Python's str.split() calls white space: the service counts words by it.
const WORDS = /([\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+)/;

/** [words and the white space between them, in turn]: a word at every odd place, white space (or "") around it. */
function pieces(text) {
  return text.split(WORDS);
}

export function wordsOf(text) {
  return pieces(text).filter((piece, place) => place % 2 === 0 && piece);
}

/** Put a text into `element`, every word a span of class `word` with its number; returns the spans. */
export function showWords(element, text) {
  const spans = [];
  const nodes = pieces(text).map((piece, place) => {
    if (place % 2 || !piece) return piece;
    const span = document.createElement("span");
    span.className = "word";
    span.dataset.word = spans.length;
    span.textContent = piece;
    spans.push(span);
    return span;
  });
  element.replaceChildren(...nodes);
  return spans;
}

/** For each word of `words` whether it is outside the longest common subsequence with `others`. */
export function differing(words, others) {
  if (words.length * others.length > 250_000) return words.map(() => false); // too long to compare while typing
  const lengths = Array.from({ length: words.length + 1 }, () => new Uint16Array(others.length + 1));
  for (let i = words.length - 1; i >= 0; i--) {
    for (let j = others.length - 1; j >= 0; j--) {
      lengths[i][j] =
        words[i] === others[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  const result = words.map(() => true);
  for (let i = 0, j = 0; i < words.length && j < others.length; ) {
    if (words[i] === others[j]) {
      result[i] = false;
      i++;
      j++;
    } else if (lengths[i + 1][j] >= lengths[i][j + 1]) i++;
    else j++;
  }
  return result;
}
