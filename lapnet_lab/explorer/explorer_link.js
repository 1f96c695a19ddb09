// What goes to Python and comes back. State travels in the model's traits, one update under way at a time, each
// acknowledged by its number; what was changed meanwhile goes with the next.

const PATIENCE = 1500; // ms until the explorer says that Python does not answer

const rounded = (boxes) => boxes.map((box) => box.map((side) => Math.round(side * 10) / 10));

// `objects` are those that are drawn. `on`: answered(reply, ms) after each answer to us, replaced() when an order was
// carried out, painted(reply) after any answer, notice(text).
function connect(model, objects, on) {
  const get = (name) => model.get(name);
  let sent = 0, sentAt = 0, waiting = false, queued = false, own = false;
  let next = null; // an order that waits for its turn
  let ordered = false; // one is under way: Python is about to replace the objects, so ours must not be sent after it

  function send(values) {
    own = true;
    try {
      for (const [name, value] of Object.entries(values)) model.set(name, value);
      sent = (get("seq") || 0) + 1;
      model.set("seq", sent);
      model.save_changes();
    } catch (problem) {
      on.notice(`This explorer has lost its kernel (${problem.message}). Run the cell again.`);
    }
    own = false;
    queued = false;
    waiting = true;
    sentAt = performance.now();
  }

  const busy = () => waiting && performance.now() - sentAt < 4 * PATIENCE;

  // Sends the objects and whatever else was set on the model since the last time.
  function push() {
    if (next || (ordered && busy())) return;
    if (busy()) {
      queued = true;
      return;
    }
    ordered = false;
    send({
      boxes: rounded(objects.boxes),
      labels: [...objects.labels],
    });
  }

  // Traits that make Python replace the objects: a situation, a line that was pasted, a photograph.
  function order(values) {
    queued = false;
    if (busy()) {
      next = values;
      return;
    }
    next = null;
    ordered = true;
    const numbered = values.command ? { ...values, command: { ...values.command, seq: (get("seq") || 0) + 1 } } : values;
    send(numbered);
  }

  function onReply() {
    const reply = get("reply");
    if (!reply) return;
    on.painted(reply);
    if (!waiting || reply.seq < sent) return;
    waiting = false;
    on.notice("");
    if (ordered) on.replaced(reply);
    ordered = false;
    on.answered(reply, performance.now() - sentAt);
    if (next) order(next);
    else if (queued) push();
  }

  const watch = setInterval(() => {
    if (waiting && performance.now() - sentAt > PATIENCE)
      on.notice("No answer from Python yet. It may be busy with a cell; after a restart of the kernel, run this cell again.");
  }, 400);

  return {
    push, order, onReply,
    mine: () => own,
    ordered: () => ordered,
    settled: () => !waiting && !queued && !next,
    stop: () => clearInterval(watch),
    get sent() {
      return sent;
    },
  };
}
