// The explorer in the browser: boxes in SVG over a picture, the map on a canvas, mouse and keyboard.
// State lives in the model's traits. `objects` is the copy that is drawn while one drags; Python follows as fast as it
// can.

function render({ model, el }) {
  const get = (name) => model.get(name);
  const trained = () => get("layers").some(([name]) => name === "ams");
  const root = make("div", { class: "lx", "data-lm-suppress-shortcuts": "true" }, el);
  const ui = build(root);
  const objects = { boxes: [], labels: [] };
  let maps = null; // of the last reply
  let painted = {};
  let cursor = null; // [row, column] that is looked at
  let frame = 0; // of requestAnimationFrame
  let alive = true;
  let copying = false; // the state, as soon as Python has answered
  const times = [];

  // ---- to Python and back -------------------------------------------------------------------------------------------

  const link = connect(model, objects, {
    notice,
    painted(reply) {
      maps = readReply(reply) || maps;
      ui.error.textContent = reply.refused || (reply.error ? `Python: ${reply.error}` : "");
      schedule();
    },
    replaced() {
      take();
      history.tidy();
    },
    answered(reply, ms) {
      times.push([performance.now(), ms]);
      while (times.length > 40) times.shift();
      status();
      if (copying && link.settled()) copy();
    },
  });
  const { push } = link;

  function status() {
    const recent = times.filter(([at]) => performance.now() - at < 1500);
    const trip = recent.map(([, ms]) => ms).sort((a, b) => a - b)[Math.floor(recent.length / 2)] || 0;
    const span = recent.length > 1 ? (recent[recent.length - 1][0] - recent[0][0]) / 1000 : 0;
    const rate = span ? `${((recent.length - 1) / span).toFixed(0)} maps/s, ` : "";
    ui.status.textContent = `${rate}answer of Python after ${trip.toFixed(0)} ms`;
    root.dataset.answered = String(link.sent);
    root.dataset.trip = trip.toFixed(1);
    root.dataset.maps = String((Number(root.dataset.maps) || 0) + 1);
  }

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

  const state = () => ({
    preset: get("preset"),
    boxes: rounded(objects.boxes), // as Python has them
    labels: [...objects.labels],
  });

  const history = makeHistory(state, show, (back, forth) => {
    ui.undo.disabled = !back;
    ui.redo.disabled = !forth;
  });

  // A state of the history, on its own picture.
  function show({ preset, boxes, labels }) {
    hands.end();
    if (preset !== get("preset")) {
      link.order({ command: { kind: "show", preset, boxes, labels } });
      return;
    }
    Object.assign(objects, { boxes: boxes.map((box) => [...box]), labels: [...labels] });
    if (get("selected") >= boxes.length) model.set("selected", -1);
    draw();
    push();
  }

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

  // The next object is then the selected one, so that Delete can be pressed again; drawBoxes keeps the focus near.
  function remove(n) {
    if (n < 0 || n >= objects.boxes.length) return;
    hands.end();
    history.record();
    objects.boxes.splice(n, 1);
    objects.labels.splice(n, 1);
    const next = Math.min(n, objects.boxes.length - 1);
    model.set("selected", next);
    if (next >= 0) model.set("label", objects.labels[next]);
    draw();
    push();
  }

  function reclass(n, label) {
    history.record();
    objects.labels[n] = label;
    model.set("label", label);
    schedule();
    push();
  }

  function addNew() {
    history.record();
    const n = add(freeBox(objects.boxes, get("extent")));
    ui.boxes.children[n].focus();
  }

  // What Python replaces; it can be undone, unless it is refused.
  function replace(values) {
    hands.end();
    history.record();
    link.order(values);
  }

  // ---- looking at cells ---------------------------------------------------------------------------------------------

  function look(cell) {
    cursor = cell;
    schedule();
  }

  function lookOn([right, down]) {
    if (!maps) return;
    const [i, j] = cursor || [Math.floor(maps.height / 2), Math.floor(maps.width / 2)];
    const clamp = (value, count) => Math.min(Math.max(value, 0), count - 1);
    look([clamp(i + down, maps.height), clamp(j + right, maps.width)]);
  }

  function pick(cell) {
    if (maps && cell[0] < maps.height && cell[1] < maps.width) select(maps.owner[cell[0] * maps.width + cell[1]]);
  }

  // ---- the line of Python, and photographs --------------------------------------------------------------------------

  function openLine(text, what) {
    ui.lineRow.hidden = false;
    ui.lineLabel.textContent = what;
    ui.line.value = text;
    ui.apply.hidden = text !== "";
    ui.line.focus();
    ui.line.select();
  }

  function closeLine() {
    const back = ui.apply.hidden ? ui.copy : ui.paste;
    ui.lineRow.hidden = true;
    back.focus();
  }

  async function copy() {
    copying = !link.settled();
    if (copying) return; // once Python has answered, with what it then says
    const line = get("reply").line || "";
    try {
      await navigator.clipboard.writeText(line);
      notice("Copied as one line of Python: run it in a cell, or paste it here.");
    } catch {
      openLine(line, "Copy with Ctrl and c"); // a browser may keep its clipboard to itself
    }
  }

  function paste() {
    const text = ui.line.value;
    closeLine();
    if (text.trim()) replace({ command: { kind: "paste", text } });
  }

  async function usePhotograph(file) {
    try {
      const { bytes, about } = await letterboxed(file, get("extent"));
      if (alive) replace({ upload: bytes, command: { kind: "photograph", ...about } });
    } catch (problem) {
      ui.error.textContent = problem.message;
    }
  }

  // ---- controls -----------------------------------------------------------------------------------------------------

  const act = {
    state, record: history.record, undo: history.undo, redo: history.redo, select, change, add, remove, reclass, addNew,
    look, lookOn, pick, paste, closeLine,
  };
  const hands = useMouse(ui, get, objects, act);
  useKeys(root, ui, get, objects, act);
  takeFiles(root, ui, usePhotograph);

  function controls() {
    const names = get("class_names");
    const classes = names.map((name, c) => [String(c), name]);
    options(ui.label, classes, get("label"));
    options(ui.reclass, classes, ui.reclass.value);
    const sides = (get("shapes")[get("label")] || []).map((shape) => shape.map((side) => (side * get("size")).toFixed(0)));
    const shapes = sides.map((side, a) => [String(a), `${a + 1}: ${side.join(" × ")} px`]);
    options(ui.shape, [["-1", "best per cell"], ...shapes], get("anchor"));
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
  ui.add.addEventListener("click", addNew);
  ui.remove.addEventListener("click", () => remove(get("selected")));
  ui.undo.addEventListener("click", history.undo);
  ui.redo.addEventListener("click", history.redo);
  ui.copy.addEventListener("click", copy);
  ui.paste.addEventListener("click", () => openLine("", "A line of Python, as Copy state makes it"));
  ui.apply.addEventListener("click", paste);
  ui.cancel.addEventListener("click", closeLine);
  ui.preset.addEventListener("change", () => replace({ preset: ui.preset.value }));
  ui.reset.addEventListener("click", () => replace({ resets: get("resets") + 1 }));

  // ---- changes from Python, or from another view --------------------------------------------------------------------

  function take() {
    Object.assign(objects, { boxes: get("boxes").map((box) => [...box]), labels: [...get("labels")] });
    schedule();
  }

  // What is dragged stays in the hand, unless its picture goes.
  function onObjects() {
    if (link.mine() || (hands.held() && !link.ordered())) return;
    hands.end();
    take();
  }

  function takePicture() {
    const [height, width] = get("extent");
    const bytes = get("picture");
    for (const image of root.querySelectorAll("img")) {
      if (image.src) URL.revokeObjectURL(image.src);
      image.hidden = !bytes || bytes.byteLength === 0;
      if (!image.hidden) image.src = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
    }
    ui.stages.style.setProperty("--lx-aspect", width / height);
    for (const svg of [ui.stage, ui.map]) {
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.parentElement.style.aspectRatio = `${width} / ${height}`;
    }
    schedule();
  }

  const listeners = {
    "change:reply": link.onReply,
    "change:boxes": onObjects,
    "change:labels": onObjects,
    "change:picture": takePicture,
    "change:extent": takePicture,
  };
  for (const name of ["label", "anchor", "layer", "threshold", "size", "selected", "preset", "presets", "about", "shapes"])
    listeners[`change:${name}`] = () => {
      controls();
      schedule();
    };
  for (const [name, listener] of Object.entries(listeners)) model.on(name, listener);
  const sizes = new ResizeObserver(schedule);
  sizes.observe(ui.map);
  takePicture();
  take();
  controls();
  history.tidy();
  link.onReply();

  return () => {
    alive = false;
    link.stop();
    cancelAnimationFrame(frame);
    sizes.disconnect();
    for (const [name, listener] of Object.entries(listeners)) model.off(name, listener);
    for (const image of root.querySelectorAll("img")) if (image.src) URL.revokeObjectURL(image.src);
    root.remove();
  };
}

export default { render };
