// The page: it collects a question, shows the answer while it is written, and keeps the conversation.

import { get, hasToken, stream, useToken } from "./asking.js";
import * as camera from "./camera.js";
import { asText, copy, shortened } from "./copying.js";
import { asPart, drawPlan, drawSeen, makeFigure, readFile, withName } from "./figures.js";
import { entry, facts, paragraph, question } from "./log.js";

const at = (id) => document.getElementById(id);
let model = "";
let canVideo = false;
let messages = []; // of the conversation, as the server takes them
let shown = []; // the figures of its files, in their order
let attached = []; // those of the question that is being written
let request = null;
let stopping = null; // while an answer is written

function tell(error) {
  const asks = error?.status === 401;
  const refused = hasToken() ? "This token is wrong." : ""; // before one was given, the form says it all
  at("error").textContent = (asks ? refused : error?.message) ?? "";
  at("token-form").hidden = !asks;
}

function note(text) {
  at("note").textContent = text;
}

async function connect() {
  try {
    const [known] = (await get("v1/models")).data;
    model = known.id;
    canVideo = known.capabilities.video;
    const able = Object.entries(known.capabilities).filter(([, can]) => can).map(([name]) => name.replace("_", " "));
    at("model").textContent = `${model}: ${able.join(", ")}`;
    at("slices").placeholder = known.max_slices;
    at("mode").replaceChildren(new Option(`default (${known.mode})`, ""), ...known.modes.map((mode) => new Option(mode, mode)));
    tell(null);
  } catch (error) {
    at("model").textContent = "not connected";
    tell(error);
  }
}

// How pictures are cut: beside a video each is one view.
function settings() {
  const has = [...shown, ...attached].some(({ file }) => file.isVideo);
  const given = { mode: at("mode").value, max_slices: has ? 1 : at("slices").value };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ""));
}

async function redraw() {
  const chosen = at("budget").value ? "; the budget may choose otherwise" : "";
  let before = shown.reduce((pixels, figure) => pixels + figure.pixels, 0);
  for (const figure of [...attached]) {
    await drawPlan(figure, settings(), before, chosen);
    before += figure.pixels;
  }
}

async function attach(files) {
  for (const file of files) {
    if (file.type.startsWith("video/") && !canVideo) throw new Error("This server reads no videos: it lacks the extra `video`.");
    place([await makeFigure(await readFile(file))]);
  }
  await redraw();
}

// Puts figures before those of the question that is being written, or after them.
function place(figures, first = false) {
  for (const figure of figures) {
    const remove = Object.assign(document.createElement("button"), { type: "button", textContent: "Remove" });
    remove.setAttribute("aria-label", `Remove ${figure.file.name}`);
    remove.onclick = guarded(() => {
      attached = attached.filter((other) => other !== figure);
      figure.element.remove();
      URL.revokeObjectURL(figure.file.shown); // of a video
      at("file").focus();
      return redraw();
    });
    figure.element.append(remove);
  }
  attached = first ? [...figures, ...attached] : [...attached, ...figures];
  at("attached")[first ? "prepend" : "append"](...figures.map(({ element }) => element));
}

function body() {
  const made = { model, messages: [...messages], stream: true, stream_options: { include_usage: true }, details: true };
  if (at("mode").value) made.mode = at("mode").value;
  if (at("slices").value) made.max_slices = Number(at("slices").value);
  if (at("budget").value) made.budget_ms = Number(at("budget").value);
  if (at("tokens").value) made.max_tokens = Number(at("tokens").value);
  return made;
}

async function ask(event) {
  event.preventDefault();
  const text = at("question").value.trim();
  if (stopping || (!text && !attached.length)) return;
  const content = attached.map(({ file }) => asPart(file));
  if (text) content.push({ type: "text", text });
  messages.push({ role: "user", content });
  request = body();
  showRequest();
  attached.forEach(({ element }) => element.querySelector("button").remove());
  const asked = { text, figures: attached, article: question(at("log"), text, attached), conversation: messages };
  [shown, attached] = [[...shown, ...attached], []];
  at("question").value = "";
  tell(null);
  note("");
  await answer(asked);
}

