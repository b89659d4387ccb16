// The page itself: what buttons, keys and pointers do, the clock, the address, and what is said aloud.

const STEPS_A_SECOND = 50;
const PUSH = 10; // N, of a button or an arrow key
const PULL = 15, MOST_PULL = 30; // N per m of drag, and N
const LONGEST_RECORD = 300; // of what was done, in the address
const FRAME_BUDGET = 12; // ms of steps a frame; a machine too slow for the speed falls behind instead of freezing
const $ = (id) => document.getElementById(id);

for (const model of page.models) {
  for (const layer of model.weights) {
    const bytes = Uint8Array.from(atob(layer.data), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    layer.data = Float64Array.from({ length: layer.rows * layer.columns }, (_, i) => view.getFloat32(4 * i, true));
  }
}
const still = matchMedia("(prefers-reduced-motion: reduce)");
const view = { playing: false, speed: 1, watched: 0, theme: readTheme(), last: 0, debt: 0, dragging: null, spoken: 0 };
let run = null;
let cards = []; // one a contender: the elements it is shown in

// ---- Runs

// Begin a run: `changes` to the settings of the last one, and what is to be done when.
function restart(changes = {}, script = null) {
  const settings = { ...currentSettings(), ...changes };
  if (settings.rival === settings.model) settings.rival = null;
  const plugs = run ? [...run.inputs.unplugged].map((source) => [0, "plug", source]) : [];
  run = new Run(page, settings, script || plugs);
  view.watched = Math.min(view.watched, run.contenders.length - 1);
  view.debt = 0;
  makeCards();
  refresh();
  writeAddress();
}

function currentSettings() {
  if (!run) return page.settings;
  return { ...run.settings, noise: run.inputs.nNoise, copies: run.inputs.nCopies };
}

// Do something to the run, show it, and say it.
function act(name, value, message) {
  if (!run.act(name, value)) return false;
  if (message) say(message);
  refresh();
  if (name !== "drag" || value === 0) writeAddress();
  return true;
}

function shuffle() {
  act("shuffle", 0);
  say(`Shuffled. The places now hear ${listOrder()}.`);
}

function listOrder() {
  const names = run.inputs.order.map((source) => describe(source).name);
  return names.length > 10 ? `${names.slice(0, 10).join(", ")} and ${names.length - 10} more` : names.join(", ");
}

function togglePlug(source) {
  const { name } = describe(source);
  const back = run.inputs.unplugged.has(source);
  act("plug", source, back ? `Plugged ${name} back in.` : `Unplugged ${name}: it reads 0.`);
}

function addNoise(change) {
  if (act("noise", change)) say(`${run.inputs.nNoise} noise inputs, ${run.inputs.order.length} inputs in all.`);
}

function addCopies(change) {
  if (act("copies", change)) say(`${run.inputs.nCopies} of each input, ${run.inputs.order.length} inputs in all.`);
}

function push(direction) {
  act("push", direction * PUSH, `Pushed ${direction < 0 ? "left" : "right"}.`);
}

// ---- The clock

function play(playing) {
  if (playing && run.over) restart();
  if (playing === view.playing) return;
  view.playing = playing;
  view.last = performance.now();
  view.debt = 0;
  if (playing) {
    say("");
    requestAnimationFrame(frame);
  }
  refresh();
}

function frame(now) {
  if (!view.playing) return;
  view.debt += (Math.min(250, Math.max(0, now - view.last)) * view.speed * STEPS_A_SECOND) / 1000;
  view.last = now;
  const started = performance.now();
  while (view.debt >= 1 && view.playing) {
    step();
    view.debt -= 1;
    if (performance.now() - started > FRAME_BUDGET) view.debt = 0;
  }
  draw();
  if (view.playing) requestAnimationFrame(frame);
}

function step() {
  const before = run.contenders.map((contender) => contender.world.over);
  const order = run.inputs.order, recorded = run.record.length;
  run.step();
  if (run.inputs.order !== order || run.record.length !== recorded) refresh(false);
  run.contenders.forEach((contender, i) => {
    if (contender.world.over && !before[i]) say(`${contender.model.name} left the track at step ${contender.steps}.`);
  });
  if (run.over) play(false);
}

// ---- Showing

function makeCards() {
  const make = (kind, parent) => parent.appendChild(document.createElement(kind));
  $("stages").replaceChildren();
  cards = run.contenders.map((contender, i) => {
    const figure = make("figure", $("stages"));
    const canvas = make("canvas", figure);
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-describedby", "keys");
    const caption = make("figcaption", figure);
    const cell = (label) => {
      const box = make("div", caption);
      if (label) make("small", box).textContent = label;
      return [make("b", box), box];
    };
    const [name, first] = cell();
    name.textContent = contender.model.name;
    const doing = make("small", first);
    const card = { canvas, doing, score: cell("score")[0], recent: cell("last 1000")[0], action: cell("action")[0] };
    listen(canvas, i);
    return card;
  });
  const choices = run.contenders.map((contender, i) => [i, contender.model.name]);
  fill($("watched"), choices, view.watched);
  $("watched-label").hidden = choices.length < 2;
  $("layout").classList.toggle("side", choices.length > 1);
}

function fill(select, choices, chosen) {
  select.replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
  select.value = String(chosen);
}

// Bring everything but the drawing into line with the run; and the drawing too, unless told not to.
function refresh(drawn = true) {
  const { inputs, settings } = run;
  $("play").textContent = view.playing ? "Pause" : "Play";
  $("step").disabled = view.playing;
  $("noise-count").textContent = inputs.nNoise;
  $("copies-count").textContent = inputs.nCopies;
  $("noise-less").disabled = inputs.nNoise === 0;
  $("noise-more").disabled = inputs.nNoise === MAX_NOISE;
  $("copies-less").disabled = inputs.nCopies === 1;
  $("copies-more").disabled = inputs.nCopies === MAX_COPIES;
  choose($("every"), settings.every, `every ${settings.every} steps`);
  $("divide").checked = settings.divide;
  $("shuffled").checked = settings.shuffle;
  $("version").value = settings.version;
  $("seed").value = settings.seed;
  $("model").value = settings.model;
  fill(
    $("rival"),
    [["", "nobody"], ...page.models.map((model, i) => [i, model.name]).filter(([i]) => i !== settings.model)],
    settings.rival === null ? "" : settings.rival
  );
  showPlaces();
  explainMind();
  if (drawn) draw();
}

// Set a select to a number that may not be among its options yet.
function choose(select, value, text) {
  if (![...select.options].some((option) => option.value === String(value))) select.add(new Option(text, value));
  select.value = String(value);
}

// One row a place, made anew only where something changed, so that the focus stays where it is.
function showPlaces() {
  const { order, unplugged } = run.inputs;
  const heard = run.contenders[view.watched].network.capacity;
  const list = $("places");
  $("traces").parentElement.classList.toggle("many", order.length > 10);
  while (list.children.length > order.length) list.lastChild.remove();
  while (list.children.length < order.length) {
    const row = list.appendChild(document.createElement("li"));
    row.innerHTML = '<span class="number"></span><i></i><span class="name"></span><button type="button"></button>';
    const place = list.children.length - 1;
    row.lastChild.addEventListener("click", () => togglePlug(run.inputs.order[place]));
  }
  order.forEach((source, place) => {
    const row = list.children[place], look = describe(source), out = unplugged.has(source);
    const [number, swatch, name, button] = row.children;
    const deaf = place >= heard;
    number.textContent = place + 1;
    swatch.style.setProperty("--colour", `var(${look.colour})`);
    name.textContent = look.name;
    row.title = deaf ? "This network has no such place: it does not hear this input." : look.spoken;
    row.className = [out && "unplugged", deaf && "deaf"].filter(Boolean).join(" ");
    button.textContent = out ? "plug in" : "unplug";
    button.setAttribute("aria-label", `${out ? "plug in" : "unplug"} ${look.spoken}, place ${place + 1}`);
  });
}

function draw() {
  const contender = run.contenders[view.watched];
  run.contenders.forEach((each, i) => {
    drawStage(cards[i].canvas, each, run.push, view.theme);
    showScores(cards[i], each);
  });
  const row = $("places").firstElementChild;
  drawTraces($("traces"), contender, run.inputs, row.getBoundingClientRect().height, view.theme);
  drawMind($("mind"), contender, run.inputs, view.theme);
  const now = performance.now();
  if (!view.playing || now - view.spoken > 2000) {
    view.spoken = now;
    describeAloud();
  }
}

function showScores(card, contender) {
  const { world, steps, score, action } = contender;
  const number = (value) => (value < 0 ? "−" : "") + Math.abs(value).toFixed(1);
  const doing = world.over ? "off the track" : contender.upright ? "holding it up" : "swinging up";
  put(card.doing, `${contender.model.kind}, step ${steps}: ${doing}`);
  put(card.score, number(score));
  put(card.recent, number(contender.recentScore));
  put(card.action, signed(action));
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// What the pictures show, in words, for those who do not see them.
function describeAloud() {
  run.contenders.forEach((contender, i) => {
    const [x, , theta] = contender.world.state;
    const angle = Math.round((Math.abs(Math.atan2(Math.sin(theta), Math.cos(theta))) * 180) / Math.PI);
    const text = `${contender.model.name}: cart at ${x.toFixed(1)} metres, pole ${angle} degrees from upright`;
    cards[i].canvas.setAttribute("aria-label", text);
  });
  const { network, model } = run.contenders[view.watched];
  const { order } = run.inputs;
  const strength = (place) => {
    let sum = 0;
    for (let row = 0; row < network.rows; row++) sum += Math.abs(network.matrix(row, place));
    return sum / network.rows;
  };
  const list = order.map((source, place) => `${describe(source).spoken} ${strength(place).toFixed(2)}`);
  const what = model.kind === "invariant" ? "Mean size of attention" : "Mean size of the first weights";
  $("mind").setAttribute("aria-label", `${what} for each place: ${list.join(", ")}`);
  $("traces").setAttribute("aria-label", `Traces of ${order.length} inputs, by place: ${listOrder()}`);
}

// What the rows and colours of the heat map mean for the network that is shown.
function explainMind() {
  const invariant = run.contenders[view.watched].model.kind === "invariant";
  $("mind-note").textContent = invariant
    ? "Attention of each embedding (row) to each input (column), and the latent code they add up to."
    : "A plain network has no attention: these are its first weights, one column for each place, and they never move."
      + " The code is its first layer.";
  $("low").textContent = invariant ? "−1" : "−max";
  $("high").textContent = invariant ? "+1" : "+max";
}

function say(message) {
  $("status").textContent = message;
}

// ---- The address: #seed=1&version=v1&...&do=120.shuffle.0~180.noise.1

function writeAddress() {
  const { settings, record, script } = run;
  const values = new URLSearchParams({
    seed: settings.seed, version: settings.version, model: settings.model, rival: settings.rival ?? "",
    noise: settings.noise, std: settings.noise_std, copies: settings.copies, every: settings.every,
    shuffle: Number(settings.shuffle), divide: Number(settings.divide),
  });
  const done = [...record, ...script].map(([step, name, value]) => `${step}.${name}.${Number(value)}`);
  if (done.length && done.length <= LONGEST_RECORD) values.set("do", done.join("~"));
  history.replaceState(null, "", `#${values}`);
}

// What an address asks for, as [settings, script]; anything it lacks or that makes no sense is left as the page's own.
function readAddress(text) {
  const values = new URLSearchParams(text.replace(/^#/, ""));
  const settings = {};
  const whole = (name, key, least, most) => {
    const value = Number(values.get(name) || NaN);
    if (Number.isInteger(value) && value >= least && value <= most) settings[key] = value;
  };
  whole("seed", "seed", 0, 4294967295);
  whole("model", "model", 0, page.models.length - 1);
  whole("rival", "rival", 0, page.models.length - 1);
  whole("noise", "noise", 0, MAX_NOISE);
  whole("copies", "copies", 1, MAX_COPIES);
  whole("every", "every", 0, 1e6);
  const deviation = Number(values.get("std") || NaN);
  if (deviation >= 0 && deviation < 1e6) settings.noise_std = deviation;
  for (const name of ["shuffle", "divide"]) if (values.has(name)) settings[name] = values.get(name) === "1";
  if (["v1", "v0", "harder"].includes(values.get("version"))) settings.version = values.get("version");
  const script = (values.get("do") || "").split("~").slice(0, LONGEST_RECORD).flatMap((item) => {
    const match = /^(\d{1,9})\.([a-z]+)\.(-?\d{1,7})$/.exec(item);
    return match && Object.hasOwn(ACTS, match[2]) ? [[Number(match[1]), match[2], Number(match[3])]] : [];
  });
  return [settings, script];
}

function openAddress() {
  const [settings, script] = readAddress(location.hash);
  run = null;
  restart(settings, script);
}

async function copyLink() {
  writeAddress();
  try {
    await navigator.clipboard.writeText(location.href);
    say("Copied the address of this run.");
  } catch {
    say("This browser does not let a page copy: the address is in the address bar.");
  }
}

// ---- Hands

const KEYS = {
  ArrowLeft: () => push(-1),
  ArrowRight: () => push(1),
  " ": () => play(!view.playing),
  ".": () => singleStep(),
  s: shuffle,
  r: () => restart(),
};

function singleStep() {
  play(false);
  if (run.over) restart();
  else {
    step();
    refresh();
  }
}

function listen(canvas, number) {
  const pull = (event) => {
    const box = canvas.getBoundingClientRect();
    const metres = (event.clientX - box.left - box.width / 2) / stageScale(box.width, page.physics);
    const force = PULL * (metres - run.contenders[number].world.state[0]);
    const newtons = Math.round(Math.max(-MOST_PULL, Math.min(MOST_PULL, force)));
    if (newtons !== run.push) act("drag", newtons);
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    view.dragging = event.pointerId;
    pull(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (view.dragging === event.pointerId) pull(event);
  });
  const release = (event) => {
    if (view.dragging !== event.pointerId) return;
    view.dragging = null;
    act("drag", 0);
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("keydown", (event) => {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.altKey || event.metaKey || !Object.hasOwn(KEYS, key)) return;
    event.preventDefault();
    event.stopPropagation();
    KEYS[key](); // may put a new canvas in the place of this one
    if (!canvas.isConnected) cards[Math.min(number, cards.length - 1)].canvas.focus();
  });
}

function listenToControls() {
  const clicks = {
    play: () => play(!view.playing), step: singleStep, restart: () => restart(), shuffle, share: copyLink,
    "push-left": () => push(-1), "push-right": () => push(1),
    "noise-less": () => addNoise(-1), "noise-more": () => addNoise(1),
    "copies-less": () => addCopies(-1), "copies-more": () => addCopies(1),
    "new-seed": () => restart({ seed: Math.floor(Math.random() * 100000) }),
  };
  for (const [id, click] of Object.entries(clicks)) $(id).addEventListener("click", click);
  const changes = {
    every: (control) => act("every", Number(control.value)),
    divide: (control) => act("divide", control.checked),
    speed: (control) => { view.speed = Number(control.value); },
    watched: (control) => { view.watched = Number(control.value); refresh(); },
    model: (control) => restart({ model: Number(control.value) }),
    rival: (control) => restart({ rival: control.value === "" ? null : Number(control.value) }),
    version: (control) => restart({ version: control.value }),
    shuffled: (control) => restart({ shuffle: control.checked }),
    seed: (control) => restart(readAddress(`seed=${control.value}`)[0]),
  };
  for (const [id, change] of Object.entries(changes)) $(id).addEventListener("change", (event) => change(event.target));
  // Arrow keys push from anywhere but a control that has its own use for them.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select")) return;
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  addEventListener("hashchange", openAddress);
  new ResizeObserver(() => draw()).observe(document.body);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    view.theme = readTheme();
    draw();
  });
}

// Mean ms of a step and a whole drawing, over so many.
function measure(frames) {
  const started = performance.now();
  for (let i = 0; i < frames; i++) {
    if (run.over) restart();
    run.step();
    draw();
  }
  return (performance.now() - started) / frames;
}

fill($("model"), page.models.map((model, i) => [i, model.name]), 0);
$("rival").closest("label").hidden = page.models.length < 2;
openAddress();
listenToControls();
window.pisensory = {
  page, view, restart, act, play, step: singleStep, measure, readAddress, Run, CartPole, Contender,
  get run() { return run; },
};
if (still.matches) say("Paused, because your system asks for less motion.");
else play(true);
