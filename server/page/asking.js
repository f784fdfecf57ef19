// Requests to the server. Their addresses are relative, so that a proxy may have the page in a folder of its own.

let token = sessionStorage.getItem("token") || "";

export const hasToken = () => Boolean(token);

export function useToken(given) {
  token = given;
  sessionStorage.setItem("token", given);
}

// Sends a request; what is refused, and a server that does not answer, is an error with one line.
async function send(address, options = {}) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(address, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(`The server at ${location.host} does not answer. Is it still running?`);
  }
  if (!response.ok) {
    const { error } = await response.json();
    throw Object.assign(new Error(error.message), { status: response.status });
  }
  return response;
}

export async function get(address) {
  return (await send(address)).json();
}

// Yields the chunks of an answer while it is written.
export async function* stream(body, signal) {
  const response = await send("v1/chat/completions", { method: "POST", body: JSON.stringify(body), signal });
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
  throw new Error("The server ended in the middle of its answer.");
}
