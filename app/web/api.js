// Requests to the service. Addresses are relative to the page, so a proxy may serve it below any path.

const KEY = "apiKey";

/** The reader's key, for as long as this tab is open and nowhere else; empty where there is none. */
export const key = {
  held: "", // where the browser keeps nothing for this page
  get() {
    try {
      return sessionStorage.getItem(KEY) ?? "";
    } catch {
      return this.held;
    }
  },
  set(value) {
    this.held = value;
    try {
      if (value) sessionStorage.setItem(KEY, value);
      else sessionStorage.removeItem(KEY);
    } catch {
      // it is held
    }
  },
};

/** Why there is no answer. `kind`: busy, quota, late, large, key, wrong, fault or unreachable. */
export class ServiceError extends Error {
  constructor(kind, { message = "", retryAfterS = null, requestId = "" } = {}) {
    super(message || kind);
    this.kind = kind;
    this.retryAfterS = retryAfterS;
    this.requestId = requestId;
  }
}

export async function getLanguages() {
  return (await ask("languages")).body;
}

export async function getSettings() {
  return (await ask("frontend/settings")).body;
}

/** The answer of POST /translate to one text, and the version of the model that gave it. */
export async function translate(fields, signal) {
  const { body, headers } = await ask("translate", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(fields),
    signal,
  });
  return { ...body, version: headers.get("X-Model-Version") };
}

/** The answer of POST /translate_file: where to fetch the translation, and a report of it. */
export async function translateFile(file, source, target, signal) {
  const body = new FormData();
  for (const [name, value] of Object.entries({ source, target, report: "true", file })) body.append(name, value);
  return (await ask("translate_file", { method: "POST", body, signal })).body;
}

async function ask(address, options = {}) {
  let response;
  const given = key.get();
  // in a header: addresses are kept in logs and histories
  const headers = { ...options.headers, ...(given && { Authorization: `Bearer ${given}` }) };
  try {
    response = await fetch(address, { credentials: "same-origin", ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("unreachable");
  }
  let body;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    body = null; // a proxy's page, or an answer that was cut
  }
  if (response.ok && body !== null) return { body, headers: response.headers };
  const message = typeof body?.error === "string" ? body.error : "";
  throw new ServiceError(kindOf(response.status, message), {
    message,
    retryAfterS: retryAfter(response.headers.get("Retry-After")),
    requestId: response.headers.get("X-Request-Id") ?? "",
  });
}

function kindOf(status, message) {
  // "Please contact the server operator to get an API key", "Invalid API key"
  if ([400, 401, 403].includes(status) && /\bAPI key\b/i.test(message)) return "key";
  if (status === 429) return "quota";
  if (status === 502 || status === 503) return "busy";
  if (status === 408 || status === 504) return "late";
  if (status === 413) return "large";
  return status >= 400 && status < 500 ? "wrong" : "fault";
}

/** Seconds of a Retry-After header, which is a number or a date; null without one. */
function retryAfter(value) {
  if (!value) return null;
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}
