// Facets as open lists with counts. One trigger, `chosen`: {facet, value, state}; state is "in", "out", or "" for neither.
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector("#facets");
  const open = (root.open ??= new Set());

  function make(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function button(key, attributes, click, ...children) {
    const made = make("button", { type: "button", onclick: click }, ...children);
    made.dataset.key = key;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  function toggle(facet, value, state, attributes, ...children) {
    const pressed = value.state === state;
    const click = () =>
      setTriggerValue("chosen", { facet: facet.key, value: value.value, state: pressed ? "" : state });
    return button(`${state} ${facet.key} ${value.value}`, { "aria-pressed": pressed, ...attributes }, click, ...children);
  }

  function row(facet, value) {
    const name = make("span", { textContent: value.label, dir: "auto" });
    const count = make("span", { className: "count", textContent: value.count.toLocaleString("en") });
    const include = toggle(facet, value, "in", { class: "include" }, name, count);
    const exclude = toggle(facet, value, "out", { class: "exclude", "aria-label": `Exclude ${value.label}` }, "−");
    exclude.title = `Exclude ${value.label}`;
    return make("li", { className: value.state }, include, exclude);
  }

  function histogram(facet) {
    const bars = make("div", { className: "histogram" });
    const most = Math.max(...facet.histogram.map((value) => value.count));
    for (const value of facet.histogram) {
      const label = `${value.label}: ${value.count.toLocaleString("en")}`;
      const bar = make("span", { className: "bar" });
      bar.style.height = `${value.count ? Math.max(8, (100 * value.count) / most) : 0}%`;
      const year = toggle(facet, value, "in", { "aria-label": label, title: label }, bar);
      year.disabled = !value.count && !value.state;
      bars.append(year);
    }
    const ends = [facet.histogram[0], facet.histogram.at(-1)].map((value) => make("span", { textContent: value.label }));
    return make("div", {}, bars, make("div", { className: "ends" }, ...ends));
  }

  function section(facet) {
    const all = open.has(facet.key);
    const shown = facet.values.filter((value, at) => all || at < data.first || value.state);
    const list = make("ul", {}, ...shown.map((value) => row(facet, value)));
    const parts = [make("h3", { textContent: facet.label }), ...(facet.histogram ? [histogram(facet)] : []), list];
    if (facet.values.length > data.first) {
      const click = () => {
        if (!open.delete(facet.key)) open.add(facet.key);
        draw();
      };
      const label = all ? "Show fewer" : `Show all ${facet.values.length.toLocaleString("en")}`;
      const named = { class: "more", "aria-expanded": all, "aria-label": `${label}: ${facet.label}` };
      parts.push(button(`more ${facet.key}`, named, click, label));
    }
    return make("section", {}, ...parts);
  }

  function draw() {
    const focused = root.getRootNode().activeElement?.dataset?.key;
    root.replaceChildren(...data.facets.map(section));
    if (focused) [...root.querySelectorAll("button")].find((one) => one.dataset.key === focused)?.focus();
  }

  draw();
}
