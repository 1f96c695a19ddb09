// The boxes of the explorer: how they are drawn, moved and resized.

const LEAST_SIDE = 3; // px
const CROWD = 6; // objects beyond which their names would hide the picture
const HANDLES = [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [0.5, 1], [0, 1], [0, 0.5]];

const TEXT = 12; // px of the screen, and so are the next
const HANDLE = 8;
const RING = 7; // from a box to the ring around the one with the focus: neither box nor handles lie under it
const SMALL = 4 * HANDLE; // a box with a shorter side has only its corners, and they stand outside

// The objects in both pictures. `get` reads the model, `select` is called with the number of the one that has the focus.
function drawBoxes(ui, { boxes, labels }, maps, get, select) {
  const selected = get("selected");
  fewer(ui, boxes.length);
  for (const layer of [ui.names, ui.mapBoxes]) while (layer.children.length > boxes.length) layer.lastChild.remove();
  const unit = get("extent")[1] / (ui.stage.clientWidth || 400); // image pixels of a screen pixel
  const names = labels.map((label, n) => (boxes.length > CROWD ? String(n + 1) : `${n + 1} ${get("class_names")[label]}`));
  const places = namePlaces(boxes, names, selected, unit, get("extent"));
  boxes.forEach((box, n) => {
    const group = ui.boxes.children[n] || newBox(ui, n, select);
    const text = ui.names.children[n] || make("svg:text", { class: "lx-name" }, ui.names);
    const outline = ui.mapBoxes.children[n] || make("svg:rect", {}, ui.mapBoxes);
    const [x1, y1, x2, y2] = box;
    const place = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
    const [halo, line, grip, ...others] = group.children;
    for (const rect of [halo, line, grip, outline]) set(rect, place);
    line.style.stroke = colorOf(n);
    set(outline, { class: n === selected ? "lx-map-box lx-selected" : "lx-map-box" });
    set(text, { x: places[n][0], y: places[n][1] });
    text.style.fontSize = `${TEXT * unit}px`;
    text.style.strokeWidth = `${3 * unit}px`;
    text.textContent = names[n];
    const small = Math.min(x2 - x1, y2 - y1) < SMALL * unit;
    const outside = small ? HANDLE * unit : 0;
    HANDLES.forEach(([u, v], k) => {
      const side = HANDLE * unit;
      const [x, y] = [x1 + u * (x2 - x1) + (u - 0.5) * outside, y1 + v * (y2 - y1) + (v - 0.5) * outside];
      set(others[k], { x: x - side / 2, y: y - side / 2, width: side, height: side });
    });
    const far = (RING + (small ? HANDLE / 2 : 0)) * unit;
    for (const ring of others.slice(HANDLES.length))
      set(ring, { x: x1 - far, y: y1 - far, width: x2 - x1 + 2 * far, height: y2 - y1 + 2 * far });
    set(group, {
      class: `lx-object${n === selected ? " lx-selected" : ""}${small ? " lx-small" : ""}`,
      "aria-label": `object ${n + 1}, ${get("class_names")[labels[n]]}, ${Math.round(x2 - x1)} by ${Math.round(y2 - y1)} ` +
        `pixels at ${Math.round(x1)}, ${Math.round(y1)}. ${summary(maps, n)}`,
    });
  });
  const chosen = selected >= 0 && selected < boxes.length;
  ui.remove.disabled = !chosen;
  ui.reclass.disabled = !chosen;
  if (chosen) ui.reclass.value = String(labels[selected]);
}

// Elements of boxes that are no more go. Where one of them has the focus, or the button that deleted the last one, it
// goes to the last box that is left, and to the toolbar where none is.
function fewer(ui, count) {
  const groups = ui.boxes.children;
  if (groups.length <= count) return;
  const focus = document.activeElement;
  const lost = [...groups].indexOf(focus) >= count || (count === 0 && focus === ui.remove);
  while (groups.length > count) ui.boxes.lastChild.remove();
  if (lost) (groups[count - 1] || ui.add).focus({ preventScroll: true });
}

const widths = new Map(); // of names, px of the screen

function widthOf(name) {
  if (!widths.has(name)) {
    const context = new OffscreenCanvas(1, 1).getContext("2d");
    context.font = `600 ${TEXT}px system-ui, sans-serif`;
    widths.set(name, context.measureText(name).width + 4);
  }
  return widths.get(name);
}

