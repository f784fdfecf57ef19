// The page: it collects a question, shows the answer while it is written, and keeps the conversation.

import { asText, get, shortened, stream, useToken } from "./asking.js";
import { drawGrid, figure, part, readFile } from "./pictures.js";

const at = (id) => document.getElementById(id);
let model = "";
let messages = [];
let attached = [];
let request = null;
let stopping = null;
let camera = null;

function tell(error) {
  at("error").textContent = error ? error.message : "";
  at("token-form").hidden = !(error && error.status === 401);
}

function settings() {
  const given = { mode: at("mode").value, max_slices: at("slices").value };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ""));
}

function body() {
  const made = { model, messages, stream: true, stream_options: { include_usage: true }, details: true };
  if (at("mode").value) made.mode = at("mode").value;
  if (at("slices").value) made.max_slices = Number(at("slices").value);
  if (at("budget").value) made.budget_ms = Number(at("budget").value);
  if (at("tokens").value) made.max_tokens = Number(at("tokens").value);
  return made;
}

async function connect() {
  try {
    const [known] = (await get("/v1/models")).data;
    model = known.id;
    const able = Object.entries(known.capabilities).filter(([, can]) => can).map(([name]) => name.replace("_", " "));
    at("model").textContent = `${model}: ${able.join(", ")}`;
    at("slices").placeholder = known.max_slices;
    at("mode").replaceChildren(new Option(`default (${known.mode})`, ""), ...known.modes.map((mode) => new Option(mode, mode)));
    tell(null);
  } catch (error) {
    tell(error);
  }
}

async function attach(files) {
  for (const file of files) {
    const picture = await readFile(file);
    const made = await figure(picture, settings());
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = `Remove ${picture.name}`;
    const entry = { picture, made };
    remove.onclick = () => {
      attached = attached.filter((other) => other !== entry);
      made.remove();
      at("file").focus();
    };
    made.append(remove);
    attached.push(entry);
    at("attached").append(made);
  }
}

function entry(heading) {
  const article = document.createElement("article");
  article.append(Object.assign(document.createElement("h2"), { textContent: heading }));
  at("log").append(article);
  return article;
}

function paragraph(article, kind = "") {
  const made = Object.assign(document.createElement("p"), { className: kind });
  article.append(made);
  return made;
}

function showQuestion(text, pictures) {
  const article = entry("You");
  const row = Object.assign(document.createElement("div"), { className: "pictures" });
  for (const { made } of pictures) {
    made.querySelector("button").remove();
    row.append(made);
  }
  article.append(row);
  paragraph(article).textContent = text;
}

function showFacts(article, details, usage) {
  const { timings_ms: times, views, reused_views: reused } = details;
  const stages = Object.entries(times).filter(([name, time]) => time > 0 && !["first_token", "total"].includes(name));
  const bar = Object.assign(document.createElement("div"), { className: "bar" });
  const text = stages.map(([name, time]) => `${name} ${time.toFixed(0)} ms`).join(", ");
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", `Times: ${text}`);
  for (const [name, time] of stages) {
    const piece = Object.assign(document.createElement("span"), { title: `${name} ${time.toFixed(1)} ms` });
    piece.style.flexGrow = time;
    bar.append(piece);
  }
  article.append(bar);
  const seen = views.length ? `${views.length} views, ${reused} of them reused; ` : "";
  paragraph(article, "facts").textContent =
    `${details.mode}; ${seen}${usage.vision_tokens} vision tokens of ${usage.prompt_tokens}; ` +
    `first token after ${times.first_token.toFixed(0)} ms; ${text}`;
}

// Returns whether there was an answer, or it was stopped; a refused question can be asked again.
async function answer() {
  const conversation = messages;
  const article = entry(model);
  const thoughts = paragraph(article, "thoughts");
  const text = paragraph(article);
  stopping = new AbortController();
  at("stop").disabled = false;
  at("send").disabled = true;
  let refused = false;
  try {
    for await (const chunk of stream(request, stopping.signal)) {
      const delta = chunk.choices[0]?.delta;
      thoughts.textContent += delta?.reasoning_content ?? "";
      text.textContent += delta?.content ?? "";
      if (chunk.details) showFacts(article, chunk.details, chunk.usage);
    }
    tell(null);
  } catch (error) {
    if (error.name === "AbortError") paragraph(article, "facts").textContent = "stopped";
    else {
      tell(error);
      refused = !text.textContent;
    }
  }
  if (!thoughts.textContent) thoughts.remove();
  if (text.textContent) conversation.push({ role: "assistant", content: text.textContent });
  else conversation.pop();
  at("stop").disabled = true;
  at("send").disabled = false;
  at("question").focus();
  return !refused;
}

async function ask(event) {
  event.preventDefault();
  const text = at("question").value.trim();
  if (stopping && !at("stop").disabled) return;
  if (!text && !attached.length) return;
  const content = attached.map(({ picture }) => part(picture));
  if (text) content.push({ type: "text", text });
  messages.push({ role: "user", content });
  request = structuredClone(body());
  showRequest();
  showQuestion(text, attached);
  attached = [];
  at("question").value = "";
  if (!(await answer()) && !at("question").value) at("question").value = text;
}

function showRequest() {
  if (request) at("request").textContent = shortened(asText(request, at("as").value));
}

async function toggleCamera() {
  if (camera) {
    camera.getTracks().forEach((track) => track.stop());
    camera = null;
  } else {
    try {
      camera = await navigator.mediaDevices.getUserMedia({ video: true });
    } catch (error) {
      tell(new Error(`The camera cannot be used: ${error.message}`));
    }
  }
  at("camera").srcObject = camera;
  at("camera").hidden = at("shoot").hidden = !camera;
  at("webcam").textContent = camera ? "Close the camera" : "Camera";
}

async function shoot() {
  const video = at("camera");
  const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob) await attach([new File([blob], "camera.png", { type: "image/png" })]);
}

const files = (transfer) => [...(transfer?.files ?? [])].filter((file) => /^(image|video)\//.test(file.type));
const guarded = (work) => (event) => Promise.resolve(work(event)).catch(tell);

at("ask").onsubmit = guarded(ask);
at("stop").onclick = () => stopping.abort();
at("new").onclick = () => {
  stopping?.abort();
  messages = [];
  at("log").replaceChildren();
};
at("file").onchange = guarded(async (event) => {
  await attach([...event.target.files]);
  event.target.value = "";
});
at("webcam").onclick = guarded(toggleCamera);
at("shoot").onclick = guarded(shoot);
at("as").onchange = showRequest;
at("copy").onclick = guarded(() => request && navigator.clipboard.writeText(asText(request, at("as").value)));
at("question").onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return; // Enter also ends a composed character
  event.preventDefault();
  at("ask").requestSubmit();
};
at("token-form").onsubmit = guarded((event) => {
  event.preventDefault();
  useToken(at("token").value);
  return connect();
});
for (const id of ["mode", "slices"]) {
  at(id).onchange = guarded(() => Promise.all(attached.map(({ made }) => drawGrid(made, settings()))));
}
document.onpaste = guarded((event) => attach(files(event.clipboardData)));
document.ondragover = (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
};
document.ondragleave = () => document.body.classList.remove("dropping");
document.ondrop = guarded((event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  return attach(files(event.dataTransfer));
});
connect();
