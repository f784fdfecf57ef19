// What the model sees of a picture, drawn over it: a cell for each slice with its tokens, and the thumbnail beside.

const part = (kind, name, ...content) => {
  const made = Object.assign(document.createElement(kind), { className: name });
  made.append(...content);
  return made;
};

// Draws views over the picture of a figure. `views` have `tokens` and may be `reused`; the thumbnail is the first.
export function drawViews(figure, { rows, columns, views }) {
  removeViews(figure);
  const [thumbnail, ...slices] = views;
  const over = figure.querySelector(".seen");
  if (!slices.length) {
    over.append(cells(1, 1, [thumbnail]));
    return;
  }
  over.append(cells(rows, columns, slices));
  const small = part("div", "seen small", Object.assign(new Image(), { src: over.querySelector("img").src, alt: "" }));
  small.append(cells(1, 1, [thumbnail]));
  figure.querySelector("figcaption").before(part("div", "thumbnail", small, part("span", "", "thumbnail")));
}

export function removeViews(figure) {
  figure.querySelectorAll(".grid, .thumbnail").forEach((drawn) => drawn.remove());
}

// The caption says the same in words, so that screen readers pass the cells over.
function cells(rows, columns, views) {
  const grid = part("div", "grid");
  grid.setAttribute("aria-hidden", "true");
  grid.style.gridTemplate = `repeat(${rows}, 1fr) / repeat(${columns}, 1fr)`;
  for (const { tokens, reused } of views) {
    const label = part("span", "tokens", String(tokens), part("span", "unit", " tokens"));
    if (reused) label.append(part("span", "word", ", reused"));
    grid.append(part("div", reused ? "cell reused" : "cell", label));
  }
  return grid;
}

// Says in words what is drawn.
export function describeViews({ rows, columns, views }) {
  const [thumbnail, ...slices] = views;
  const sum = views.reduce((tokens, view) => tokens + view.tokens, 0);
  return slices.length
    ? `a thumbnail of ${thumbnail.tokens} tokens and ${rows} x ${columns} slices of ${slices[0].tokens}: ${sum} tokens`
    : `one view of ${sum} tokens`;
}

export function describeReuse(views) {
  const reused = views.filter((view) => view.reused).length;
  return reused ? `; ${reused} of ${views.length} reused for the last answer (hatched)` : "";
}
