"use strict";
// The gallery's page: what is chosen, and its shelves. Data comes as calls of `nightshelf.*` from scripts beside this one, since a
// page that was opened as a file may load nothing else. No listener's id is put into an address, a title or a file's name.
const nightshelf = (() => {
  const MOST = 40; // listeners that are listed at once
  const parts = new Map(); // number of a part -> its listeners, or what waits for it
  let tracks = [];
  let all = null;
  let chosen = null;
  const at = (id) => document.getElementById(id);
  const plural = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null && child !== ""));
    return made;
  }

  function trackOf(number) {
    const [title, artists] = tracks[number] || ["?", ""];
    return [title, artists];
  }

  function nameOf(number) {
    const [title, artists] = trackOf(number);
    return artists ? `${title} · ${artists}` : title;
  }

  const textOf = (number) => (number < 0 ? "" : all.texts[number]);

  function fits(row) {
    const [id, segment, market] = row;
    const wanted = at("search").value.trim().toLowerCase();
    return (
      (!wanted || id.toLowerCase().includes(wanted)) &&
      (at("segment").value === "" || segment === Number(at("segment").value)) &&
      (at("market").value === "" || market === at("market").value)
    );
  }

  function matching() {
    const numbers = [];
    all.rows.forEach((row, number) => {
      if (fits(row)) numbers.push(number);
    });
    return numbers;
  }

  function list() {
    const numbers = matching();
    const shown = numbers.slice(0, MOST);
    at("count").textContent =
      plural(numbers.length, "listener fits", "listeners fit") + (shown.length < numbers.length ? `, the first ${MOST} are listed` : "");
    at("found").replaceChildren(
      ...shown.map((number) => {
        const [id, segment, market, heard, personal] = all.rows[number];
        const about = [all.segments[segment], market, plural(heard, "track", "tracks"), `${personal} shelves of their own`];
        const button = element("button", { type: "button" }, element("b", {}, id), " ", element("span", { class: "soft small" }, about.filter(Boolean).join(", ")));
        button.addEventListener("click", () => choose(number, true));
        if (number === chosen) button.setAttribute("aria-current", "true");
        return element("li", {}, button);
      }),
    );
  }

  function load(part) {
    return new Promise((resolve, reject) => {
      if (parts.has(part)) return resolve(parts.get(part));
      const script = element("script", { src: `part-${String(part).padStart(4, "0")}.js` });
      script.addEventListener("load", () => resolve(parts.get(part)));
      script.addEventListener("error", () => reject(new Error(`part ${part} of the gallery is not in its folder`)));
      document.head.append(script);
    });
  }

  async function choose(number, move) {
    chosen = number;
    const [id, segment, market, heard, personal, part] = all.rows[number];
    try {
      const listeners = await load(part);
      if (chosen !== number) return; // somebody else was chosen meanwhile
      const about = [all.segments[segment], market, plural(heard, "track", "tracks") + " in the library"].filter(Boolean).join(", ");
      at("who").textContent = `Listener ${id}: ${about}; ${personal} of ${all.shelves.length} shelves are their own.`;
      render(listeners[number] || []);
    } catch (error) {
      at("who").textContent = error.message;
      at("stage").replaceChildren();
    }
    list();
    if (move) at("shelves").focus();
  }

  function itemOf(item, number, before, details) {
    const [track, source, reason, cited, chance] = item;
    const [title, artists] = trackOf(track);
    const why = textOf(reason).replace("\u0001", cited < 0 ? "" : nameOf(cited));
    const tags = [];
    if (before && !before.includes(track)) tags.push("new");
    if (details && source >= 0) tags.push(textOf(source).replaceAll("_", " "));
    if (details && chance > 0) tags.push(`drawn, p ${chance}`);
    return element(
      "li",
      {},
      element("span", { class: "no", "aria-hidden": "true" }, String(number)),
      element(
        "div",
        {},
        title,
        artists ? element("span", { class: "soft" }, ` · ${artists}`) : null,
        element("div", { class: "small soft" }, why, ...tags.flatMap((tag) => [" ", element("span", { class: "tag" }, tag)])),
      ),
    );
  }

  function beforeOf(before, items) {
    const now = new Set(items.map((item) => item[0]));
    return element(
      "ol",
      { class: "tracks before" },
      ...before.map((track, n) => {
        const [title, artists] = trackOf(track);
        const gone = now.has(track) ? null : element("span", { class: "tag" }, "gone");
        return element(
          "li",
          {},
          element("span", { class: "no", "aria-hidden": "true" }, String(n + 1)),
          element("div", {}, title, artists ? element("span", { class: "soft" }, ` · ${artists}`) : null, " ", gone),
        );
      }),
    );
  }

  function removedOf(removed) {
    if (!removed.length) return element("p", { class: "small soft" }, "No rule kept a track off this shelf.");
    const rules = removed.map(([rule, count, some]) =>
      element(
        "li",
        {},
        `${textOf(rule)}: ${plural(count, "track", "tracks")}`,
        some.length ? element("span", { class: "soft" }, `, such as ${some.map(nameOf).join("; ")}`) : null,
      ),
    );
    return element("details", {}, element("summary", {}, "What was kept off, and by which rule"), element("ul", { class: "small" }, ...rules));
  }

  function shelfOf(row, n) {
    const [shelf, status, reason, subtitle, on, spares, items, before, removed] = row;
    const [, title, surface] = all.shelves[shelf];
    const details = at("details").checked;
    const beside = at("beside").checked && all.before !== null;
    const heading = element("h3", { id: `shelf-${n}` }, title, subtitle < 0 ? null : element("span", { class: "soft" }, `: ${textOf(subtitle)}`));
    const about = [surface, all.statuses[status], `chosen ${on}`, plural(spares, "spare", "spares")].join(", ");
    const today = items.length
      ? element("ol", { class: "tracks" }, ...items.map((item, k) => itemOf(item, k + 1, beside ? before : null, details)))
      : element("p", { class: "soft" }, "Nothing stands here.");
    const columns = [element("div", {}, beside ? element("h4", {}, all.night) : null, today)];
    if (beside) {
      const then = before === null ? element("p", { class: "soft" }, "The shelf did not stand.") : before.length ? beforeOf(before, items) : element("p", { class: "soft" }, "Nothing stood here.");
      columns.push(element("div", {}, element("h4", {}, all.before), then));
    }
    return element(
      "section",
      { class: "panel shelf", "aria-labelledby": `shelf-${n}` },
      heading,
      element("p", { class: "small soft" }, about, reason < 0 ? null : element("span", {}, `. ${textOf(reason)}`)),
      element("div", { class: beside ? "columns two" : "columns" }, ...columns),
      details ? removedOf(removed) : null,
    );
  }

  function render(rows) {
    at("stage").replaceChildren(...rows.map(shelfOf));
    at("stage").dataset.ready = String(chosen);
  }

  function again() {
    if (chosen !== null && parts.has(all.rows[chosen][5])) render(parts.get(all.rows[chosen][5])[chosen] || []);
  }

  function another() {
    const numbers = matching();
    if (numbers.length) choose(numbers[Math.floor(Math.random() * numbers.length)], false);
  }

  function begin(found) {
    all = found;
    all.segments.forEach((words, n) => {
      if (all.rows.some((row) => row[1] === n)) at("segment").append(element("option", { value: String(n) }, words));
    });
    [...new Set(all.rows.map((row) => row[2]))].filter(Boolean).sort().forEach((market) => at("market").append(element("option", { value: market }, market)));
    for (const id of ["search", "segment", "market"]) at(id).addEventListener("input", list);
    at("search").addEventListener("keydown", (event) => {
      const [first] = matching();
      if (event.key === "Enter" && first !== undefined) choose(first, true);
    });
    for (const id of ["beside", "details"]) at(id).addEventListener("input", again);
    at("another").addEventListener("click", another);
    list();
    if (all.rows.length) choose(0, false);
  }

  return {
    tracks: (found) => (tracks = found),
    listeners: begin,
    part: (number, listeners) => parts.set(number, listeners),
  };
})();
