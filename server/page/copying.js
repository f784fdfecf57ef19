// The request as text, for copying.

import { hasToken } from "./asking.js";

const OWN = ["mode", "max_slices", "budget_ms", "details"]; // not in OpenAI's API, so its client takes them apart

// The request as JSON, or as a command or a program that sends it.
export function asText(body, kind) {
  const url = new URL("v1", location.href).href;
  const { stream, stream_options, ...asked } = body; // eslint-disable-line no-unused-vars
  if (kind === "curl") {
    const key = hasToken() ? ' -H "Authorization: Bearer $UHD_TOKEN"' : "";
    return `curl -s ${url}/chat/completions -H 'Content-Type: application/json'${key} -d @- <<'END'\n` +
      `${JSON.stringify(asked)}\nEND`;
  }
  if (kind === "Python") {
    const chosen = (own) => Object.fromEntries(Object.entries(asked).filter(([name]) => OWN.includes(name) === own));
    return "import json\n\nimport openai\n\n" +
      `client = openai.OpenAI(base_url=${JSON.stringify(url)}, api_key="${hasToken() ? "the token" : "none"}")\n` +
      `asked = json.loads(r"""${JSON.stringify(chosen(false), null, 2)}""")\n` +
      `own = json.loads(r"""${JSON.stringify(chosen(true))}""")\n` +
      "print(client.chat.completions.create(**asked, extra_body=own).choices[0].message.content)\n";
  }
  return JSON.stringify(body, null, 2);
}

// The same with the files' data left out, for reading.
export function shortened(text) {
  return text.replace(/(data:[\w/+.-]+;base64,.{24})[^"]*/g, "$1..");
}

// Copies a text. Browsers have a clipboard for pages only over https or at localhost; elsewhere an older way is
// tried, and if that fails too, the text is left selected in `place`. Returns what to tell.
export async function copy(text, place) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied.";
  } catch {
    return copySelected(text, place) ? "Copied." :
      "This browser lets a page copy only over https or at localhost. The request is selected: press Ctrl+C.";
  }
}

function copySelected(text, place) {
  place.textContent = text;
  getSelection().selectAllChildren(place);
  const copied = document.execCommand("copy");
  if (copied) {
    place.textContent = shortened(text);
    getSelection().removeAllRanges();
  }
  return copied;
}
