// Undo and redo. A step is all objects and their picture as they were; a whole drag is one.

const STEPS = 200;

// `now` gives the present state, `show` brings another back, `changed` is told whether there is something to undo and redo.
function makeHistory(now, show, changed) {
  const past = [];
  const future = [];
  const tell = () => changed(past.length > 0, future.length > 0);
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

  // Before a change, with the state that it is going to change.
  function record(state = now()) {
    past.push(state);
    if (past.length > STEPS) past.shift();
    future.length = 0;
    tell();
  }

  // Changes that changed nothing are no steps: a line that was refused, a drag back to where it began.
  function tidy() {
    while (past.length && same(past[past.length - 1], now())) past.pop();
    tell();
  }

  function step(from, to) {
    const present = now();
    while (from.length && same(from[from.length - 1], present)) from.pop();
    if (from.length) {
      const state = from.pop();
      to.push(present);
      show(state);
    }
    tell();
  }

  return { record, tidy, undo: () => step(past, future), redo: () => step(future, past) };
}
