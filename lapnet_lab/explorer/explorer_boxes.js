// The boxes of the explorer: how they are drawn, moved and resized.

const LEAST_SIDE = 3; // px
const CROWD = 6; // objects beyond which their names would hide the picture
const HANDLES = [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [0.5, 1], [0, 1], [0, 0.5]];

// The objects in both pictures. `get` reads the model, `select` is called with the number of the one that has the focus.
function drawBoxes(ui, { boxes, labels }, maps, get, select) {
  const selected = get("selected");
  while (ui.boxes.children.length > boxes.length) ui.boxes.lastChild.remove();
  while (ui.mapBoxes.children.length > boxes.length) ui.mapBoxes.lastChild.remove();
  const unit = get("extent")[1] / (ui.stage.clientWidth || 400); // image pixels of a screen pixel
  boxes.forEach((box, n) => {
    const group = ui.boxes.children[n] || newBox(ui, n, select);
    const outline = ui.mapBoxes.children[n] || make("svg:rect", {}, ui.mapBoxes);
    const [x1, y1, x2, y2] = box;
    const place = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
    const name = get("class_names")[labels[n]];
    const [halo, line, text, grip, ...handles] = group.children;
    for (const rect of [halo, line, grip, outline]) set(rect, place);
    line.style.stroke = colorOf(n);
    set(outline, { class: n === selected ? "lx-map-box lx-selected" : "lx-map-box" });
    set(text, { x: x1 + 2 * unit, y: Math.max(y1 - 4 * unit, 11 * unit), "font-size": 12 * unit });
    text.style.fontSize = `${12 * unit}px`;
    text.style.strokeWidth = `${3 * unit}px`;
    text.textContent = boxes.length > CROWD ? String(n + 1) : `${n + 1} ${name}`;
    handles.forEach((handle, k) => {
      const [u, v] = HANDLES[k];
      const side = 8 * unit;
      set(handle, { x: x1 + u * (x2 - x1) - side / 2, y: y1 + v * (y2 - y1) - side / 2, width: side, height: side });
    });
    set(group, {
      class: n === selected ? "lx-object lx-selected" : "lx-object",
      "aria-label": `object ${n + 1}, ${name}, ${Math.round(x2 - x1)} by ${Math.round(y2 - y1)} pixels at ` +
        `${Math.round(x1)}, ${Math.round(y1)}. ${summary(maps, n)}`,
    });
  });
  const chosen = selected >= 0 && selected < boxes.length;
  ui.remove.disabled = !chosen;
  ui.reclass.disabled = !chosen;
  if (chosen) ui.reclass.value = String(labels[selected]);
}

function newBox(ui, n, select) {
  const group = make("svg:g", { tabindex: 0, role: "button", "aria-roledescription": "box" }, ui.boxes);
  make("svg:rect", { class: "lx-halo" }, group);
  make("svg:rect", { class: "lx-box" }, group);
  make("svg:text", { class: "lx-name" }, group);
  make("svg:rect", { class: "lx-grip" }, group);
  for (const [u, v] of HANDLES) {
    const shape = u === 0.5 ? "ns" : v === 0.5 ? "ew" : u === v ? "nwse" : "nesw";
    make("svg:rect", { class: "lx-handle", style: `cursor:${shape}-resize` }, group);
  }
  group.addEventListener("focus", () => select(n));
  return group;
}

function summary(maps, n) {
  const entry = maps && maps.objects[n];
  if (!entry) return "";
  const missed = entry.positives_ao === 0 ? "Missed by AO. " : "";
  return `${missed}Best overlap ${entry.best_iou.toFixed(2)}, ${entry.positives_pono} positives by PONO.`;
}

// A box moved by (dx, dy), kept inside the picture.
function moved([x1, y1, x2, y2], dx, dy, [height, width]) {
  const across = Math.min(Math.max(dx, -x1), width - x2);
  const down = Math.min(Math.max(dy, -y1), height - y2);
  return [x1 + across, y1 + down, x2 + across, y2 + down];
}

// The sides that a handle at (u, v) holds follow; [0, 0] is the upper left corner.
function resized([x1, y1, x2, y2], [u, v], dx, dy, [height, width]) {
  const within = (value, low, high) => Math.min(Math.max(value, low), high);
  if (u === 0) x1 = within(x1 + dx, 0, x2 - LEAST_SIDE);
  if (u === 1) x2 = within(x2 + dx, x1 + LEAST_SIDE, width);
  if (v === 0) y1 = within(y1 + dy, 0, y2 - LEAST_SIDE);
  if (v === 1) y2 = within(y2 + dy, y1 + LEAST_SIDE, height);
  return [x1, y1, x2, y2];
}

// Which handle of a box lies within `reach` of a point, or -1. Inside a tiny box there is none: it has to be movable.
function handleAt([x1, y1, x2, y2], [x, y], reach) {
  const inside = x > x1 && x < x2 && y > y1 && y < y2;
  if (inside && Math.min(x2 - x1, y2 - y1) < 4 * reach) return -1;
  const near = ([u, v]) => Math.max(Math.abs(x - x1 - u * (x2 - x1)), Math.abs(y - y1 - v * (y2 - y1))) <= reach;
  return HANDLES.findIndex(near);
}
