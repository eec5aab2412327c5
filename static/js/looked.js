// How far somebody has looked: told when they leave a page that was before them for a while.

const form = document.querySelector("form[data-looked]");
let from = performance.now();

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) from = performance.now();
  else if (performance.now() - from > 2_000) tell();
});

function tell() {
  const head = document.getElementById("run-head");
  const told = new FormData(form);
  told.delete("back");
  if (head) told.set("version", head.dataset.version);
  if (head) told.set("micros", head.querySelector("data.money")?.value ?? "");
  navigator.sendBeacon(form.action, told);
}

// A document that is brought up to date for everybody keeps this reader's line in its place.
const line = document.querySelector("#read > #since");
const first = line?.nextElementSibling?.id;
document.addEventListener("runsheet:changed", () => {
  const next = first && !line.isConnected && document.querySelector(`#read > #${first}`);
  if (next) next.before(line);
});
