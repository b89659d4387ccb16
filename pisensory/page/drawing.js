// What is drawn on canvases, always at the resolution of the screen. Each function draws a whole picture anew.

const SOURCES = [
  { name: "x", spoken: "position x", colour: "--x", largest: 2.4 },
  { name: "ẋ", spoken: "speed of the cart", colour: "--x-dot", largest: 4 },
  { name: "cos θ", spoken: "cosine of the angle", colour: "--cosine", largest: 1.1 },
  { name: "sin θ", spoken: "sine of the angle", colour: "--sine", largest: 1.1 },
  { name: "θ̇", spoken: "turning speed", colour: "--theta-dot", largest: 12 },
];
const COLOURS = [
  "--ink", "--soft", "--line", "--edge", "--paper", "--card", "--noise", "--low", "--zero", "--high", "--cart", "--pole",
  "--push", "--accent", ...SOURCES.map((source) => source.colour),
];
const MARGIN = 0.45; // m, beyond the ends of the track
const DRAWN_POLE = 0.42; // of the height of the picture
const CROSSING = 500; // ms in which wires cross over
const HEAT_STEPS = 64; // colours on each side of zero

// What a source is: its name, how it is spoken, its colour and the size its trace is scaled to.
function describe(source) {
  if (source >= FIRST_NOISE) {
    const number = source - FIRST_NOISE + 1;
    return { name: `noise ${number}`, spoken: `noise ${number}`, colour: "--noise", largest: 0.4 };
  }
  const copy = Math.floor(source / N_SOURCES);
  const base = SOURCES[source % N_SOURCES];
  if (!copy) return base;
  return { ...base, name: `${base.name} (${copy + 1})`, spoken: `${base.spoken}, copy ${copy + 1}` };
}

// The colours in use, from the style sheet, and the heat map's scale between them.
function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const theme = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(name).trim()]));
  theme.rem = parseFloat(style.fontSize);
  theme.small = document.createElement("canvas"); // where the heat map is made
  theme.heat = [];
  for (let step = -HEAT_STEPS; step <= HEAT_STEPS; step++) {
    theme.heat.push(mix(theme["--zero"], theme[step < 0 ? "--low" : "--high"], Math.abs(step) / HEAT_STEPS));
  }
  return theme;
}

// A colour between two of the style sheet's, as (red, green, blue).
function mix(from, to, share) {
  const part = (colour, at) => parseInt(colour.slice(at, at + 2), 16);
  return [1, 3, 5].map((at) => Math.round(part(from, at) + share * (part(to, at) - part(from, at))));
}

// Fit the canvas to its box and the screen, and return its context in CSS pixels, wiped.
function begin(canvas, theme, height) {
  if (height !== undefined && canvas.style.height !== `${height}px`) canvas.style.height = `${height}px`;
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, tall = canvas.clientHeight;
  const pixels = [Math.round(width * ratio), Math.round(tall * ratio)];
  if (canvas.width !== pixels[0] || canvas.height !== pixels[1]) [canvas.width, canvas.height] = pixels;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, tall);
  context.lineJoin = context.lineCap = "round";
  write(context, theme, "center", "--soft");
  context.textBaseline = "middle";
  return { context, width, height: tall };
}

// Set how text is written; its size follows the reader's.
function write(context, theme, align, colour, size = 0.78) {
  context.font = `${size * theme.rem}px system-ui, sans-serif`;
  context.textAlign = align;
  context.fillStyle = theme[colour];
}

function line(context, points, colour, width) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

function arrow(context, x, y, length, colour) {
  if (Math.abs(length) < 2) return;
  const head = Math.sign(length) * Math.min(9, Math.abs(length));
  line(context, [[x, y], [x + length, y]], colour, 3);
  line(context, [[x + length - head, y - 6], [x + length, y], [x + length - head, y + 6]], colour, 3);
}

// Metres to CSS pixels of a stage of this width.
function stageScale(width, physics) {
  return width / (2 * (physics.track_limit + MARGIN));
}

