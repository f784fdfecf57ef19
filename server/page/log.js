// The conversation as it is shown: questions with their pictures, answers, and what they took.

const make = (kind, given = {}) => Object.assign(document.createElement(kind), given);

// An entry of the conversation; `article` is its element.
export function entry(log, heading) {
  const article = make("article");
  article.append(make("h2", { textContent: heading }));
  log.append(article);
  return article;
}

export function paragraph(article, className = "", textContent = "") {
  const made = make("p", { className, textContent });
  article.append(made);
  return made;
}

export function question(log, text, figures) {
  const article = entry(log, "You");
  const row = make("div", { className: "pictures" });
  row.append(...figures.map((figure) => figure.element));
  if (figures.length) article.append(row);
  if (text) paragraph(article).textContent = text;
  return article;
}

// A bar of the stages' times with what they are, and the numbers of the answer.
export function facts(article, details, usage, budget) {
  const { timings_ms: times, views, reused_views: reused } = details;
  const stages = Object.entries(times).filter(([name]) => !["first_token", "total"].includes(name));
  const long = stages.filter(([, time]) => time >= times.total / 100);
  const rest = stages.reduce((sum, [, time]) => sum + time, 0) - long.reduce((sum, [, time]) => sum + time, 0);
  const bar = make("div", { className: "bar" });
  const legend = make("ul", { className: "legend" });
  bar.setAttribute("aria-hidden", "true");
  legend.setAttribute("aria-label", "Times of the stages");
  for (const [name, time] of rest > 0 ? [...long, ["other", rest]] : long) {
    const piece = make("span");
    const named = make("li", { textContent: `${name} ${time.toFixed(time < 10 ? 1 : 0)} ms` });
    piece.dataset.stage = named.dataset.stage = name;
    piece.style.flexGrow = time;
    bar.append(piece);
    legend.append(named);
  }
  article.append(bar, legend);
  const seen = views.length ? `${views.length} views, ${reused} of them reused; ` : "";
  const chosen = details.plan ? `${planned(details.plan, budget)}; ` : "";
  paragraph(article, "facts", `${details.mode}; ${chosen}${seen}${usage.prompt_tokens} tokens in the prompt, ` +
    `${usage.vision_tokens} of them of pictures; first token after ${times.first_token.toFixed(0)} ms; ` +
    `${usage.completion_tokens} tokens in the answer, done after ${times.total.toFixed(0)} ms`);
}

function planned(plan, budget) {
  const cut = plan.max_slices === 1 ? "thumbnails alone" : `at most ${plan.max_slices} slices`;
  const chosen = `${cut} chosen for ${budget} ms`;
  if (plan.within_budget) return chosen;
  return `${chosen}, which ${plan.too_noisy ? "cannot be promised: times vary too much here" : "cannot be met"}`;
}
