// The explorer in the browser: boxes in SVG over a picture, the map on a canvas, mouse and keyboard.
// State lives in the model's traits. `objects` is the copy that is drawn while one drags; Python follows as fast as it
// can, with one update under way at a time.

const PATIENCE = 1500; // ms until the explorer says that Python does not answer

function render({ model, el }) {
  const get = (name) => model.get(name);
  const trained = () => get("layers").some(([name]) => name === "ams");
  const root = make("div", { class: "lx", "data-lm-suppress-shortcuts": "true" }, el);
  const ui = build(root);
  let objects = { boxes: [], labels: [] };
  let maps = null; // of the last reply
  let painted = {};
  let drag = null;
  let cursor = null; // [row, column] that is looked at
  let frame = 0; // of requestAnimationFrame
  let sent = 0, sentAt = 0, waiting = false, queued = false, own = false, alive = true;
  const times = [];

  // ---- to Python and back -------------------------------------------------------------------------------------------

  // Sends the objects and whatever else was set on the model since the last time.
  function push() {
    if (waiting && performance.now() - sentAt < 4 * PATIENCE) {
      queued = true;
      return;
    }
    own = true;
    try {
      model.set("boxes", objects.boxes.map((box) => box.map((v) => Math.round(v * 10) / 10)));
      model.set("labels", [...objects.labels]);
      sent = (get("seq") || 0) + 1;
      model.set("seq", sent);
      model.save_changes();
    } catch (problem) {
      notice(`This explorer has lost its kernel (${problem.message}). Run the cell again.`);
    }
    own = false;
    queued = false;
    waiting = true;
    sentAt = performance.now();
  }

  function onReply() {
    const reply = get("reply");
    if (!reply) return;
    maps = readReply(reply) || maps;
    ui.error.textContent = reply.error ? `Python: ${reply.error}` : "";
    if (waiting && reply.seq >= sent) {
      waiting = false;
      notice("");
      times.push([performance.now(), performance.now() - sentAt]);
      while (times.length > 40) times.shift();
      status();
      if (queued) push();
    }
    schedule();
  }

  function status() {
    const recent = times.filter(([at]) => performance.now() - at < 1500);
    const trip = recent.map(([, ms]) => ms).sort((a, b) => a - b)[Math.floor(recent.length / 2)] || 0;
    const span = recent.length > 1 ? (recent[recent.length - 1][0] - recent[0][0]) / 1000 : 0;
    const rate = span ? `${((recent.length - 1) / span).toFixed(0)} maps/s, ` : "";
    ui.status.textContent = `${rate}answer of Python after ${trip.toFixed(0)} ms`;
    root.dataset.answered = String(sent);
    root.dataset.trip = trip.toFixed(1);
    root.dataset.maps = String((Number(root.dataset.maps) || 0) + 1);
  }

  const watch = setInterval(() => {
    if (waiting && performance.now() - sentAt > PATIENCE)
      notice("No answer from Python yet. It may be busy with a cell; after a restart of the kernel, run this cell again.");
  }, 400);

  function notice(text) {
    ui.notice.textContent = text;
  }

  // ---- drawing ------------------------------------------------------------------------------------------------------

  function schedule() {
    if (!frame && alive) frame = requestAnimationFrame(draw);
  }

  function draw() {
    frame = 0;
    if (!alive) return;
    root.dataset.frames = String((Number(root.dataset.frames) || 0) + 1);
    const selected = get("selected");
    drawBoxes(ui, objects, maps, get, select);
    if (!maps) return;
    if (painted.maps !== maps || painted.selected !== selected) {
      painted = { maps, selected }; // a frame in which only a box moved costs no painting
      paintMap(ui.canvas, maps, selected);
      drawTable(ui, maps, selected, trained(), select);
    }
    const width = get("extent")[1];
    ui.canvas.style.transform = `scale(${((get("stride") / CELL) * (ui.map.clientWidth || width)) / width})`;
    drawCursor();
  }

  // The anchor of the cell that is looked at, in both pictures, with its numbers.
  function drawCursor() {
    const shown = cursor && maps && cursor[0] < maps.height && cursor[1] < maps.width;
    for (const node of [ui.anchor, ui.mapAnchor, ui.cursor]) node.style.display = shown ? "" : "none";
    ui.hint.hidden = Boolean(shown);
    if (!shown) {
      ui.numbers.textContent = "";
      return;
    }
    const [i, j] = cursor;
    const k = i * maps.width + j;
    const stride = get("stride");
    const shape = get("shapes")[get("label")][maps.anchor[k]];
    const [w, h] = shape.map((side) => side * get("size"));
    const place = { x: (j + 0.5) * stride - w / 2, y: (i + 0.5) * stride - h / 2, width: w, height: h };
    set(ui.anchor, place);
    set(ui.mapAnchor, place);
    set(ui.cursor, { x: j * stride, y: i * stride, width: stride, height: stride });
    ui.numbers.textContent = words(maps, i, j, w, h, get("class_names")[get("label")], trained());
  }

  // ---- changes of the objects ---------------------------------------------------------------------------------------

  function change(n, box) {
    objects.boxes[n] = box;
    schedule();
    push();
  }

  function select(n) {
    if (get("selected") === n) return;
    model.set("selected", n);
    if (n >= 0) model.set("label", objects.labels[n]); // its cluster lies in the map of its own class
    push();
  }

  function add(box, label = get("label")) {
    objects.boxes.push(box);
    objects.labels.push(label);
    draw();
    push();
    const n = objects.boxes.length - 1;
    select(n);
    return n;
  }

  function remove(n) {
    objects.boxes.splice(n, 1);
    objects.labels.splice(n, 1);
    model.set("selected", -1);
    schedule();
    push();
  }

  function reclass(n, label) {
    objects.labels[n] = label;
    model.set("label", label);
    schedule();
    push();
  }

  function addInTheMiddle() {
    const [height, width] = get("extent");
    const n = add([0.4 * width, 0.35 * height, 0.6 * width, 0.65 * height]);
    ui.boxes.children[n].focus();
  }

  // ---- mouse --------------------------------------------------------------------------------------------------------

  function at(event, svg) {
    const frame = svg.getBoundingClientRect();
    const [height, width] = get("extent");
    return [((event.clientX - frame.left) / frame.width) * width, ((event.clientY - frame.top) / frame.height) * height];
  }

  // [object, handle or -1] that the mouse takes. The selected object's handles come first, even under another box.
  function held(point, target) {
    const reach = (6 * get("extent")[1]) / (ui.stage.clientWidth || 400); // image pixels of 6 on the screen
    const selected = get("selected");
    if (objects.boxes[selected]) {
      const grip = handleAt(objects.boxes[selected], point, reach);
      if (grip >= 0) return [selected, grip];
    }
    const group = target.closest("g.lx-object");
    if (group && target.classList.contains("lx-handle"))
      return [[...ui.boxes.children].indexOf(group), [...group.children].indexOf(target) - 4];
    return [under(point), -1];
  }

  // Of boxes on top of each other the one that is selected, or else the smallest: so that each can be had.
  function under([x, y]) {
    const inside = ([x1, y1, x2, y2]) => x >= x1 && x <= x2 && y >= y1 && y <= y2;
    const size = (n) => (objects.boxes[n][2] - objects.boxes[n][0]) * (objects.boxes[n][3] - objects.boxes[n][1]);
    const found = objects.boxes.map((_, n) => n).filter((n) => inside(objects.boxes[n]));
    return found.includes(get("selected")) ? get("selected") : found.sort((a, b) => size(a) - size(b))[0] ?? -1;
  }

  ui.stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const start = at(event, ui.stage);
    const [n, handle] = held(start, event.target);
    ui.stage.setPointerCapture(event.pointerId);
    if (n >= 0) {
      drag = { n, handle, start, box: [...objects.boxes[n]] };
      ui.boxes.children[n].focus({ preventScroll: true });
      select(n);
    } else {
      drag = { n: -1, start };
    }
    event.preventDefault();
  });

  ui.stage.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [x, y] = at(event, ui.stage);
    const [dx, dy] = [x - drag.start[0], y - drag.start[1]];
    if (drag.n < 0 && Math.max(Math.abs(dx), Math.abs(dy)) > 2 * LEAST_SIDE) {
      drag = { n: add([...drag.start, drag.start[0] + LEAST_SIDE, drag.start[1] + LEAST_SIDE]), handle: 4, start: drag.start };
      drag.box = [...objects.boxes[drag.n]];
    }
    if (drag.n < 0) return;
    change(drag.n, drag.handle < 0 ? moved(drag.box, dx, dy, get("extent")) : resized(drag.box, HANDLES[drag.handle], dx, dy, get("extent")));
  });

  const drop = () => {
    if (drag && drag.n < 0) select(-1);
    drag = null;
  };
  ui.stage.addEventListener("pointerup", drop);
  ui.stage.addEventListener("pointercancel", drop);

  ui.map.addEventListener("pointermove", (event) => {
    const [x, y] = at(event, ui.map);
    cursor = [Math.max(0, Math.floor(y / get("stride"))), Math.max(0, Math.floor(x / get("stride")))];
    schedule();
  });
  ui.map.addEventListener("pointerleave", () => {
    if (document.activeElement === ui.map) return;
    cursor = null;
    schedule();
  });
  ui.map.addEventListener("pointerdown", () => {
    if (cursor && maps) select(maps.owner[cursor[0] * maps.width + cursor[1]]);
  });

  // ---- keyboard -----------------------------------------------------------------------------------------------------

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function onKey(event) {
    event.stopPropagation(); // Delete and the letters are commands of the notebook, too
    const group = event.target.closest && event.target.closest("g.lx-object");
    if (event.target === ui.map) return mapKey(event);
    if (!group) return;
    const n = [...ui.boxes.children].indexOf(group);
    const arrow = ARROWS[event.key];
    const step = event.ctrlKey || event.altKey ? get("stride") : 1;
    if (arrow && event.shiftKey) change(n, resized(objects.boxes[n], [1, 1], arrow[0] * step, arrow[1] * step, get("extent")));
    else if (arrow) change(n, moved(objects.boxes[n], arrow[0] * step, arrow[1] * step, get("extent")));
    else if (event.key === "Delete" || event.key === "Backspace") remove(n);
    else if (event.key === "c") reclass(n, (objects.labels[n] + 1) % get("class_names").length);
    else if (event.key === "n") addInTheMiddle();
    else if (event.key === "Escape") select(-1);
    else return;
    event.preventDefault();
  }

  function mapKey(event) {
    const arrow = ARROWS[event.key];
    if (!arrow || !maps) return;
    const [i, j] = cursor || [Math.floor(maps.height / 2), Math.floor(maps.width / 2)];
    const clamp = (value, count) => Math.min(Math.max(value, 0), count - 1);
    cursor = [clamp(i + arrow[1], maps.height), clamp(j + arrow[0], maps.width)];
    event.preventDefault();
    schedule();
  }
  root.addEventListener("keydown", onKey);

  // ---- controls -----------------------------------------------------------------------------------------------------

  function controls() {
    const names = get("class_names");
    const classes = names.map((name, c) => [String(c), name]);
    options(ui.label, classes, get("label"));
    options(ui.reclass, classes, ui.reclass.value);
    const sides = (get("shapes")[get("label")] || []).map((shape) => shape.map((side) => (side * get("size")).toFixed(0)));
    const shapes = sides.map((side, a) => [String(a), `${a + 1}: ${side.join(" × ")} px`]);
    options(ui.shape, [["-1", "best shape of each cell"], ...shapes], get("anchor"));
    const presets = get("presets");
    ui.preset.parentElement.hidden = presets.length === 0;
    options(ui.preset, [["", "as given"], ...presets.map((name) => [name, name.replaceAll("_", " ")])], get("preset"));
    ui.threshold.value = get("threshold");
    ui.thresholdOut.textContent = get("threshold").toFixed(2);
    ui.size.value = Math.log2(get("size"));
    ui.sizeOut.textContent = `× ${get("size").toFixed(2)}`;
    ui.about.textContent = get("about");
    ui.legend.innerHTML = legendOf(get("layer"), get("threshold"));
    const layers = get("layers");
    if (ui.layers.children.length !== layers.length) {
      ui.layers.replaceChildren();
      for (const [name, title] of layers) {
        const button = make("button", { type: "button", role: "radio", "data-layer": name }, ui.layers, title);
        button.addEventListener("click", () => choose("layer", name));
      }
    }
    for (const button of ui.layers.children)
      button.setAttribute("aria-checked", String(button.dataset.layer === get("layer")));
    ui.map.setAttribute("aria-label", `map, ${layers.find(([name]) => name === get("layer"))?.[1]}: arrow keys look at cells`);
  }

  function choose(name, value) {
    model.set(name, value);
    push();
  }

  ui.label.addEventListener("change", () => choose("label", Number(ui.label.value)));
  ui.shape.addEventListener("change", () => choose("anchor", Number(ui.shape.value)));
  ui.threshold.addEventListener("input", () => choose("threshold", Number(ui.threshold.value)));
  ui.size.addEventListener("input", () => choose("size", 2 ** Number(ui.size.value)));
  ui.reclass.addEventListener("change", () => reclass(get("selected"), Number(ui.reclass.value)));
  ui.add.addEventListener("click", addInTheMiddle);
  ui.remove.addEventListener("click", () => remove(get("selected")));
  // These two change the objects in Python; ours must not be sent along.
  const restart = (name, value) => {
    model.set(name, value);
    model.set("seq", (get("seq") || 0) + 1);
    model.save_changes();
  };
  ui.preset.addEventListener("change", () => restart("preset", ui.preset.value));
  ui.reset.addEventListener("click", () => restart("resets", get("resets") + 1));

  // ---- changes from Python, or from another view --------------------------------------------------------------------

  function takeObjects() {
    if (own || drag) return;
    objects = { boxes: get("boxes").map((box) => [...box]), labels: [...get("labels")] };
    schedule();
  }

  function takePicture() {
    const [height, width] = get("extent");
    const bytes = get("picture");
    for (const image of root.querySelectorAll("img")) {
      if (image.src) URL.revokeObjectURL(image.src);
      image.hidden = !bytes || bytes.byteLength === 0;
      if (!image.hidden) image.src = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
    }
    for (const svg of [ui.stage, ui.map]) {
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.parentElement.style.aspectRatio = `${width} / ${height}`;
    }
    schedule();
  }

  const listeners = {
    "change:reply": onReply,
    "change:boxes": takeObjects,
    "change:labels": takeObjects,
    "change:picture": takePicture,
    "change:extent": takePicture,
  };
  for (const name of ["label", "anchor", "layer", "threshold", "size", "selected", "preset", "about", "shapes"])
    listeners[`change:${name}`] = () => {
      controls();
      schedule();
    };
  for (const [name, listener] of Object.entries(listeners)) model.on(name, listener);
  const sizes = new ResizeObserver(schedule);
  sizes.observe(ui.map);
  takePicture();
  takeObjects();
  controls();
  onReply();

  return () => {
    alive = false;
    clearInterval(watch);
    cancelAnimationFrame(frame);
    sizes.disconnect();
    for (const [name, listener] of Object.entries(listeners)) model.off(name, listener);
    for (const image of root.querySelectorAll("img")) if (image.src) URL.revokeObjectURL(image.src);
    root.remove();
  };
}

export default { render };
