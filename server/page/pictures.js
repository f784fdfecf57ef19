// Pictures and videos of a question, with the grid of slices drawn over them.

import { get } from "./asking.js";

const SVG = "http://www.w3.org/2000/svg";

export function readFile(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve({ url: reader.result, name: file.name || "picture", isVideo: file.type.startsWith("video/") });
    reader.onerror = () => reject(new Error(`${file.name} cannot be read`));
    reader.readAsDataURL(file);
  });
}

export function part(picture) {
  return picture.isVideo
    ? { type: "video_url", video_url: { url: picture.url } }
    : { type: "image_url", image_url: { url: picture.url } };
}

// A figure of a picture; its grid is that of the mode and the slices that are chosen.
export async function figure(picture, settings) {
  const made = document.createElement("figure");
  const seen = document.createElement("div");
  const caption = document.createElement("figcaption");
  seen.className = "seen";
  made.append(seen, caption);
  if (picture.isVideo) {
    caption.textContent = `${picture.name}: a frame a second, one view each`;
    return made;
  }
  const image = document.createElement("img");
  image.alt = picture.name;
  image.src = picture.url;
  seen.append(image);
  try {
    await image.decode();
    await drawGrid(made, settings);
  } catch (error) {
    caption.textContent = error.status ? error.message : `${picture.name}: this browser cannot show it`;
  }
  return made;
}

export async function drawGrid(made, settings) {
  const image = made.querySelector("img");
  if (!image || !image.naturalWidth) {
    return;
  }
  const asked = new URLSearchParams({ width: image.naturalWidth, height: image.naturalHeight, ...settings });
  const plan = await get(`/plan?${asked}`);
  const { rows, columns } = plan.grid;
  made.querySelector("svg")?.remove();
  if (rows * columns) {
    image.after(lines(rows, columns));
  }
  const [thumbnail, ...slices] = plan.views.map((view) => view.tokens);
  const cut = slices.length ? `, and ${rows} x ${columns} slices of ${slices[0]}` : "";
  made.querySelector("figcaption").textContent =
    `${image.naturalWidth} x ${image.naturalHeight}: a thumbnail of ${thumbnail} tokens${cut}; ${plan.tokens} tokens`;
}

function lines(rows, columns) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("aria-hidden", "true");
  const draw = (x1, y1, x2, y2) => {
    const line = document.createElementNS(SVG, "line");
    Object.entries({ x1, y1, x2, y2 }).forEach(([name, value]) => line.setAttribute(name, value));
    drawing.append(line);
  };
  for (let row = 0; row <= rows; row += 1) {
    draw(0, row, columns, row);
  }
  for (let column = 0; column <= columns; column += 1) {
    draw(column, 0, column, rows);
  }
  return drawing;
}
