// What is drawn on canvases, always at the resolution of the screen. Each function draws a whole picture anew.

const SOURCES = [
  { name: "x", spoken: "position x", colour: "--x", largest: 2.4 },
  { name: "ẋ", spoken: "speed of the cart", colour: "--x-dot", largest: 4 },
  { name: "cos θ", spoken: "cosine of the angle", colour: "--cosine", largest: 1.1 },
  { name: "sin θ", spoken: "sine of the angle", colour: "--sine", largest: 1.1 },
  { name: "θ̇", spoken: "turning speed", colour: "--theta-dot", largest: 12 },
];
const COLOURS = [
  "--ink", "--soft", "--line", "--card", "--noise", "--low", "--zero", "--high", "--cart", "--pole", "--push",
  "--accent", ...SOURCES.map((source) => source.colour),
];
const MARGIN = 0.45; // m, beyond the ends of the track
const DRAWN_POLE = 1.3; // m
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
  theme.heat = [];
  for (let step = -HEAT_STEPS; step <= HEAT_STEPS; step++) {
    theme.heat.push(mix(theme["--zero"], theme[step < 0 ? "--low" : "--high"], Math.abs(step) / HEAT_STEPS));
  }
  return theme;
}

function mix(from, to, share) {
  const part = (colour, at) => parseInt(colour.slice(at, at + 2), 16);
  const channels = [1, 3, 5].map((at) => Math.round(part(from, at) + share * (part(to, at) - part(from, at))));
  return `rgb(${channels.join(" ")})`;
}

// Fit the canvas to its box and the screen, and return its context in CSS pixels, wiped.
function begin(canvas, height) {
  if (height !== undefined && canvas.style.height !== `${height}px`) canvas.style.height = `${height}px`;
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, tall = canvas.clientHeight;
  const pixels = [Math.round(width * ratio), Math.round(tall * ratio)];
  if (canvas.width !== pixels[0] || canvas.height !== pixels[1]) [canvas.width, canvas.height] = pixels;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, tall);
  context.lineJoin = context.lineCap = "round";
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  return { context, width, height: tall };
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
  const { context, width, height } = begin(canvas);
  const physics = contender.world.physics;
  const [x, , theta] = contender.world.state;
  const scale = stageScale(width, physics);
  const ground = height * 0.59;
  const at = (metres) => width / 2 + metres * scale;
  drawTrack(context, at, ground, physics.track_limit, theme);

  context.globalAlpha = contender.world.over ? 0.4 : 1;
  const size = { width: 0.5 * scale, height: 0.24 * scale };
  const pivot = [at(x), ground - size.height];
  context.fillStyle = theme["--cart"];
  context.beginPath();
  context.roundRect(pivot[0] - size.width / 2, pivot[1], size.width, size.height * 0.8, 0.05 * scale);
  context.fill();
  for (const side of [-0.3, 0.3]) {
    disc(context, pivot[0] + side * size.width, ground - 0.045 * scale, 0.055 * scale, theme["--soft"]);
  }
  const length = DRAWN_POLE * scale;
  const tip = [pivot[0] + length * Math.sin(theta), pivot[1] - length * Math.cos(theta)];
  line(context, [pivot, tip], theme["--pole"], Math.max(4, 0.07 * scale));
  disc(context, ...pivot, Math.max(4, 0.06 * scale), theme["--pole"]);
  disc(context, ...pivot, Math.max(1.5, 0.022 * scale), theme["--card"]);

  const below = Math.max(0.3 * scale, 30); // clear of the numbers under the track
  arrow(context, at(x), ground + below, contender.action * 0.9 * scale, theme["--accent"]);
  arrow(context, at(x), pivot[1] + size.height * 0.4, (pull / 20) * scale, theme["--push"]);
  context.globalAlpha = 1;
}

