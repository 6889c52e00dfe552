// The page to try tickets on: asks while one types, one question at a time, and shows the answer to the latest only.

const PAUSE_MS = 300;

const form = document.querySelector("#ticket");
const title = document.querySelector("#title");
const description = document.querySelector("#description");
const answer = document.querySelector("#answer");
const said = document.querySelector("#said");
const token = document.querySelector('meta[name="csrf-token"]').content;

let timer = 0;
let isAsking = false;
let isWaiting = false;
let asked = fields().toString();

function fields() {
  return new URLSearchParams({ title: title.value, description: description.value });
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(ask, PAUSE_MS);
}

async function ask() {
  clearTimeout(timer);
  const body = fields();
  if (isAsking) {
    isWaiting = true;
    return;
  }
  if (body.toString() === asked) return;
  isAsking = true;
  asked = body.toString();
  answer.setAttribute("aria-busy", "true");
  try {
    const headers = { "X-CSRF-Token": token, "X-Fragment": "1" };
    const response = await fetch("try", { method: "POST", body, headers });
    const text = await response.text();
    if (!isWaiting) show(text);
    if (!response.ok) asked = null;
  } catch {
    asked = null;
    if (!isWaiting) tell("The service cannot be reached at the moment. Type on to ask again.");
  } finally {
    isAsking = false;
    answer.removeAttribute("aria-busy");
  }
  if (isWaiting) {
    isWaiting = false;
    ask();
  }
}

// The server escapes what people wrote; what was unfolded stays so.
function show(text) {
  const open = new Set([...answer.querySelectorAll("details[open]")].map((one) => one.dataset.key));
  const page = new DOMParser().parseFromString(text, "text/html");
  answer.replaceChildren(...page.body.childNodes);
  for (const one of answer.querySelectorAll("details")) one.open = open.has(one.dataset.key);
  said.textContent = [...answer.querySelectorAll("[data-said]")].map((one) => one.dataset.said).join(" ");
}

function tell(words) {
  const notice = document.createElement("p");
  notice.className = "notice doubt";
  notice.role = "alert";
  notice.textContent = words;
  answer.replaceChildren(notice);
}

form.addEventListener("input", soon);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const example = event.submitter?.dataset;
  if (event.submitter?.name === "example") {
    title.value = example.title;
    description.value = example.description;
  }
  ask();
});
document.querySelector("#empty").addEventListener("click", (event) => {
  event.preventDefault();
  form.querySelectorAll("#title, #description").forEach((one) => { one.value = ""; });
  ask();
  title.focus();
});