function drawStage(canvas, contender, pull, theme) {
  const { context, width, height } = begin(canvas, theme);
  const physics = contender.world.physics;
  const [x, , theta] = contender.world.state;
  const scale = stageScale(width, physics);
  const ground = height * 0.6, length = height * DRAWN_POLE, size = length / 1.3;
  const at = (metres) => width / 2 + metres * scale;
  drawTrack(context, at, ground, physics.track_limit, theme);

  context.globalAlpha = contender.world.over ? 0.35 : 1;
  const cart = { width: 0.5 * size, height: 0.24 * size };
  const pivot = [at(x), ground - cart.height];
  context.fillStyle = theme["--cart"];
  context.beginPath();
  context.roundRect(pivot[0] - cart.width / 2, pivot[1], cart.width, cart.height * 0.8, 0.05 * size);
  context.fill();
  for (const side of [-0.3, 0.3]) {
    disc(context, pivot[0] + side * cart.width, ground - 0.045 * size, 0.055 * size, theme["--edge"]);
  }
  const tip = [pivot[0] + length * Math.sin(theta), pivot[1] - length * Math.cos(theta)];
  line(context, [pivot, tip], theme["--pole"], Math.max(4, 0.07 * size));
  disc(context, ...pivot, Math.max(3.5, 0.06 * size), theme["--pole"]);
  disc(context, ...pivot, Math.max(1.5, 0.022 * size), theme["--card"]);

  arrow(context, at(x), ground + 2 * theme.rem, contender.action * 0.9 * size, theme["--accent"]);
  arrow(context, at(x), pivot[1] + cart.height * 0.4, (pull / 20) * size, theme["--push"]);
  context.globalAlpha = 1;
}

