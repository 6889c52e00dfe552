// The page of review: shows the next ticket at once, and tells the server in the background what was said of the last.

import { Outbox, newKey, parse, post } from "./review_outbox.js";
import { Ticket } from "./review_ticket.js";

const AHEAD = 2;
const REMEMBERED = 10;
const KEEP_MS = 180_000;
const LOOK_MS = 15_000;
// Who does nothing for so long has gone, and others may have the tickets.
const IDLE_MS = 3_600_000;

const root = document.querySelector("#review");
const stage = document.querySelector("#stage");
const notices = document.querySelector("#notices");
const said = document.querySelector("#said");

let current = null;
const ahead = [];
// What was judged since the page was loaded, the latest last; `feedbackId` once the server has it.
const judged = [];
const feedbackIds = new Map();
let activeAt = Date.now();
let isFetching = false;
let nSent = 0;

const outbox = new Outbox(root.dataset.reviewer, {
  fieldsOf(entry) {
    if (entry.path !== "review-take-back") return { ...entry.fields, ...wanted(entry) };
    const feedbackId = entry.fields.feedback_id ?? feedbackIds.get(entry.of);
    // What was refused needs not be taken back.
    return feedbackId === undefined ? null : { ...entry.fields, feedback_id: feedbackId };
  },
  onSent(entry, page) {
    nSent += 1;
    notices.querySelector(".waiting")?.remove();
    const feedbackId = page.querySelector("#desk")?.dataset.feedback;
    if (feedbackId) learn(entry.key, feedbackId);
    const given = take(page);
    if (entry.path === "review-take-back") showAgain(entry, given);
    else given.forEach(arrive);
    settle();
  },
  onRefused(entry, slug, words) {
    forget(entry.key);
    const isConflict = slug === "lease_lost" || slug === "already_judged";
    const choices = isConflict ? [["Record it all the same", () => insist(entry)]] : [];
    tell("bad", `${entry.title}: ${words}`, [...choices, [isConflict ? "Leave it" : "Close", () => {}]]);
    settle();
  },
  onWaiting(n, words) {
    const what = n === 1 ? "One judgement waits" : `${n} judgements wait`;
    tell("doubt", `${words} ${what} to be sent, and nothing is lost: it is tried again by itself.`, [], "waiting");
  },
  onSignedOut: tellSignedOut,
});

function wanted(entry) {
  const count = Math.max(0, AHEAD - ahead.length) + (current === null ? 1 : 0);
  const shown = [current, ...ahead].filter((ticket) => ticket !== null).map((ticket) => ticket.id);
  const waiting = outbox.entries.filter((one) => one !== entry).map((one) => one.fields.prediction_id ?? "");
  return { count, without: [...shown, ...waiting].join(" ") };
}

// Put the state of the page in its place unless a newer one is there, and return the tickets of an answer.
function take(page, isNewest = true) {
  const state = page.querySelector("#desk");
  if (isNewest && state !== null) document.querySelector("#desk").replaceWith(document.adoptNode(state));
  offerUndo();
  return [...page.querySelectorAll("article.ticket")].map((article) => new Ticket(document.adoptNode(article)));
}

function arrive(ticket) {
  if ([current, ...ahead].some((one) => one?.id === ticket.id)) return;
  if (current === null) show(ticket);
  else ahead.push(ticket);
}

function show(ticket) {
  current = ticket;
  if (ticket === null) {
    stage.replaceChildren(document.querySelector("#waiting").content.cloneNode(true));
  } else {
    stage.replaceChildren(ticket.article);
    window.scrollTo(0, 0);
    ticket.begin();
    offerUndo();
  }
}

function offerUndo() {
  const undo = current?.article.querySelector("[data-undo]");
  if (undo) undo.hidden = judged.length === 0 && document.querySelector("#desk form[data-take-back]") === null;
}

function goOn() {
  show(ahead.shift() ?? null);
}

