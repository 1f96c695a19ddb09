// How the explorer paints a map. Numbers come from Python, and so do PALETTE, the colours of objects, and HEAT, those of
// overlaps from 0 to 1: they are the figures' own.

const CELL = 8; // canvas pixels of a cell
const HEAT_LAYERS = ["ao", "pono", "fit", "product"];

function colorOf(index) {
  return PALETTE[index % PALETTE.length];
}

function rgb(hex) {
  return [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
}
const OWNER_RGB = PALETTE.map(rgb);

function heat(value) {
  const at = Math.min(Math.max(value, 0), 1) * (HEAT.length - 1);
  const low = Math.min(Math.floor(at), HEAT.length - 2);
  return HEAT[low].map((from, k) => from + (HEAT[low + 1][k] - from) * (at - low));
}

// The reply of Python as typed arrays, one value a cell.
function readReply(reply) {
  if (!reply || !reply.maps) return null;
  const [height, width] = reply.grid;
  const raw = reply.maps;
  const bytes = raw.buffer ? raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength) : raw;
  const all = new Float32Array(bytes);
  const count = height * width;
  const part = (k) => all.subarray(k * count, (k + 1) * count);
  const maps = { ao: part(0), pono: part(1), fit: part(2), owner: part(3), anchor: part(4) };
  return { ...maps, height, width, layer: reply.layer, threshold: reply.threshold, objects: reply.objects };
}

function valueOf(maps, layer, k) {
  if (layer === "product") return maps.pono[k] * maps.fit[k];
  return maps[layer][k];
}

// Colour of one cell: [r, g, b, alpha 0..255].
function cellColor(maps, k) {
  const owner = maps.owner[k];
  if (HEAT_LAYERS.includes(maps.layer)) return [...heat(owner < 0 ? 0 : valueOf(maps, maps.layer, k)), 215];
  if (owner < 0) return [0, 0, 0, 0];
  if (maps.layer === "clusters") return [...OWNER_RGB[owner % OWNER_RGB.length], 190];
  if (maps.pono[k] <= maps.threshold) return [0, 0, 0, 0];
  const rejected = maps.layer === "ams" && maps.pono[k] * maps.fit[k] <= maps.threshold;
  return rejected ? [120, 120, 120, 170] : [...OWNER_RGB[owner % OWNER_RGB.length], 230];
}

function paintMap(canvas, maps, selected) {
  const { height, width } = maps;
  if (canvas.width !== width * CELL || canvas.height !== height * CELL) {
    canvas.width = width * CELL;
    canvas.height = height * CELL;
  }
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  paintCells(context, maps, selected);
  if (maps.layer === "positives" || maps.layer === "ams") paintMarks(context, maps, selected);
  if (selected >= 0) paintBorder(context, maps, selected);
}

function paintCells(context, maps, selected) {
  const { height, width } = maps;
  const pixels = new ImageData(width, height);
  for (let k = 0; k < height * width; k++) {
    const color = cellColor(maps, k);
    // The cluster of the selected object lights up: all else is dimmed.
    if (selected >= 0 && maps.owner[k] !== selected) color[3] *= HEAT_LAYERS.includes(maps.layer) ? 0.55 : 0.25;
    pixels.data.set(color, 4 * k);
  }
  const small = new OffscreenCanvas(width, height);
  small.getContext("2d").putImageData(pixels, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, width * CELL, height * CELL);
}

// A white dot on positives that AO has too; a cross on those that AMS rejects. Not by colour alone.
function paintMarks(context, maps, selected) {
  for (let k = 0; k < maps.height * maps.width; k++) {
    if (maps.pono[k] <= maps.threshold || (selected >= 0 && maps.owner[k] !== selected)) continue;
    const x = (k % maps.width) * CELL;
    const y = Math.floor(k / maps.width) * CELL;
    if (maps.layer === "positives" && maps.ao[k] > maps.threshold) {
      context.fillStyle = "white";
      context.fillRect(x + CELL / 2 - 1, y + CELL / 2 - 1, 3, 3);
    } else if (maps.layer === "ams" && maps.pono[k] * maps.fit[k] <= maps.threshold) {
      context.strokeStyle = "#222";
      context.beginPath();
      context.moveTo(x + 2, y + 2);
      context.lineTo(x + CELL - 2, y + CELL - 2);
      context.moveTo(x + CELL - 2, y + 2);
      context.lineTo(x + 2, y + CELL - 2);
      context.stroke();
    }
  }
}

// The outline of the selected object's cluster.
function paintBorder(context, maps, selected) {
  const mine = (i, j) =>
    i >= 0 && j >= 0 && i < maps.height && j < maps.width && maps.owner[i * maps.width + j] === selected;
  context.strokeStyle = "white";
  context.lineWidth = 2;
  context.beginPath();
  for (let i = 0; i < maps.height; i++) {
    for (let j = 0; j < maps.width; j++) {
      if (!mine(i, j)) continue;
      const [x, y] = [j * CELL, i * CELL];
      const sides = [
        [i - 1, j, x, y, x + CELL, y], [i + 1, j, x, y + CELL, x + CELL, y + CELL],
        [i, j - 1, x, y, x, y + CELL], [i, j + 1, x + CELL, y, x + CELL, y + CELL],
      ];
      for (const [row, column, x1, y1, x2, y2] of sides) {
        if (mine(row, column)) continue;
        context.moveTo(x1, y1);
        context.lineTo(x2, y2);
      }
    }
  }
  context.stroke();
  context.lineWidth = 1;
}

// The scale beside the map.
function legendOf(layer, threshold) {
  if (HEAT_LAYERS.includes(layer)) {
    const stops = HEAT.map((color, k) => `rgb(${color}) ${(100 * k) / (HEAT.length - 1)}%`).join(",");
    return `0 <span class="lx-scale" style="background:linear-gradient(90deg,${stops})"></span> 1`;
  }
  if (layer === "clusters") return "a colour: the cluster of one object";
  if (layer === "positives") return `O &gt; ${threshold.toFixed(2)}; with a white dot IoU &gt; ${threshold.toFixed(2)} too`;
  return `kept: O · Ô &gt; ${threshold.toFixed(2)}; grey, crossed: rejected`;
}