function disc(context, x, y, radius, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function drawTrack(context, at, ground, limit, theme) {
  line(context, [[at(-limit), ground], [at(limit), ground]], theme["--edge"], 2);
  for (const end of [-limit, limit]) line(context, [[at(end), ground - 9], [at(end), ground + 9]], theme["--soft"], 2);
  write(context, theme, "center", "--soft", 0.75);
  const every = at(1) - at(0) < 3 * theme.rem ? 2 : 1;
  for (let metre = -2; metre <= 2; metre += every) {
    line(context, [[at(metre), ground], [at(metre), ground + 4]], theme["--edge"], 1);
    context.fillText(metre === 0 ? "0 m" : String(metre).replace("-", "−"), at(metre), ground + 0.9 * theme.rem);
  }
}

// How high the pole was in the last steps, between hanging and up, with the shuffles marked.
function drawHeights(canvas, contender, marks, theme) {
  const { context, width, height } = begin(canvas, theme);
  const left = 0.9 * theme.rem, right = width - 0.9 * theme.rem;
  const step = (right - left) / (HISTORY - 1);
  const level = (cosine) => 3 + (height - 8) * (0.5 - 0.5 * cosine);
  for (const cosine of [-1, 1]) line(context, [[left, level(cosine)], [right, level(cosine)]], theme["--line"], 1);
  drawMarks(context, marks, contender.steps, HISTORY, right, step, height, theme);
  const shown = Math.min(contender.steps, HISTORY);
  context.strokeStyle = theme["--pole"];
  context.lineWidth = 2;
  context.beginPath();
  let drawn = false;
  for (let age = shown - 1; age >= 0; age--) {
    const cosine = contender.heights[(contender.steps - 1 - age) % HISTORY];
    if (Number.isNaN(cosine)) drawn = false;
    else if (drawn) context.lineTo(right - age * step, level(cosine));
    else context.moveTo(right - age * step, level(cosine));
    drawn = !Number.isNaN(cosine);
  }
  context.stroke();
}

// A dashed line wherever a shuffle happened in the last `kept` steps.
function drawMarks(context, marks, steps, kept, right, step, height, theme) {
  context.setLineDash([4, 4]);
  for (const mark of marks) {
    const age = steps - mark - 0.5; // between the last step before it and the first after it
    if (age < kept) line(context, [[right - age * step, 0], [right - age * step, height]], theme["--ink"], 1.25);
  }
  context.setLineDash([]);
}

// Wires from the senses, named and in their own order, to the places of the network, numbered. `placeOf` says where a
// source's wire ends: a place, or something between two while wires cross over.
function drawWires(canvas, inputs, placeOf, theme) {
  const { context, width, height } = begin(canvas, theme);
  const { rem } = theme, n = inputs.order.length;
  const span = Math.min(width - 1.5 * rem, n * 8 * rem), gap = span / n;
  if (gap <= 0) return; // not laid out yet
  const at = (position) => (width - span) / 2 + (position + 0.5) * gap;
  const top = 1.85 * rem, bottom = height - 1.15 * rem; // of the wires, whose ends are straight
  const bend = top + 0.25 * rem, end = bottom - rem, middle = (bend + end) / 2;
  const sources = [...inputs.order].sort((one, other) => one - other);
  sources.forEach((source, position) => {
    const look = describe(source), cut = inputs.unplugged.has(source);
    const [from, to] = [at(position), at(placeOf(source))];
    context.strokeStyle = theme[cut ? "--edge" : look.colour];
    context.lineWidth = gap > rem ? 3 : 1.25;
    context.setLineDash(cut ? [2, 7] : []);
    context.beginPath();
    context.moveTo(from, top);
    context.lineTo(from, bend);
    context.bezierCurveTo(from, middle, to, middle, to, end);
    context.lineTo(to, bottom);
    context.stroke();
    context.setLineDash([]);
    disc(context, from, top, Math.min(5, 0.3 * gap), theme[look.colour]);
    nameWire(context, look.name, from, gap, theme);
  });
  for (let place = 0; place < n; place++) drawPlace(context, place + 1, at(place), bottom, gap, theme);
  if (span > width - 16 * rem) return;
  write(context, theme, "left", "--soft");
  context.fillText("senses", 0.9 * rem, 0.85 * rem);
  context.fillText("places", 0.9 * rem, bottom);
}

function nameWire(context, name, x, gap, theme) {
  write(context, theme, "center", "--ink", 0.9);
  if (context.measureText(name).width < gap - 4) context.fillText(name, x, 0.85 * theme.rem);
}

function drawPlace(context, number, x, y, gap, theme) {
  const radius = Math.min(0.68 * theme.rem, 0.42 * gap);
  disc(context, x, y, radius, theme["--edge"]);
  disc(context, x, y, radius - 1.25, theme["--card"]);
  write(context, theme, "center", "--ink", 0.75);
  if (radius > 0.6 * theme.rem) context.fillText(number, x, y + 0.5);
}

// The last values of the places that are in view, in a row each, each stretch in the colour of its source. `rows` says
// where: height of a row, how far they are scrolled, and from where to where the trace goes.
function drawTraces(canvas, contender, marks, rows, theme) {
  const { context, height } = begin(canvas, theme, rows.visible);
  const { left } = rows;
  const written = rows.right - left > 8 * theme.rem; // room for the last value as a number
  const right = rows.right - (written ? 3.2 * theme.rem : 4);
  const step = (right - left) / (TRACE_LENGTH - 1);
  const first = Math.max(0, Math.floor(rows.scrolled / rows.height));
  const last = Math.min(contender.traces.length, Math.ceil((rows.scrolled + height) / rows.height));
  drawMarks(context, marks, contender.steps, TRACE_LENGTH, right, step, height, theme);
  for (let place = first; place < last; place++) {
    const trace = contender.traces[place], middle = (place + 0.5) * rows.height - rows.scrolled;
    line(context, [[left, middle], [right, middle]], theme["--line"], 1);
    drawTrace(context, trace, contender.steps, right, step, middle, 0.34 * rows.height, theme);
    if (!written || !contender.steps) continue;
    write(context, theme, "right", "--ink");
    context.fillText(signed(trace.values[(contender.steps - 1) % TRACE_LENGTH]), rows.right, middle);
  }
}

function drawTrace(context, trace, steps, right, step, middle, half, theme) {
  let source = NOTHING, look = null, drawn = 0;
  for (let age = Math.min(steps, TRACE_LENGTH) - 1; age >= 0; age--) {
    const at = (steps - 1 - age) % TRACE_LENGTH;
    if (trace.sources[at] !== source) {
      if (drawn) context.stroke();
      drawn = 0;
      source = trace.sources[at];
      if (source === NOTHING) continue;
      look = describe(source);
      context.strokeStyle = theme[look.colour];
      context.lineWidth = source >= FIRST_NOISE ? 1 : 1.75;
      context.beginPath();
    }
    if (source === NOTHING) continue;
    const value = Math.max(-1, Math.min(1, trace.values[at] / look.largest));
    const point = [right - age * step, middle - value * half];
    if (drawn++) context.lineTo(...point);
    else context.moveTo(...point);
  }
  if (drawn) context.stroke();
}

function signed(value) {
  return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
}

// Heat map (embedding, place) under a key of the sources, the latent code beside it, the action below.
function drawMind(canvas, contender, inputs, theme) {
  const { rem } = theme, { rows, latent } = contender.network;
  const key = 2.1 * rem, cell = Math.max(3, Math.min(0.9 * rem, Math.floor((14 * rem) / rows)));
  const bottom = key + rows * cell, actions = 5.5 * rem;
  const { context, width } = begin(canvas, theme, Math.ceil(bottom + rem + actions));
  const codeWidth = Math.min(7.5 * rem, 0.26 * width);
  const mapWidth = width - codeWidth - 1.25 * rem;
  const column = mapWidth / inputs.order.length;
  inputs.order.forEach((source, place) => {
    const look = describe(source);
    context.fillStyle = theme[look.colour];
    context.fillRect(place * column + 0.5, key - 8, Math.max(column - 1, 0.75), 5);
    write(context, theme, "center", "--soft");
    if (context.measureText(look.name).width < column - 2) context.fillText(look.name, (place + 0.5) * column, 0.75 * rem);
  });
  drawHeat(context, contender.network, inputs.order.length, key, mapWidth, rows * cell, theme);
  drawCode(context, latent, width - codeWidth, codeWidth, key, cell, theme);
  drawActions(context, contender, bottom + rem, actions, width, theme);
}

// The cells as one small image, drawn large: a rectangle each would take longer than everything else on the page.
function drawHeat(context, network, n, top, width, height, theme) {
  const image = new ImageData(n, network.rows);
  for (let row = 0; row < network.rows; row++) {
    for (let place = 0; place < n; place++) {
      const colour = theme.heat[HEAT_STEPS + Math.round(HEAT_STEPS * network.matrix(row, place))];
      image.data.set([...colour, 255], 4 * (row * n + place));
    }
  }
  Object.assign(theme.small, { width: n, height: network.rows });
  theme.small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(theme.small, 0, top, width, height);
  context.fillStyle = theme["--paper"];
  for (let row = 1; row < network.rows; row++) context.fillRect(0, top + (row * height) / network.rows - 0.5, width, 1);
  for (let place = 1; place < n; place++) context.fillRect((place * width) / n - 0.5, top, 1, height);
}

function drawCode(context, latent, left, width, top, cell, theme) {
  const middle = left + width / 2;
  write(context, theme, "center", "--soft");
  context.fillText("code", middle, 0.75 * theme.rem);
  for (let row = 0; row < latent.length; row++) {
    const value = latent[row];
    context.fillStyle = theme[value < 0 ? "--low" : "--high"];
    context.fillRect(middle, top + row * cell, (value * width) / 2, cell - 1);
  }
  line(context, [[middle, top], [middle, top + latent.length * cell]], theme["--soft"], 1);
}

function drawActions(context, contender, top, height, width, theme) {
  const middle = top + 0.6 * height, half = 0.36 * height;
  const step = (width - 2) / (TRACE_LENGTH - 1);
  const shown = Math.min(contender.steps, TRACE_LENGTH);
  write(context, theme, "left", "--soft");
  context.fillText("Action: left −1 to right +1", 0, top + 0.3 * theme.rem);
  line(context, [[0, middle], [width, middle]], theme["--line"], 1);
  const points = [];
  for (let age = shown - 1; age >= 0; age--) {
    const at = (contender.steps - 1 - age) % TRACE_LENGTH;
    points.push([width - 1 - age * step, middle - contender.actions[at] * half]);
  }
  line(context, points, theme["--accent"], 1.5);
}
