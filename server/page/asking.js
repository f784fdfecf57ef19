// Requests to the server, and the same requests as text to copy.

let token = sessionStorage.getItem("token") || "";

export function useToken(given) {
  token = given;
  sessionStorage.setItem("token", given);
}

function headers() {
  const own = { "Content-Type": "application/json" };
  return token ? { ...own, Authorization: `Bearer ${token}` } : own;
}

export async function get(address) {
  const response = await fetch(address, { headers: headers() });
  const content = await response.json();
  if (!response.ok) {
    throw Object.assign(new Error(content.error.message), { status: response.status });
  }
  return content;
}

// Yields the chunks of an answer while it is written.
export async function* stream(body, signal) {
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: headers(),
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok) {
    const { error } = await response.json();
    throw Object.assign(new Error(error.message), { status: response.status });
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    held += part.value;
    const events = held.split("\n\n");
    held = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") {
        return;
      }
      const chunk = JSON.parse(data);
      if (chunk.error) {
        throw new Error(chunk.error.message);
      }
      yield chunk;
    }
  }
}

// The request as JSON, or as a command or a program that sends it.
export function asText(body, kind) {
  const url = `${location.origin}/v1`;
  if (kind === "curl") {
    const key = token ? ' -H "Authorization: Bearer $UHD_TOKEN"' : "";
    const sent = { ...body, stream: false, stream_options: undefined };
    return `curl -s ${url}/chat/completions -H 'Content-Type: application/json'${key} -d @- <<'END'\n` +
      `${JSON.stringify(sent)}\nEND`;
  }
  if (kind === "Python") {
    const own = ["mode", "max_slices", "budget_ms", "details"];
    const names = Object.keys(body).filter((name) => !["stream", "stream_options"].includes(name));
    const known = Object.fromEntries(names.filter((name) => !own.includes(name)).map((name) => [name, body[name]]));
    const extra = Object.fromEntries(names.filter((name) => own.includes(name)).map((name) => [name, body[name]]));
    return "import json\n\nimport openai\n\n" +
      `client = openai.OpenAI(base_url=${JSON.stringify(url)}, api_key="${token ? "the token" : "none"}")\n` +
      `asked = json.loads(r"""${JSON.stringify(known, null, 2)}""")\n` +
      `own = json.loads(r"""${JSON.stringify(extra)}""")\n` +
      "print(client.chat.completions.create(**asked, extra_body=own).choices[0].message.content)\n";
  }
  return JSON.stringify(body, null, 2);
}

// The same with the pictures' data left out, for reading.
export function shortened(text) {
  return text.replace(/(data:[\w/+.-]+;base64,.{24})[^"]*/g, "$1..");
}