// Where names stand, as [x, y] of their baselines: above their box or else below, inside or beside it, the first place
// inside the picture where no other name is. The selected one has the first choice.
function namePlaces(boxes, names, selected, unit, [height, width]) {
  const taken = [];
  const places = [];
  const free = ([x1, y1, x2, y2]) => taken.every(([a1, b1, a2, b2]) => x2 <= a1 || x1 >= a2 || y2 <= b1 || y1 >= b2);
  const order = boxes.map((_, n) => n).sort((a, b) => (b === selected) - (a === selected) || a - b);
  for (const n of order) {
    const [x1, y1, x2, y2] = boxes[n];
    const small = Math.min(x2 - x1, y2 - y1) < SMALL * unit; // its handles and its ring stand outside, and the name too
    const [w, h, gap] = [widthOf(names[n]) * unit, 1.25 * TEXT * unit, (small ? RING + HANDLE : 3) * unit];
    const starts = [x1, x2 - w, x2 + gap, x1 - w - gap];
    const tops = [y1 - h - gap, y2 + gap, y1 + gap, y2 - h - gap];
    for (let k = 0; k * h < height; k++) tops.push(y1 + k * h, y1 - k * h); // in a crowd, anywhere near
    const spots = tops.flatMap((top) => starts.map((start) => [start, top]));
    const inside = spots.filter(([x, y]) => x >= 0 && y >= 0 && x + w <= width && y + h <= height);
    const within = [Math.min(Math.max(x1, 0), Math.max(width - w, 0)), Math.min(Math.max(y1 - h, 0), height - h)];
    const [x, y] = inside.find(([x, y]) => free([x, y, x + w, y + h])) || within;
    taken.push([x, y, x + w, y + h]);
    places[n] = [x + 2 * unit, y + TEXT * unit];
  }
  return places;
}

function newBox(ui, n, select) {
  const group = make("svg:g", { tabindex: 0, role: "button", "aria-roledescription": "box" }, ui.boxes);
  make("svg:rect", { class: "lx-halo" }, group);
  make("svg:rect", { class: "lx-box" }, group);
  make("svg:rect", { class: "lx-grip" }, group);
  for (const [u, v] of HANDLES) {
    const shape = u === 0.5 ? "ns" : v === 0.5 ? "ew" : u === v ? "nwse" : "nesw";
    const side = u === 0.5 || v === 0.5 ? " lx-middle" : "";
    make("svg:rect", { class: `lx-handle${side}`, style: `cursor:${shape}-resize` }, group);
  }
  for (const line of ["lx-ring lx-under", "lx-ring"]) make("svg:rect", { class: line }, group);
  group.addEventListener("focus", () => select(n));
  return group;
}

function summary(maps, n) {
  const entry = maps && maps.objects[n];
  if (!entry) return "";
  const remark = entry.rescued ? `${rescueOf(entry)}. ` : entry.positives_ao === 0 ? "Missed by AO. " : "";
  return `${remark}Best overlap ${entry.best_iou.toFixed(2)}, ${entry.positives_pono} positives by PONO.`;
}

// A new box in the middle, or beside it where one is already.
function freeBox(boxes, [height, width]) {
  const [w, h] = [0.2 * width, 0.3 * height];
  const near = (x, y) => boxes.some((box) => Math.max(Math.abs(box[0] - x), Math.abs(box[1] - y)) < 4);
  const step = Math.max(0.06 * Math.min(width, height), 5);
  let [x, y] = [0.4 * width, 0.35 * height];
  for (let k = 0; k < 200 && near(x, y); k++) {
    [x, y] = [x + step, y + step];
    if (x + w > width) x = (0.37 * step * (k % 7)) % step;
    if (y + h > height) y = (0.61 * step * (k % 5)) % step;
  }
  return [x, y, x + w, y + h];
}

// The box between two corners, whichever they are.
function spanned(from, to, [height, width]) {
  const span = (a, b, end) => {
    const low = Math.min(Math.max(Math.min(a, b), 0), end - LEAST_SIDE);
    return [low, Math.min(Math.max(a, b, low + LEAST_SIDE), end)];
  };
  const [[x1, x2], [y1, y2]] = [span(from[0], to[0], width), span(from[1], to[1], height)];
  return [x1, y1, x2, y2];
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
