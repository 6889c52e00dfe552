// One ticket on the screen: which question is in focus, and which label a digit chooses.

const TYPING_MS = 1_500;

export class Ticket {
  #heads;
  #current = 0;
  #typed = "";
  #typedAt = 0;

  constructor(article) {
    this.article = article;
    this.form = article.querySelector("form.judge");
    this.#heads = [...article.querySelectorAll("fieldset.head")];
    article.addEventListener("focusin", (event) => {
      const index = this.#heads.indexOf(event.target.closest("fieldset.head"));
      if (index >= 0) this.#turnTo(index);
    });
  }

  get id() {
    return this.article.dataset.prediction;
  }

  get title() {
    return this.article.querySelector("h2").textContent;
  }

  // The labels by the names of their fields.
  get labels() {
    return [...new FormData(this.form)].filter(([name]) => name.startsWith("label."));
  }

  // The first question without a label, null if there is none.
  get missing() {
    const head = this.#heads.find((one) => one.querySelector("input:checked") === null);
    return head?.querySelector("legend").textContent ?? null;
  }

  begin() {
    this.#typed = "";
    this.#turnTo(0);
    this.article.querySelector("h2").focus();
  }

  turnToMissing() {
    this.#focus(this.#heads.findIndex((one) => one.querySelector("input:checked") === null));
  }

  // Choose by a digit; labels with two digits take two of them in a row.
  type(digit) {
    const head = this.#heads[this.#current];
    if (head === undefined) return;
    const isLate = performance.now() - this.#typedAt > TYPING_MS;
    this.#typedAt = performance.now();
    const inputs = [...head.querySelectorAll("input[data-keys]")];
    for (const typed of [(isLate ? "" : this.#typed) + digit, digit]) {
      const input = inputs.find((one) => one.dataset.keys === typed);
      if (input !== undefined) {
        this.#typed = "";
        this.#choose(input);
        return;
      }
      if (inputs.some((one) => one.dataset.keys.startsWith(typed))) {
        this.#typed = typed;
        return;
      }
    }
    this.#typed = "";
  }

  #choose(input) {
    input.checked = true;
    if (this.#current + 1 < this.#heads.length) this.#focus(this.#current + 1);
    else this.form.querySelector("button.accept").focus();
  }

  #focus(index) {
    const head = this.#heads[index];
    if (head === undefined) return;
    this.#turnTo(index);
    (head.querySelector("input:checked") ?? head.querySelector("input")).focus();
  }

  #turnTo(index) {
    if (index !== this.#current) this.#typed = "";
    this.#current = index;
    this.#heads.forEach((head, number) => head.classList.toggle("current", number === index));
  }
}