// Nothing is on its way any more: fetch what is missing, or say that there is nothing.
async function settle() {
  if (isFetching || outbox.entries.length > 0) return;
  if (current !== null && ahead.length >= AHEAD) return;
  isFetching = true;
  const nSentBefore = nSent;
  try {
    const response = await post("review-next", wanted(null));
    const page = parse(await response.text());
    // It may come after the answer to a judgement that was sent later.
    if (response.ok) take(page, nSent === nSentBefore).forEach(arrive);
    else if (response.status === 401 || response.status === 403) tellSignedOut(outbox.entries.length);
  } catch {
    // The next look is soon.
  } finally {
    isFetching = false;
  }
  if (current === null && outbox.entries.length === 0) {
    const isSaid = stage.querySelector(".nothing")?.dataset.isEmpty;
    if (!isSaid) {
      stage.replaceChildren(document.querySelector("#nothing").content.cloneNode(true));
      stage.querySelector(".nothing").dataset.isEmpty = "1";
    }
  }
}

function tellSignedOut(n) {
  const link = document.createElement("a");
  link.href = "sign-in?next=review";
  link.textContent = "Sign in again";
  const what = n > 0 ? ` ${n} of your judgements are kept in this browser, and are sent then.` : "";
  tell("bad", `You are signed out, or this page is too old.${what} `, [], "waiting").append(link);
}

function accept() {
  if (current === null) return;
  if (current.missing !== null) {
    say(`Choose a label of ${current.missing} first.`);
    current.turnToMissing();
    return;
  }
  const key = newKey();
  const fields = { prediction_id: current.id, ...Object.fromEntries(current.labels) };
  judged.push({ key, ticket: current });
  if (judged.length > REMEMBERED) judged.shift();
  const { title } = current;
  goOn();
  outbox.add({ path: "review-judge", key, title, fields });
  say(`Accepted: ${title}`);
}

function skip() {
  if (current === null) return;
  const { id, title } = current;
  goOn();
  outbox.add({ path: "review-skip", key: newKey(), title, fields: { prediction_id: id } });
  say(`Skipped: ${title}`);
}

function takeBack() {
  const last = judged.pop();
  if (last === undefined) {
    const first = document.querySelector("#desk form[data-take-back]");
    if (first === null) say("There is nothing to take back.");
    else takeBackOf(first.elements.feedback_id.value, "the last judgement");
    return;
  }
  bring(last.ticket);
  say(`Taken back: ${last.ticket.title}`);
  if (outbox.withdraw(last.key)) settle();
  else outbox.add({ path: "review-take-back", key: null, of: last.key, shown: last.ticket.id, title: last.ticket.title, fields: known(last.key) });
}

function known(key) {
  return feedbackIds.has(key) ? { feedback_id: feedbackIds.get(key) } : {};
}

// What waits to be taken back keeps the id, for when this page is closed before it is sent.
function learn(key, feedbackId) {
  feedbackIds.set(key, feedbackId);
  for (const entry of outbox.entries.filter((one) => one.of === key)) entry.fields = known(key);
}

function takeBackOf(feedbackId, title) {
  const index = judged.findIndex((one) => feedbackIds.get(one.key) === feedbackId);
  const ticket = index < 0 ? null : judged.splice(index, 1)[0].ticket;
  if (ticket !== null) bring(ticket);
  outbox.add({ path: "review-take-back", key: null, shown: ticket?.id, title, fields: { feedback_id: feedbackId } });
  say(`Taken back: ${title}`);
}

function showAgain(entry, given) {
  const [ticket] = given;
  if (ticket === undefined) {
    tell("doubt", `${entry.title}: your judgement is taken back. Somebody else judges this ticket now.`, [["Close", () => {}]]);
    if (entry.shown) leave(entry.shown);
  } else if (!entry.shown && ![current, ...ahead].some((one) => one?.id === ticket.id)) {
    // What was shown at once may have been judged again by now.
    bring(ticket);
  }
}

