// Keeps an open page current: fetches it again every two seconds and swaps in what has changed, unless somebody
// is in the middle of a form.
const main = document.getElementById("main");

async function refresh() {
  const busy = document.hidden || main.contains(document.activeElement) && document.activeElement.matches("input, textarea");
  if (!busy && !main.querySelector("details[open]")) {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (answer.ok && !answer.redirected) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
      const left = main.querySelector(".diagram")?.scrollLeft ?? 0;
      if (fresh && fresh.innerHTML !== main.innerHTML) {
        main.innerHTML = fresh.innerHTML;
        main.querySelector(".diagram")?.scrollTo({ left });
      }
    }
  }
}

if (main.dataset.live === "yes") {
  setInterval(() => refresh().catch(() => {}), 2000);
}

document.addEventListener("click", event => {
  const row = event.target.closest("table.list tbody tr");
  const link = row?.querySelector("a.row");
  if (link && !event.target.closest("a, button") && getSelection().isCollapsed) {
    location.href = link.href;
  }
});
