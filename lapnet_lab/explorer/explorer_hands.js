// Mouse and keyboard. `act` are the explorer's own actions: look, select, change, add, remove, reclass, addNew, record,
// state, undo, redo.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function useMouse(ui, get, objects, act) {
  let drag = null; // { n, handle, start, box, before }; n is -1 while nothing is drawn yet

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
      return [[...ui.boxes.children].indexOf(group), [...group.children].indexOf(target) - 3];
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
    drag = { n, handle, start, before: act.state(), recorded: false };
    if (n >= 0) {
      drag.box = [...objects.boxes[n]];
      ui.boxes.children[n].focus({ preventScroll: true });
      act.select(n);
    }
    event.preventDefault();
  });

  ui.stage.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const point = at(event, ui.stage);
    const [dx, dy] = [point[0] - drag.start[0], point[1] - drag.start[1]];
    const drawn = drag.n < 0;
    if (drawn && Math.max(Math.abs(dx), Math.abs(dy)) <= 2 * LEAST_SIDE) return;
    if (!drag.recorded) act.record(drag.before); // a drag is one step, however many movements it has
    drag.recorded = true;
    if (drawn) drag = { ...drag, n: act.add(spanned(drag.start, point, get("extent"))), drawing: true };
    else if (drag.drawing) act.change(drag.n, spanned(drag.start, point, get("extent")));
    else if (drag.handle < 0) act.change(drag.n, moved(drag.box, dx, dy, get("extent")));
    else act.change(drag.n, resized(drag.box, HANDLES[drag.handle], dx, dy, get("extent")));
  });

  const drop = () => {
    if (drag && drag.n < 0) act.select(-1);
    drag = null;
  };
  ui.stage.addEventListener("pointerup", drop);
  ui.stage.addEventListener("pointercancel", drop);

  const cellAt = (event) => at(event, ui.map).reverse().map((side) => Math.max(0, Math.floor(side / get("stride"))));
  ui.map.addEventListener("pointermove", (event) => act.look(cellAt(event)));
  ui.map.addEventListener("pointerleave", () => {
    if (document.activeElement !== ui.map) act.look(null);
  });
  ui.map.addEventListener("pointerdown", (event) => act.pick(cellAt(event)));

  // `end`: the objects are about to become others, and what is held is not among them any more.
  return { held: () => drag !== null, end: () => (drag = null) };
}

function useKeys(root, ui, get, objects, act) {
  // A key that is held down is one step.
  const change = (event, n, box) => {
    if (!event.repeat) act.record();
    act.change(n, box);
  };

  function onKey(event) {
    event.stopPropagation(); // Delete and the letters are commands of the notebook, too
    if (event.target === ui.line) return lineKey(event);
    if (commandKey(event)) return event.preventDefault();
    if (event.target === ui.map) return mapKey(event);
    const group = event.target.closest && event.target.closest("g.lx-object");
    const n = group ? [...ui.boxes.children].indexOf(group) : -1;
    if (n >= 0 && n < objects.boxes.length && boxKey(event, n)) event.preventDefault();
  }

  function commandKey(event) {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return false;
    const key = event.key.toLowerCase();
    if (key === "z") event.shiftKey ? act.redo() : act.undo();
    else if (key === "y") act.redo();
    else return false;
    return true;
  }

  function boxKey(event, n) {
    const arrow = ARROWS[event.key];
    const step = event.ctrlKey || event.altKey ? get("stride") : 1;
    const [box, extent] = [objects.boxes[n], get("extent")];
    if (arrow && event.shiftKey) change(event, n, resized(box, [1, 1], arrow[0] * step, arrow[1] * step, extent));
    else if (arrow) change(event, n, moved(box, arrow[0] * step, arrow[1] * step, extent));
    else if (event.key === "Delete" || event.key === "Backspace") act.remove(n);
    else if (event.ctrlKey || event.metaKey) return false; // Ctrl and c is the browser's
    else if (event.key === "c") act.reclass(n, (objects.labels[n] + 1) % get("class_names").length);
    else if (event.key === "n") act.addNew();
    else if (event.key === "Escape") act.select(-1);
    else return false;
    return true;
  }

  function mapKey(event) {
    if (!ARROWS[event.key]) return;
    act.lookOn(ARROWS[event.key]);
    event.preventDefault();
  }

  function lineKey(event) {
    if (event.key === "Enter") act.paste();
    else if (event.key === "Escape") act.closeLine();
    else return;
    event.preventDefault();
  }
  root.addEventListener("keydown", onKey);
}
