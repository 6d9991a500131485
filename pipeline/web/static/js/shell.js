/** What all pages share: the theme, the state of the corpus, the list of keys, and files that are dropped. */

import { AWAY, BACK, get, send } from "./api.js";
import { announce, complain, fill, find, h } from "./dom.js";
import { catchDrops } from "./drop.js";
import { onKey, showKeys } from "./keys.js";

const CHECK_EVERY_MS = 60000;
const CHECK_AWAY_EVERY_MS = 2000;
let awayTimer = 0;

function currentTheme() {
  return (
    document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")
  );
}

function bindTheme() {
  const button = find("#theme");
  const show = () =>
    button.setAttribute("aria-label", currentTheme() === "dark" ? "Use light colours" : "Use dark colours");
  const tell = () => {
    show();
    dispatchEvent(new Event("themechange"));
  };
  show();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tell); // canvases are painted again
  button.addEventListener("click", () => {
    const theme = currentTheme() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      /* it is not remembered then */
    }
    tell();
  });
}

/** Show which generation is looked at; offer the newer one when there is one. */
async function showGeneration() {
  const place = find("#generation");
  try {
    const status = await get("status");
    comeBack();
    place.title =
      `Corpus ${status.corpus}, as run ${status.generation} left it. Each run that adds or removes scans makes a new ` +
      "generation. This page shows one until somebody asks for the next.";
    if (!status.newer_generation) {
      fill(place, h("span", { class: "quiet" }, `Generation ${status.generation}`));
      return;
    }
    fill(
      place,
      h(
        "button",
        { class: "small", onclick: () => moveOn(status.newer_generation) },
        `Generation ${status.newer_generation} is there: show it`,
      ),
    );
  } catch (error) {
    const words = error.status === 401 ? "Sign in again: open the new address" : error.message;
    fill(place, h("span", { class: "bad" }, words));
    place.title = error.hint || error.message;
    waitForServer();
  }
}

/** Ask every two seconds whether the server is back. */
function waitForServer() {
  awayTimer ||= setInterval(showGeneration, CHECK_AWAY_EVERY_MS);
}

function comeBack() {
  if (!awayTimer) return;
  clearInterval(awayTimer);
  awayTimer = 0;
  announce("The server is back.");
  dispatchEvent(new Event(BACK));
}

async function moveOn(generation) {
  try {
    await send("POST", "generation", { generation });
    location.reload();
  } catch (error) {
    complain(error);
  }
}

function markCurrentPage() {
  const first = `/${location.pathname.split("/")[1]}`;
  const of = { "/waterfall": "/", "/results": "/" }[first] || first;
  for (const link of document.querySelectorAll("header nav a")) {
    if (link.getAttribute("href") === of) link.setAttribute("aria-current", first === of ? "page" : "true");
  }
}

bindTheme();
markCurrentPage();
catchDrops();
addEventListener("keydown", onKey);
find("#keys-open").addEventListener("click", showKeys);
addEventListener(AWAY, () => awayTimer || (waitForServer(), showGeneration()));
showGeneration();
setInterval(() => document.hidden || showGeneration(), CHECK_EVERY_MS);
