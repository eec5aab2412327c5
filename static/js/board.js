// The list of runs, the overview and the status page.
"use strict";

// The list's period and its dates say the same thing: choosing one lets go of the other.
// In the capture phase, so that htmx reads the form after it.
document.addEventListener("change", ({ target }) => {
  const form = target.closest?.("form.filters");
  if (!form || !["from", "to"].includes(target.name)) return;
  if (target.type === "radio") {
    for (const date of form.querySelectorAll("input[type=date]")) date.value = "";
  } else if (target.name === "from" && target.value) {
    form.querySelector("input[type=radio][name=from][value='']").checked = true;
  }
}, true);

// What refreshes itself rests while nobody looks.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && event.detail.elt.matches?.("[data-refreshes]")) event.preventDefault();
});

// All lists are told the same of what came; what of it this one shows, and where, its page knows.
document.addEventListener("runsheet:came", ({ detail }) => {
  const link = detail.piece.querySelector("#arrivals > a");
  const results = document.querySelector("#results");
  if (!link || !results) return;
  link.href = "?all";
  if (!results.matches("[data-narrowed]")) return;
  const first = new URL(location);
  first.searchParams.delete("after");
  link.href = first.search;
  link.textContent = link.textContent.replace(/:.*/, " came: look again");
});
