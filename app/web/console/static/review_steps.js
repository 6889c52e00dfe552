// Sends the form of the next step by itself, until the page has none.
document.querySelector("form[data-step]")?.requestSubmit();
