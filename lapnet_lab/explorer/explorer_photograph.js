// A photograph of the learner's own, made as small as the explorer's picture before it is sent.

const LARGEST_FILE = 40; // MB
const BARS = "#808080";

// The PNG of a file at [height, width]: its aspect is kept, with grey bars where the picture does not reach.
async function letterboxed(file, [height, width]) {
  const name = `“${file.name}”`;
  if (file.size > LARGEST_FILE * 1e6)
    throw new Error(`${name} has ${Math.round(file.size / 1e6)} MB; ${LARGEST_FILE} MB is the most.`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file); // upright, as the camera noted it
  } catch {
    throw new Error(`${name} is no picture that this browser can read. JPEG, PNG and WebP are such.`);
  }
  const scale = Math.min(width / bitmap.width, height / bitmap.height);
  const [w, h] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = BARS;
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, Math.round((width - w) / 2), Math.round((height - h) / 2), w, h);
  const about = { name: file.name, size: [bitmap.width, bitmap.height] };
  bitmap.close();
  const bytes = await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer();
  return { bytes: new DataView(bytes), about };
}

// Calls `use` with every file that is dropped on `root` or chosen after a click on the button.
function takeFiles(root, ui, use) {
  const has = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  const over = (event) => {
    if (!has(event)) return;
    event.preventDefault(); // or else the browser leaves the page for the file
    event.stopPropagation();
    root.classList.add("lx-over");
  };
  root.addEventListener("dragenter", over);
  root.addEventListener("dragover", over);
  root.addEventListener("dragleave", (event) => {
    if (!root.contains(event.relatedTarget)) root.classList.remove("lx-over");
  });
  root.addEventListener("drop", (event) => {
    if (!has(event)) return;
    event.preventDefault();
    event.stopPropagation();
    root.classList.remove("lx-over");
    if (event.dataTransfer.files.length) use(event.dataTransfer.files[0]);
  });
  ui.photograph.addEventListener("click", () => ui.file.click());
  ui.file.addEventListener("change", () => {
    if (ui.file.files.length) use(ui.file.files[0]);
    ui.file.value = ""; // so that the same file can be chosen again
  });
}
