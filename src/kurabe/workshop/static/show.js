// The pages' only script: it shows what the server says and sends what a person does. It knows no step.
"use strict";

const root = document.documentElement;
const token = root.dataset.token;
const role = root.classList.contains("present") ? "present" : "audience";
const stage = document.getElementById("stage");
const KEYS = {
  ArrowRight: "next", " ": "next", PageDown: "next", ArrowLeft: "back", PageUp: "back", b: "blank", ".": "blank",
  d: "dark", l: "language", t: "tempo", s: "start", x: "ship", c: "clock", k: "keep",
};
let state = null;
let arrived = 0; // when the state came, by this page's clock
let source = null;
let polling = 0;

async function act(name, value = "") {
  if (name === "clean" && !confirm(state.words.clean + "?")) return;
  try {
    const answer = await fetch("act", {
      method: "POST", body: JSON.stringify({ name, value }),
      headers: { "X-Kurabe-Token": token, "Content-Type": "application/json" },
    });
    if (answer.status === 409) say((await answer.json()).problem, true);
  } catch {
    say("kurabe workshop ✗", true);
  }
}

function say(words, shown = false) {
  const place = document.getElementById("said");
  place.textContent = words;
  place.classList.toggle("shown", shown);
  if (shown) setTimeout(() => place.classList.remove("shown"), 6000);
}

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function tick() {
  if (!state) return;
  const more = state.running ? (performance.now() - arrived) / 1000 : 0;
  const now = { step: state.seconds[0] + more, total: state.seconds[1] + more };
  for (const place of document.querySelectorAll("[data-clock]")) {
    const seconds = now[place.dataset.clock];
    place.textContent = (state.running ? "" : "▮▮ ") + clock(seconds);
    place.classList.toggle("late", seconds > Number(place.dataset.limit));
  }
}

let told = 0;
function show(next) {
  const moved = !state || state.step !== next.step;
  state = next;
  arrived = performance.now();
  root.lang = state.language;
  root.dataset.step = state.step;
  root.dataset.version = state.version;
  root.classList.toggle("dark", state.dark);
  document.title = `${state.title} · kurabe`;
  if (stage.dataset.html !== state.html) {
    const kept = [...stage.querySelectorAll("pre, .wide")].map((part) => part.scrollTop);
    stage.innerHTML = state.html;
    stage.dataset.html = state.html;
    if (!moved) stage.querySelectorAll("pre, .wide").forEach((part, n) => { part.scrollTop = kept[n] || 0; });
  }
  if (moved) scrollTo(0, 0);
  const load = stage.querySelector("[data-load]");
  if (load) load.textContent = state.load;
  for (const place of document.querySelectorAll("[data-t]")) {
    const key = place.dataset.key;
    place.textContent = state.words[place.dataset.t];
    if (key) place.insertAdjacentHTML("beforeend", ` <kbd>${key}</kbd>`);
  }
  const list = document.getElementById("goto");
  if (list && document.activeElement !== list) {
    list.replaceChildren(...state.steps.map(([id, title]) => new Option(title, id, id === state.step, id === state.step)));
  }
  if (moved || performance.now() - told > 10000) {
    told = performance.now();
    say(moved ? state.title : state.said);
  }
  tick();
}

// One stream per window, closed while nobody sees it; without a stream the state is asked for every two seconds.
function listen() {
  if (source || document.hidden) return;
  source = new EventSource(`events?role=${role}&token=${token}`);
  source.onmessage = (event) => { clearInterval(polling); polling = 0; show(JSON.parse(event.data)); };
  source.onerror = () => {
    if (source && source.readyState === EventSource.CLOSED) { source = null; setTimeout(listen, 2000); }
    if (!polling) polling = setInterval(poll, 2000);
  };
}

async function poll() {
  try {
    const answer = await fetch(`state?role=${role}`, { headers: { "X-Kurabe-Token": token } });
    if (answer.ok) show(await answer.json());
  } catch { /* the server is away; the next try comes in two seconds */ }
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden && source) { source.close(); source = null; } else { listen(); }
});

const dialog = document.getElementById("keys");
const LOCAL = {
  full: () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen().catch(() => {})),
  help: () => {
    if (dialog.open) { dialog.close(); return; }
    const names = { next: "→ Space PageDown", back: "← PageUp", blank: "b", full: "f", language: "l", dark: "d", goto: "g",
      tempo: "t", start: "s", ship: "x", clock: "c", keep: "k", help: "?" };
    document.getElementById("keys-list").replaceChildren(...Object.entries(names).flatMap(([name, key]) => {
      const [term, words] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = key;
      words.textContent = state.words[name];
      return [term, words];
    }));
    dialog.showModal();
  },
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select, textarea");
  const pressing = event.key === " " && event.target.matches("button, a, summary");
  if (typing && event.key === "Escape") event.target.blur(); // from here on the keys are the show's again
  if (typing || pressing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (dialog.open && event.key !== "?") return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === "f") LOCAL.full();
  else if (key === "?") LOCAL.help();
  else if (key === "g") document.getElementById("goto")?.focus();
  else if (key === "Escape") act("close");
  else if (key === "Delete" && event.shiftKey) act("clean");
  else if (KEYS[key]) act(KEYS[key]);
  else return;
  event.preventDefault();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act], [data-local]");
  if (!button) return;
  if (button.dataset.act) act(button.dataset.act);
  else LOCAL[button.dataset.local]();
});

document.getElementById("goto")?.addEventListener("change", (event) => {
  act("goto", event.target.value);
  event.target.blur();
});

document.getElementById("question")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("words");
  act("ask", field.value);
  field.value = "";
  field.blur(); // a clicker's next key must not be typed into the field
});

setInterval(tick, 250);
listen();
