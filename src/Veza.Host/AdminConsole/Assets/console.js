// Keeps an open page current: fetches it again every two seconds and changes only what differs, so that focus, selection
// and scroll stay where they are. While somebody is in a form nothing changes under their hands.
const main = document.getElementById("main");
const connection = document.getElementById("connection");
const every = 2000;
const patience = 8000;
let reachedAt = new Date();

const isInForm = () =>
  main.querySelector("details[open] form, input[type=checkbox]:checked") !== null
  || main.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");

const clock = time => time.toISOString().slice(11, 16) + " UTC";

function say(words, tone, link) {
  if (connection.textContent !== words + (link ? " " + link.textContent : "")) {
    connection.className = "strip " + tone;
    connection.textContent = words;
    if (link) {
      connection.append(" ", Object.assign(document.createElement("a"), link));
    }
    connection.hidden = words === "";
  }
}

async function refresh() {
  let answer;
  try {
    answer = await fetch(location.href, {
      headers: { accept: "text/html", "x-live-refresh": "yes" },
      signal: AbortSignal.timeout(patience),
    });
  } catch {
    answer = null;
  }
  if (answer?.redirected) {
    say("You are signed out. What you see is from " + clock(reachedAt) + ".", "bad", { href: location.href, textContent: "Sign in" });
  } else if (answer?.ok) {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    reachedAt = new Date();
    if (isInForm()) {
      say("This page does not change while you are in a form.", "still");
    } else {
      say("", "still");
      patch(main, page.getElementById("main"));
    }
  } else {
    say("No connection since " + clock(reachedAt) + ". What you see is from then.", "bad");
  }
}

/** Makes the old node equal to the fresh one, and leaves alone what is equal already. */
function patch(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) {
      old.data = fresh.data;
    }
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name)) {
      old.removeAttribute(name);
    }
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) {
      old.setAttribute(name, value);
    }
  }
  patchChildren(old, fresh);
}

/** A child with an id is the same thing wherever it stands; one without is told by its place. */
function patchChildren(old, fresh) {
  const stays = new Set([...fresh.children].map(child => child.id).filter(id => id));
  const known = new Map([...old.children].filter(child => child.id).map(child => [child.id, child]));
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    while (place && place.id && !stays.has(place.id)) {
      const gone = place;
      place = place.nextSibling;
      gone.remove();
    }
    const same = child.id ? known.get(child.id) : place && !place.id && place.nodeName === child.nodeName ? place : null;
    if (!same) {
      old.insertBefore(child, place);
    } else {
      if (same === place) {
        place = place.nextSibling;
      } else {
        old.insertBefore(same, place);
      }
      patch(same, child);
    }
  }
  while (place) {
    const gone = place;
    place = place.nextSibling;
    gone.remove();
  }
}

async function follow() {
  if (!document.hidden) {
    await refresh();
  }
  setTimeout(follow, every);
}

if (main.dataset.live === "yes") {
  setTimeout(follow, every);
}

setTimeout(() => document.getElementById("notice")?.remove(), 15000);

document.addEventListener("click", event => {
  const row = event.target.closest("table.list tbody tr");
  const link = row?.querySelector("a.row");
  if (link && !event.target.closest("a, button") && getSelection().isCollapsed) {
    location.href = link.href;
  }
});