function disc(context, x, y, radius, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function drawTrack(context, at, ground, limit, theme) {
  line(context, [[at(-limit), ground], [at(limit), ground]], theme["--line"], 2);
  for (const end of [-limit, limit]) line(context, [[at(end), ground - 9], [at(end), ground + 9]], theme["--soft"], 2);
  context.fillStyle = theme["--soft"];
  context.textAlign = "center";
  for (let metre = -2; metre <= 2; metre++) {
    line(context, [[at(metre), ground], [at(metre), ground + 4]], theme["--line"], 1);
    context.fillText(metre === 0 ? "0 m" : String(metre).replace("-", "−"), at(metre), ground + 14);
  }
}

// The last values of every place in a row of its own, each stretch in the colour of its source.
function drawTraces(canvas, contender, inputs, rowHeight, theme) {
  const { context, width } = begin(canvas, rowHeight * inputs.order.length);
  const left = 7.9 * theme.rem, right = width - 7.75 * theme.rem; // clear of the names and the buttons
  const step = (right - left) / (TRACE_LENGTH - 1);
  const shown = Math.min(contender.steps, TRACE_LENGTH);
  contender.traces.forEach((trace, place) => {
    const middle = (place + 0.5) * rowHeight, half = 0.34 * rowHeight;
    line(context, [[left, middle], [right, middle]], theme["--line"], 1);
    let source = NOTHING, look = null, drawn = 0;
    for (let age = shown - 1; age >= 0; age--) {
      const at = (contender.steps - 1 - age) % TRACE_LENGTH;
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
    context.fillStyle = theme["--ink"];
    context.textAlign = "right";
    if (!shown) return;
    context.fillText(signed(trace.values[(contender.steps - 1) % TRACE_LENGTH]), right + 3 * theme.rem, middle);
  });
}

function signed(value) {
  return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
}

// Heat map (embedding, place) under a key of the sources, the latent code beside it, the action below.
function drawMind(canvas, contender, inputs, theme) {
  const { network } = contender;
  const { rows, latent } = network;
  const n = inputs.order.length;
  const key = 26, cell = Math.max(3, Math.min(14, Math.floor(224 / rows)));
  const bottom = key + rows * cell;
  const { context, width } = begin(canvas, bottom + 92);
  const codeWidth = Math.min(120, 0.26 * width), gap = 20;
  const mapWidth = width - codeWidth - gap;
  const column = mapWidth / n;
  inputs.order.forEach((source, place) => {
    const look = describe(source);
    context.fillStyle = theme[look.colour];
    context.fillRect(place * column + 0.5, key - 8, column - 1, 5);
    for (let row = 0; row < rows; row++) {
      context.fillStyle = theme.heat[HEAT_STEPS + Math.round(HEAT_STEPS * network.matrix(row, place))];
      context.fillRect(place * column + 0.5, key + row * cell, Math.max(column - 1, 0.75), cell - 1);
    }
    if (column < 34) return;
    context.fillStyle = theme["--soft"];
    context.textAlign = "center";
    context.fillText(look.name, (place + 0.5) * column, 8, column);
  });
  drawCode(context, latent, mapWidth + gap, codeWidth, key, cell, theme);
  drawActions(context, contender, bottom + 12, 80, width, theme);
}

function drawCode(context, latent, left, width, top, cell, theme) {
  const middle = left + width / 2;
  context.fillStyle = theme["--soft"];
  context.textAlign = "center";
  context.fillText("code", middle, 8);
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
  context.fillStyle = theme["--soft"];
  context.textAlign = "left";
  context.fillText("Action: left −1 to right +1", 0, top + 4);
  line(context, [[0, middle], [width, middle]], theme["--line"], 1);
  const points = [];
  for (let age = shown - 1; age >= 0; age--) {
    const at = (contender.steps - 1 - age) % TRACE_LENGTH;
    points.push([width - 1 - age * step, middle - contender.actions[at] * half]);
  }
  line(context, points, theme["--accent"], 1.5);
}
