// Pictures and videos of the conversation: each is a figure with what the model will see of it, or has seen.

import { get } from "./asking.js";
import { describeReuse, describeViews, drawViews, removeViews } from "./grid.js";

export function readFile(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => {
      const isVideo = file.type.startsWith("video/");
      const shown = isVideo ? URL.createObjectURL(file) : reader.result;
      resolve({ url: reader.result, shown, name: file.name || "picture", isVideo });
    };
    reader.onerror = () => reject(new Error(`${file.name} cannot be read`));
    reader.readAsDataURL(file);
  });
}

// A file as a part of a request.
export function asPart({ url, isVideo }) {
  return isVideo ? { type: "video_url", video_url: { url } } : { type: "image_url", image_url: { url } };
}

// An error's message, which begins with a file's name where the server names a place in the request.
export function withName(message, request, figures) {
  return message.replace(/^messages\.(\d+)\.content\.(\d+)[.\w]*: (the (image|video): )?/, (place, turn, number) => {
    const part = request.messages[turn]?.content[number];
    const url = (part?.image_url ?? part?.video_url)?.url;
    const figure = figures.find(({ file }) => url && file.url === url);
    return figure ? `${figure.file.name}: ` : place;
  });
}

// A figure of a file: its `element`, and its size where the browser can show it. A video has `seconds`.
export async function makeFigure(file) {
  const element = document.createElement("figure");
  const seen = Object.assign(document.createElement("div"), { className: "seen" });
  element.append(seen, document.createElement("figcaption"));
  const figure = { file, element, width: 0, height: 0, seconds: "unknown", pixels: 0, plans: 0 };
  const shown = document.createElement(file.isVideo ? "video" : "img");
  shown.src = file.shown;
  try {
    await (file.isVideo ? loadVideo(shown, figure) : loadImage(shown, figure));
    seen.append(shown);
  } catch {
    seen.remove();
  }
  say(figure);
  return figure;
}

async function loadImage(image, figure) {
  image.alt = figure.file.name;
  await image.decode();
  [figure.width, figure.height] = [image.naturalWidth, image.naturalHeight];
}

async function loadVideo(video, figure) {
  Object.assign(video, { controls: true, muted: true, playsInline: true, preload: "metadata" });
  video.setAttribute("aria-label", figure.file.name);
  await new Promise((resolve, reject) => Object.assign(video, { onloadeddata: resolve, onerror: reject }));
  [figure.width, figure.height] = [video.videoWidth, video.videoHeight];
  if (Number.isFinite(video.duration)) figure.seconds = video.duration;
}

function say(figure, text = "") {
  const { file, width, height, seconds } = figure;
  const length = seconds === "unknown" ? "" : `, ${seconds.toFixed(1)} s`;
  const known = width ? `${width} x ${height}${length}` : "this browser cannot show it, but the server may read it";
  figure.element.querySelector("figcaption").textContent = `${file.name}, ${known}${text}`;
}

// Draws what the model would see with these settings; `before` are the pixels that come before this file, and `note`
// what to add in words.
export async function drawPlan(figure, settings, before, note) {
  const { file, width, height, seconds } = figure;
  const number = (figure.plans += 1);
  if (!width) return;
  const size = file.isVideo ? { width, height, seconds, before } : { width, height };
  try {
    const plan = await get(`plan?${new URLSearchParams({ ...size, ...settings })}`);
    if (number !== figure.plans) return; // an older plan may arrive after a newer one
    figure.pixels = plan.frames ? plan.frames * Math.min(width * height, 2 ** 20) : width * height;
    const seen = { ...plan.grid, views: plan.views };
    const [one, many] = plan.frames === 1 ? ["frame", ""] : ["frames", " each"];
    if (!file.isVideo) drawViews(figure.element, seen);
    const planned = file.isVideo
      ? `at most ${plan.frames} ${one} of ${plan.views[0].tokens} tokens${many}`
      : describeViews(seen);
    say(figure, `, to be seen as ${planned}${note}`);
  } catch (error) {
    if (!error.status || error.status === 401) throw error;
    removeViews(figure.element);
    say(figure, `: ${error.message}`);
  }
}

// Draws what the model has seen of each of the conversation's files, in their order, as an answer tells.
export function drawSeen(figures, { images, views }) {
  const [cuts, left] = [[...images], [...views]];
  for (const figure of figures) {
    const { video } = cuts[0] ?? {};
    const own = figure.file.isVideo ? cuts.filter((cut) => cut.video === video).length : 1;
    const cut = cuts.splice(0, own)[0];
    if (!cut) return;
    const seen = { rows: cut.rows, columns: cut.columns, views: left.splice(0, own * (1 + cut.rows * cut.columns)) };
    figure.plans += 1;
    if (figure.file.isVideo) {
      const tokens = seen.views.reduce((sum, view) => sum + view.tokens, 0);
      say(figure, `, seen as ${own} ${own === 1 ? "frame" : "frames"} of together ${tokens} tokens${describeReuse(seen.views)}`);
    } else {
      if (figure.width) drawViews(figure.element, seen);
      say(figure, `, seen as ${describeViews(seen)}${describeReuse(seen.views)}`);
    }
  }
}