function leave(id) {
  const index = ahead.findIndex((one) => one.id === id);
  if (index >= 0) ahead.splice(index, 1);
  if (current?.id === id) goOn();
}

// Show a ticket now, and the one that was there after it.
function bring(ticket) {
  if (current !== null) ahead.unshift(current);
  show(ticket);
}

function insist(entry) {
  outbox.add({ ...entry, key: newKey(), fields: { ...entry.fields, insists: "1" } });
}

function forget(key) {
  const index = judged.findIndex((one) => one.key === key);
  if (index >= 0) judged.splice(index, 1);
}

function say(words) {
  said.textContent = words;
}

function tell(kind, words, choices, name = "") {
  if (name) notices.querySelector(`.${name}`)?.remove();
  const notice = document.createElement("div");
  notice.className = `notice ${kind} ${name}`;
  const text = document.createElement("p");
  text.dir = "auto";
  text.textContent = words;
  const row = document.createElement("p");
  row.className = "row";
  for (const [label, work] of choices) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => {
      notice.remove();
      work();
    });
    row.append(button);
  }
  notice.append(text, ...(choices.length > 0 ? [row] : []));
  notices.append(notice);
  return text;
}

async function keep() {
  const mine = [current, ...ahead].filter((ticket) => ticket !== null);
  if (document.hidden || mine.length === 0 || Date.now() - activeAt > IDLE_MS) return;
  let page;
  try {
    const response = await post("review-keep", { keep: mine.map((ticket) => ticket.id).join(" ") });
    if (!response.ok) return;
    page = parse(await response.text());
  } catch {
    return;
  }
  const kept = new Set(page.querySelector("#kept").dataset.kept.split(" "));
  for (const ticket of mine) {
    if (kept.has(ticket.id)) continue;
    if (ticket === current) tell("doubt", `${ticket.title}: somebody else has this ticket now. Skip it, or judge it all the same.`, [["Close", () => {}]]);
    else if (ahead.includes(ticket)) ahead.splice(ahead.indexOf(ticket), 1);
  }
  settle();
}

function onKey(event) {
  activeAt = Date.now();
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("select, textarea, input:not([type=radio])")) return;
  if (event.key === "Enter") {
    if (event.target.closest("button, a, summary")) return;
    event.preventDefault();
    accept();
  } else if (/^[0-9]$/.test(event.key)) current?.type(event.key);
  else if (event.key === "s" || event.key === "S") skip();
  else if (event.key === "u" || event.key === "U") takeBack();
  else if (event.key === "?") {
    const keys = document.querySelector("#keys");
    keys.open = !keys.open;
    if (keys.open) keys.scrollIntoView({ block: "nearest" });
    say(keys.open ? keys.querySelector("dl").textContent : "");
  }
}

function onClick(event) {
  if (event.target.closest("[data-undo]")) takeBack();
  // Who opens a long text by hand, and then presses Enter, means the ticket; by keys, Enter opens and closes the text.
  if (event.detail > 0 && event.target.closest("#stage summary")) current?.article.querySelector("h2").focus({ preventScroll: true });
}

function onSubmit(event) {
  const form = event.target;
  if (form.matches(".judge")) {
    event.preventDefault();
    if (event.submitter?.hasAttribute("data-skip")) skip();
    else accept();
  } else if (form.matches("[data-take-back]")) {
    event.preventDefault();
    takeBackOf(form.elements.feedback_id.value, form.closest("li").querySelector(".of").textContent);
  }
}

const first = stage.querySelector("article.ticket");
if (first !== null) {
  show(new Ticket(first));
}
document.addEventListener("keydown", onKey);
document.addEventListener("submit", onSubmit);
document.addEventListener("click", onClick);
document.addEventListener("pointerdown", () => (activeAt = Date.now()));
document.addEventListener("visibilitychange", keep);
setInterval(keep, KEEP_MS);
setInterval(() => current === null && !document.hidden && settle(), LOOK_MS);
outbox.send();
settle();
