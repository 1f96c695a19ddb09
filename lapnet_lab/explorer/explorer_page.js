// The elements of the explorer: made once, filled from the numbers.

const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, parent = null, text = "") {
  const node = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
}

function options(node, entries, value) {
  const wanted = JSON.stringify(entries);
  if (node.dataset.entries !== wanted) {
    node.replaceChildren(...entries.map(([key, text]) => make("option", { value: key }, null, text)));
    node.dataset.entries = wanted;
  }
  node.value = String(value);
}

// One line for each object; `select` is called with its number, or -1 where it was selected.
function drawTable(ui, maps, selected, trained, select) {
  ui.kept.hidden = !trained;
  while (ui.rows.children.length > maps.objects.length) ui.rows.lastChild.remove();
  maps.objects.forEach((entry, n) => {
    const row = ui.rows.children[n] || newRow(ui, n, select);
    const [x1, y1, x2, y2] = entry.box;
    row.setAttribute("aria-selected", String(n === selected));
    row.cells[0].firstChild.style.background = colorOf(n);
    row.cells[0].lastChild.textContent = `${n + 1} ${entry.class}`;
    const missed = entry.positives_ao === 0 ? "missed by AO" : "";
    const remark = entry.rescued ? rescueOf(entry) : missed;
    const texts = [
      `${(x2 - x1).toFixed(0)} × ${(y2 - y1).toFixed(0)}`, entry.best_iou.toFixed(2), entry.cluster,
      entry.positives_ao, entry.positives_pono, trained ? entry.kept : "", remark,
    ];
    texts.forEach((text, k) => (row.cells[k + 1].textContent = text));
    row.cells[6].hidden = !trained;
    row.cells[7].className = "lx-missed";
  });
}

// An object whose every anchor fits another one better. What it was given in the end is its whole cluster.
function rescueOf(entry) {
  return entry.cluster ? "rescued: given one anchor of another's cluster" : "missed: no anchor was left to give";
}

function newRow(ui, n, select) {
  const row = make("tr", {}, ui.rows);
  const first = make("td", {}, row);
  make("span", { class: "lx-swatch" }, first);
  make("span", {}, first);
  for (let k = 0; k < 7; k++) make("td", {}, row);
  row.addEventListener("click", () => select(row.getAttribute("aria-selected") === "true" ? -1 : n));
  return row;
}

// What there is to say about the anchor of cell (i, j), whose shape is w x h pixels.
function words(maps, i, j, w, h, className, trained) {
  const k = i * maps.width + j;
  const owner = maps.owner[k];
  const anchor = `Row ${i}, column ${j}; shape ${maps.anchor[k] + 1}, ${w.toFixed(0)} × ${h.toFixed(0)} px`;
  if (owner < 0) return `${anchor}: touches no ${className}, so it belongs to no object.`;
  const o = maps.pono[k];
  const judge = (value) => (value > maps.threshold ? "positive" : "negative");
  const parts = [
    `${anchor}: belongs to object ${owner + 1}`, `AO ${maps.ao[k].toFixed(2)} (${judge(maps.ao[k])})`,
    `PONO ${o.toFixed(2)} (${judge(o)})`,
  ];
  if (trained) {
    const product = o * maps.fit[k];
    const verdict = o <= maps.threshold ? "no positive" : product > maps.threshold ? "kept" : "rejected by AMS";
    parts.push(`Ô ${maps.fit[k].toFixed(2)}`, `O · Ô ${product.toFixed(2)} (${verdict})`);
  }
  return parts.join("; ") + ".";
}

