// The questions asked in this browser, newest first, kept in its local storage; one trigger, `opened`: a query string.
const KEY = "docqa-history";

function stored() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((one) => typeof one?.query === "string") : [];
  } catch {
    return [];
  }
}

function store(entries) {
  try {
    localStorage.setItem(KEY, JSON.stringify(entries));
  } catch {
    // A browser that keeps nothing has no history.
  }
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector("details");
  const there = (one) => one.who === data.who && data.created[one.corpus] === one.created;
  let entries = stored().filter(there);
  if (data.entry) entries = [data.entry, ...entries.filter((one) => one.query !== data.entry.query)];
  store(entries.slice(0, data.most));
  draw();

  function draw() {
    const shown = stored().filter((one) => one.corpus === data.corpus);
    root.hidden = !shown.length;
    root.querySelector("ul").replaceChildren(...shown.map(row));
    root.querySelector("button").onclick = () => {
      store(stored().filter((one) => one.corpus !== data.corpus));
      draw();
    };
  }

  function row(entry) {
    const link = document.createElement("a");
    Object.assign(link, { href: `?${entry.query}`, textContent: entry.question, title: entry.question, dir: "auto" });
    link.onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      setTriggerValue("opened", entry.query);
    };
    const item = document.createElement("li");
    item.append(link);
    return item;
  }
}
