// What a reviewer said and the server has not heard yet: sent one after the other, again until it is heard, and kept
// though the page is closed. What a refusal means to the person is left to the page.

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
const AGAIN = new Set([408, 425, 429, 500, 502, 503, 504]);
const SIGNED_OUT = new Set([401, 403]);

export function newKey() {
  // randomUUID is there on pages of https only.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Outbox {
  #place;
  #ears;
  #entries;
  #isBusy = false;
  #pauseMs = FIRST_PAUSE_MS;

  // `owner` keeps apart what several people say in one browser. `ears` has `fieldsOf`, `onSent`, `onRefused`, `onWaiting`
  // and `onSignedOut`.
  constructor(owner, ears) {
    const places = `review-outbox ${owner} `;
    this.#place = places + newKey();
    this.#ears = ears;
    this.#entries = [];
    // Another page that is still open may send the same: under its key each counts once.
    for (const place of Object.keys(localStorage).filter((one) => one.startsWith(places))) {
      this.#entries.push(...JSON.parse(localStorage.getItem(place)));
      localStorage.removeItem(place);
    }
    this.#keep();
  }

  get entries() {
    return this.#entries;
  }

  add(entry) {
    this.#entries.push(entry);
    this.#keep();
    this.send();
  }

  // Forget an entry that was never on its way; return whether there was one. Of others, the answer alone may be lost.
  withdraw(key) {
    const index = this.#entries.findIndex((entry) => entry.key === key && !entry.isTried);
    if (index < 0) return false;
    this.#entries.splice(index, 1);
    this.#keep();
    return true;
  }

  async send() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      while (this.#entries.length > 0 && (await this.#sendFirst(this.#entries[0])));
    } finally {
      this.#isBusy = false;
    }
  }

  // Return whether the next one can follow.
  async #sendFirst(entry) {
    const fields = this.#ears.fieldsOf(entry);
    if (fields === null) return this.#drop();
    entry.isTried = true;
    this.#keep();
    let response;
    try {
      response = await post(entry.path, fields, entry.key);
    } catch {
      return this.#wait("The service cannot be reached.", null);
    }
    const page = parse(await response.text());
    if (response.ok) {
      this.#pauseMs = FIRST_PAUSE_MS;
      this.#entries.shift();
      this.#ears.onSent(entry, page);
      this.#keep();
      return true;
    }
    const said = page.querySelector("[data-error]");
    const words = said?.querySelector("p")?.textContent.replace("That did not work.", "").trim() || `Error ${response.status}.`;
    if (AGAIN.has(response.status)) return this.#wait(words, response.headers.get("Retry-After"));
    if (SIGNED_OUT.has(response.status)) {
      this.#ears.onSignedOut(this.#entries.length);
      return false;
    }
    this.#drop();
    this.#ears.onRefused(entry, said?.dataset.error ?? "", words);
    return true;
  }

  #drop() {
    this.#entries.shift();
    this.#keep();
    return true;
  }

  #wait(words, retryAfter) {
    const seconds = Number(retryAfter);
    const pauseMs = Math.min(Math.max(seconds * 1_000 || 0, this.#pauseMs), LONGEST_PAUSE_MS);
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
    this.#ears.onWaiting(this.#entries.length, words);
    setTimeout(() => this.send(), pauseMs);
    return false;
  }

  #keep() {
    // Without titles: what customers wrote is not left in the browser.
    const kept = this.#entries.map((entry) => ({ ...entry, title: "A ticket of before" }));
    if (kept.length > 0) localStorage.setItem(this.#place, JSON.stringify(kept));
    else localStorage.removeItem(this.#place);
  }
}

export function post(path, fields, key) {
  const headers = { "X-CSRF-Token": document.querySelector('meta[name="csrf-token"]').content, "X-Fragment": "1" };
  if (key) headers["Idempotency-Key"] = key;
  return fetch(path, { method: "POST", headers, body: new URLSearchParams(fields), redirect: "error" });
}

export function parse(html) {
  return new DOMParser().parseFromString(html, "text/html");
}