// The elements, once.
function build(root) {
  const ui = {};
  toolbar(ui, root);
  const top = make("div", { class: "lx-bar" }, root);
  const labelled = (text, tag, attributes = {}) =>
    make(tag, { "aria-label": text, ...attributes }, make("label", {}, top, text));
  ui.preset = labelled("situation", "select");
  ui.label = labelled("class", "select");
  ui.shape = labelled("anchor", "select");
  ui.threshold = labelled("threshold", "input", { type: "range", min: 0, max: 1, step: 0.01 });
  ui.thresholdOut = make("output", {}, ui.threshold.parentElement);
  ui.size = labelled("size", "input", { "aria-label": "anchor size", type: "range", min: -2, max: 2, step: 0.05 });
  ui.sizeOut = make("output", {}, ui.size.parentElement);
  ui.about = make("div", { class: "lx-about" }, root);
  const middle = make("div", { class: "lx-bar" }, root);
  ui.layers = make("span", { class: "lx-layers", role: "radiogroup", "aria-label": "what the map shows" }, middle);
  ui.legend = make("span", { class: "lx-legend" }, middle);
  ui.stages = make("div", { class: "lx-stages" }, root);
  const left = make("div", { class: "lx-stage lx-objects-layer" }, ui.stages);
  make("img", { alt: "", draggable: "false" }, left);
  ui.stage = make("svg:svg", { role: "group", "aria-label": "picture with objects" }, left);
  ui.boxes = make("svg:g", {}, ui.stage);
  ui.names = make("svg:g", { "pointer-events": "none", "aria-hidden": "true" }, ui.stage); // no box lies on a name
  ui.anchor = make("svg:rect", { class: "lx-anchor", "pointer-events": "none" }, ui.stage);
  const right = make("div", { class: "lx-stage lx-map" }, ui.stages);
  make("img", { alt: "", draggable: "false" }, right);
  ui.canvas = make("canvas", { width: 1, height: 1 }, right);
  ui.map = make("svg:svg", { tabindex: 0, role: "img" }, right);
  ui.mapBoxes = make("svg:g", { "pointer-events": "none" }, ui.map);
  ui.cursor = make("svg:rect", { class: "lx-cursor", "pointer-events": "none" }, ui.map);
  ui.mapAnchor = make("svg:rect", { class: "lx-anchor", "pointer-events": "none" }, ui.map);
  ui.error = make("div", { class: "lx-error", role: "alert" }, root);
  ui.notice = make("div", { class: "lx-notice", role: "status" }, root);
  const cell = make("div", { class: "lx-cell" }, root);
  ui.hint = make("span", { class: "lx-help" }, cell, "Point at the map: the anchor of the cell is drawn, with its numbers.");
  ui.numbers = make("span", { "aria-live": "polite" }, cell);
  const table = make("table", { "aria-label": "objects" }, root);
  const head = make("tr", {}, make("thead", {}, table));
  for (const text of ["object", "px", "best IoU", "cluster", "positives, AO", "positives, PONO", "kept by AMS", ""])
    make("th", { scope: "col" }, head, text);
  ui.kept = head.children[6];
  ui.rows = make("tbody", {}, table);
  make("div", { class: "lx-help" }, root,
    "Drag a box or its handles; drag on empty ground for a new one. Keyboard: Tab to a box, arrows move it (with Ctrl by a " +
    "cell), Shift and arrows resize it, c changes its class, n adds one, Delete removes it; Ctrl+Z and Ctrl+Shift+Z undo " +
    "and redo. A photograph of your own can be dropped here: it keeps its aspect, with grey bars.");
  ui.status = make("div", { class: "lx-status" }, root);
  return ui;
}

// What changes the objects; what changes the map has its place above it.
function toolbar(ui, root) {
  const bar = make("div", { class: "lx-bar lx-tools", role: "toolbar", "aria-label": "objects" }, root);
  const button = (text, title, keys = "", parent = bar) =>
    make("button", { type: "button", title, ...(keys && { "aria-keyshortcuts": keys }) }, parent, text);
  ui.add = button("New", "a new object of the class shown; n on a box does the same");
  ui.remove = button("Delete", "delete the selected object", "Delete");
  ui.reclass = make("select", { "aria-label": "its class" }, make("label", {}, bar, "its class"));
  ui.undo = button("Undo", "take the last change back (Ctrl+Z)", "Control+Z");
  ui.redo = button("Redo", "make it again (Ctrl+Shift+Z)", "Control+Shift+Z");
  ui.reset = button("Start again", "the objects as they were in the beginning");
  ui.copy = button("Copy state", "copy all this as one line of Python, which makes the same explorer in a cell");
  ui.paste = button("Paste state", "go on from a line that was copied");
  ui.photograph = button("Photograph…", "show a picture of your own; it can be dropped on the explorer, too");
  ui.file = make("input", { type: "file", accept: "image/*", hidden: "", tabindex: -1, "aria-label": "a picture" }, bar);
  ui.lineRow = make("div", { class: "lx-bar", hidden: "" }, root);
  const label = make("label", { class: "lx-line" }, ui.lineRow);
  ui.lineLabel = make("span", {}, label);
  ui.line = make("input", { type: "text", spellcheck: "false", autocomplete: "off" }, label);
  ui.apply = button("Apply", "show what the line says", "", ui.lineRow);
  ui.cancel = button("Close", "leave the explorer as it is", "", ui.lineRow);
}