async function answer(asked) {
  const article = entry(at("log"), model);
  const [thoughts, text] = [paragraph(article, "thoughts"), paragraph(article, "answer")];
  const waiting = paragraph(article, "facts", asked.figures.length ? "Looking .." : "Reading ..");
  article.setAttribute("aria-busy", "true"); // screen readers wait for the whole answer
  article.scrollIntoView({ block: "end" });
  work(new AbortController());
  let wrong = null;
  try {
    for await (const chunk of stream(request, stopping.signal)) {
      const delta = chunk.choices[0]?.delta;
      const follow = endsInView(article); // who has scrolled up to read stays there
      thoughts.textContent += delta?.reasoning_content ?? "";
      text.textContent += delta?.content ?? "";
      if (text.textContent || thoughts.textContent) waiting.remove();
      if (chunk.details) {
        facts(article, chunk.details, chunk.usage, request.budget_ms);
        if (asked.conversation === messages) drawSeen(shown, chunk.details);
      }
      if (follow) article.scrollIntoView({ block: "end" });
    }
  } catch (error) {
    wrong = error;
  }
  work(null);
  waiting.remove();
  article.removeAttribute("aria-busy");
  if (!thoughts.textContent) thoughts.remove();
  await conclude(asked, article, text.textContent, wrong);
}

const endsInView = (article) => article.getBoundingClientRect().bottom <= innerHeight;

// Keeps an answer, or gives back a question that has none, to be asked again.
async function conclude(asked, article, text, wrong) {
  const stopped = wrong?.name === "AbortError";
  if (asked.conversation !== messages) return; // a new one has begun meanwhile
  const follow = endsInView(article);
  if (wrong && !stopped) tell({ ...wrong, message: withName(wrong.message, request, shown) });
  if (text || !wrong) {
    messages.push({ role: "assistant", content: text });
    if (stopped) paragraph(article, "facts", "stopped");
    if (follow) article.scrollIntoView({ block: "end" });
  } else {
    messages.pop();
    asked.article.remove();
    article.remove();
    shown = shown.filter((figure) => !asked.figures.includes(figure));
    place(asked.figures, true);
    at("question").value = [asked.text, at("question").value].filter(Boolean).join("\n");
    if (stopped) note("Stopped before the first word; the question is back in its field.");
    await redraw();
  }
  at("question").focus({ preventScroll: true });
}

function work(controller) {
  stopping = controller;
  at("stop").disabled = !controller;
  at("send").disabled = Boolean(controller);
}

// Pictures make it long, so that it is written only where it is seen.
function showRequest() {
  at("copied").textContent = "";
  if (request && at("sent").open) at("request").textContent = shortened(asText(request, at("as").value));
}

async function toggleCamera() {
  try {
    await camera.toggle(at("camera"));
    tell(null);
  } finally {
    at("camera").hidden = at("shoot").hidden = !camera.isOpen();
    at("webcam").textContent = camera.isOpen() ? "Close the camera" : "Camera";
  }
}

// The pictures and videos of what was dropped or pasted; text is pasted as ever.
function files(transfer) {
  const given = [...(transfer?.files ?? [])];
  const other = given.find((file) => !/^(image|video)\//.test(file.type));
  if (other) throw new Error(`${other.name} is neither a picture nor a video.`);
  return given;
}

// Tells what goes wrong. The work begins at once, while the event can still be kept from its usual way.
const guarded = (work) => async (event) => {
  try {
    await work(event);
  } catch (error) {
    tell(error);
  }
};

at("ask").onsubmit = guarded(ask);
at("stop").onclick = () => stopping?.abort();
at("new").onclick = () => {
  stopping?.abort();
  [messages, shown] = [[], []];
  at("log").replaceChildren();
  note("");
  return redraw();
};
at("file").onchange = guarded(async (event) => {
  const chosen = [...event.target.files];
  event.target.value = ""; // so that the same file can be chosen again
  await attach(chosen);
});
at("webcam").onclick = guarded(toggleCamera);
at("shoot").onclick = guarded(async () => {
  const picture = await camera.shoot(at("camera"));
  if (picture) await attach([picture]);
});
at("as").onchange = at("sent").ontoggle = showRequest;
at("copy").onclick = guarded(async () => {
  at("copied").textContent = request ? await copy(asText(request, at("as").value), at("request")) : "There is none yet.";
});
at("question").onkeydown = (event) => {
  // Enter also ends a composed character; Safari tells so by the code alone.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  at("ask").requestSubmit();
};
document.onkeydown = (event) => {
  if (event.key === "Escape" && !event.isComposing) stopping?.abort(); // Escape also gives a composed character up
};
at("token-form").onsubmit = guarded((event) => {
  event.preventDefault();
  useToken(at("token").value);
  return connect().then(redraw);
});
for (const id of ["mode", "slices", "budget"]) {
  at(id).onchange = guarded(redraw);
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
