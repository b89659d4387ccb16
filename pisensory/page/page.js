// The page itself: what buttons, keys and pointers do, the clock, the address, and what is said aloud.

const STEPS_A_SECOND = 50;
const PUSH = 10; // N, of a button or an arrow key
const PULL = 15, MOST_PULL = 30; // N per m of drag, and N
const PULL_STEP = 2; // N; finer changes of a pull are not worth a record
const LONGEST_ADDRESS = 8000; // characters; programs that pass links on cut longer ones off
const ADDRESS_PAUSE = 400; // ms; browsers refuse to change the address much more often
const LONGEST_SKIP = 2000; // steps
// How long steps may take before something is drawn: ms, and where frames are slow anyway a share of one. A machine too
// slow for the speed falls behind instead of freezing.
const FRAME_BUDGET = 12, FRAME_SHARE = 0.5;
const STARTS = 100; // from which a claim is measured
const $ = (id) => document.getElementById(id);

for (const model of page.models) {
  for (const layer of model.weights) {
    const bytes = Uint8Array.from(atob(layer.data), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    layer.data = Float64Array.from({ length: layer.rows * layer.columns }, (_, i) => view.getFloat32(4 * i, true));
  }
}
$("layout").hidden = false;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const view = {
  playing: false, speed: 1, watched: 0, theme: readTheme(), last: 0, debt: 0, frames: 0, dragging: null, spoken: 0,
  wires: { order: [], from: new Map(), since: -CROSSING, stale: true },
  away: new Set(), // canvases that are not on screen
  written: -ADDRESS_PAUSE, writing: null,
};
let run = null;

// ---- Runs

// Begin a run: `changes` to the settings as they are now, and what is to be done when.
function restart(changes = {}, script = []) {
  const settings = { ...(run ? presentSettings(run) : page.settings), ...changes };
  if (settings.rival === settings.model) settings.rival = null;
  run = new Run(page, settings, script);
  run.runUntil(settings.skip);
  view.watched = Math.min(view.watched, run.contenders.length - 1);
  view.debt = 0;
  $("seed").value = settings.seed;
  nameCards();
  refresh();
  writeAddress();
}

// The same run once more, with everything that was done to it.
function replay() {
  const { settings, record, script } = run;
  restart(settings, [...record, ...script]);
  say("The same run once more.");
}

// Do something to the run, show it, and say it.
function act(name, value = 0) {
  if (!run.act(name, value)) return false;
  tellAct(name, value);
  refresh();
  writeAddress();
  return true;
}

const TOLD = {
  shuffle: () => `Shuffled. The places now hear ${listOrder()}.`,
  noise: () => `${run.inputs.nNoise} noise inputs, ${run.inputs.order.length} inputs in all.`,
  copies: () => `${run.inputs.nCopies} of each input, ${run.inputs.order.length} inputs in all.`,
  push: (value) => `Pushed ${value < 0 ? "left" : "right"}.`,
  plug(source) {
    const { name } = describe(source);
    return run.inputs.unplugged.has(source) ? `Unplugged ${name}: it reads 0.` : `Plugged ${name} back in.`;
  },
};

function tellAct(name, value) {
  if (Object.hasOwn(TOLD, name)) say(TOLD[name](value));
}

function listOrder() {
  const names = run.inputs.order.map((source) => describe(source).name);
  return names.length > 10 ? `${names.slice(0, 10).join(", ")} and ${names.length - 10} more` : names.join(", ");
}

// ---- The clock

function play(playing) {
  if (playing === view.playing) return;
  view.playing = playing;
  view.last = performance.now();
  view.debt = 0;
  if (playing) requestAnimationFrame(frame);
  refresh();
}

function frame(now) {
  if (!view.playing) return;
  const passed = Math.min(250, Math.max(0, now - view.last));
  view.debt += (passed * view.speed * STEPS_A_SECOND) / 1000;
  view.last = now;
  const until = performance.now() + Math.max(FRAME_BUDGET, FRAME_SHARE * passed);
  while (view.debt >= 1) {
    step();
    view.debt -= 1;
    if (performance.now() > until) view.debt = Math.min(view.debt, 1);
  }
  draw(view.frames++ % 2);
  if (view.playing) requestAnimationFrame(frame);
}

function step() {
  const { order } = run.inputs, done = run.record.length;
  const before = run.contenders.map(({ losses, again }) => ({ losses, again }));
  run.step();
  if (run.inputs.order !== order || run.record.length !== done) refresh(false);
  for (const [, name, value] of run.record.slice(done)) tellAct(name, value);
  run.contenders.forEach((contender, i) => {
    if (contender.losses > before[i].losses) say(`${title(i)} left the track at step ${contender.steps}.`);
    if (contender.again !== null && before[i].again === null) say(`${title(i)}: ${recovery(contender)}.`);
  });
}

function singleStep() {
  play(false);
  step();
  refresh();
}

// ---- Showing

const KINDS = { invariant: "Invariant", mlp: "Plain", linear: "Linear" };

// What a contender is called: by its kind, or by its name where both are of one kind.
function title(number) {
  const models = run.contenders.map((contender) => contender.model);
  const alike = models.length > 1 && models[0].kind === models[1].kind;
  return alike ? models[number].name : KINDS[models[number].kind];
}

// The elements a contender is shown in; there are always two, of which the second may be hidden.
function makeCard(number) {
  const make = (kind, parent, style) => {
    const element = parent.appendChild(document.createElement(kind));
    if (style) element.className = style;
    return element;
  };
  const figure = make("figure", $("stages"));
  const caption = make("figcaption", figure), names = make("div", caption);
  const card = { figure, title: make("b", names), name: null, doing: make("span", caption, "doing") };
  names.append(" ");
  card.name = make("small", names);
  card.canvas = make("canvas", figure, "stage");
  card.canvas.tabIndex = 0;
  card.canvas.setAttribute("role", "application");
  card.canvas.setAttribute("aria-describedby", "keys");
  card.heights = make("canvas", figure, "height");
  card.heights.setAttribute("aria-hidden", "true");
  card.scores = make("div", figure, "scores");
  listen(card.canvas, number);
  return card;
}

function nameCards() {
  cards.forEach((card, i) => {
    card.figure.hidden = i >= run.contenders.length;
    if (card.figure.hidden) return;
    put(card.title, title(i));
    put(card.name, run.contenders[i].model.name === title(i) ? "" : run.contenders[i].model.name);
  });
  const models = page.models.map((model, i) => [i, model.name]);
  fill($("model"), models);
  fill($("rival"), [["", "nobody"], ...models.filter(([i]) => i !== run.settings.model)]);
  fill($("watched"), run.contenders.map((_, i) => [i, title(i)]));
  $("watched-label").hidden = run.contenders.length < 2;
  $("layout").classList.toggle("side", run.contenders.length > 1);
}

// Give a select these choices, unless it has them: whoever has it open would lose their place.
function fill(select, choices) {
  const now = [...select.options].map((option) => [option.value, option.text].join());
  if (now.join("\n") === choices.map(([value, text]) => [value, text].join()).join("\n")) return;
  select.replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
}

// Bring everything but the drawing into line with the run; and the drawing too, unless told not to.
function refresh(drawn = true) {
  const { inputs, settings } = run;
  put($("play"), view.playing ? "Pause" : "Play");
  $("step").disabled = view.playing;
  put($("noise-count"), inputs.nNoise);
  put($("copies-count"), inputs.nCopies);
  $("noise-less").disabled = inputs.nNoise === 0;
  $("noise-more").disabled = inputs.nNoise === MAX_NOISE;
  $("copies-less").disabled = inputs.nCopies === 1;
  $("copies-more").disabled = inputs.nCopies === MAX_COPIES;
  choose($("every"), run.every, `every ${run.every} steps`);
  choose($("version"), settings.version);
  choose($("model"), settings.model);
  choose($("rival"), settings.rival ?? "");
  choose($("watched"), view.watched);
  for (const [id, on] of [["divide", run.divide], ["shuffled", settings.shuffle], ["skip", settings.skip > 0]]) {
    if ($(id).checked !== on) $(id).checked = on;
  }
  showPlaces();
  explainMind();
  view.wires.stale = true;
  if (drawn) draw();
}

// Set a select; to something that is not among its options yet only with a text for it.
function choose(select, value, text) {
  if (select.value === String(value)) return;
  if (text && ![...select.options].some((option) => option.value === String(value))) select.add(new Option(text, value));
  select.value = String(value);
}

// One row a place, made anew only where something changed, so that the focus stays where it is.
function showPlaces() {
  const { order, unplugged } = run.inputs;
  const heard = run.contenders[view.watched].network.capacity;
  const list = $("places");
  document.querySelector(".rows").classList.toggle("many", order.length > 9);
  while (list.children.length > order.length) list.lastChild.remove();
  while (list.children.length < order.length) list.append(makePlace(list.children.length));
  order.forEach((source, place) => {
    const row = list.children[place], look = describe(source), out = unplugged.has(source);
    const [number, swatch, name, , button] = row.children;
    const deaf = place >= heard;
    put(number, place + 1);
    swatch.style.setProperty("--colour", `var(${look.colour})`);
    put(name, look.name);
    row.title = deaf ? "This network has no such place: it does not hear this input." : look.spoken;
    row.className = [out && "unplugged", deaf && "deaf"].filter(Boolean).join(" ");
    put(button, out ? "plug in" : "unplug");
    describeTo(button, `${out ? "plug in" : "unplug"} ${look.spoken}, place ${place + 1}`);
  });
}

function makePlace(place) {
  const row = document.createElement("li");
  row.innerHTML = '<span class="number"></span><i></i><span class="name"></span><span class="trace"></span>'
    + '<button type="button"></button>';
  row.lastChild.addEventListener("click", () => act("plug", run.inputs.order[place]));
  return row;
}

// Draw what is on screen; of the two pictures of what goes on inside only one, if so told.
function draw(inside = null) {
  const { theme, away } = view, watched = run.contenders[view.watched];
  drawCrossing();
  run.contenders.forEach((contender, i) => {
    if (!away.has(cards[i].canvas)) drawStage(cards[i].canvas, contender, run.push, theme);
    if (!away.has(cards[i].heights)) drawHeights(cards[i].heights, contender, run.marks, theme);
    showScores(cards[i], contender);
  });
  showTally();
  if (inside !== 0 && !away.has($("traces"))) drawTraces($("traces"), watched, run.marks, measureRows(), theme);
  if (inside !== 1 && !away.has($("mind"))) drawMind($("mind"), watched, run.inputs, theme);
  const now = performance.now();
  if (!view.playing || now - view.spoken > 2000) {
    view.spoken = now;
    describeAloud();
  }
}

// Where the rows of the places are.
function measureRows() {
  const row = $("places").firstElementChild, box = document.querySelector(".rows"), trace = row.children[3];
  const left = trace.offsetLeft - row.offsetLeft;
  return {
    visible: box.clientHeight, scrolled: box.scrollTop, height: row.getBoundingClientRect().height,
    left: left + 4, right: left + trace.offsetWidth - 6,
  };
}

// Draw the wires if there is anything new to see; while some cross over there is, in every frame.
function drawCrossing() {
  const { wires, theme } = view, { order } = run.inputs;
  if (wires.order !== order) {
    const from = new Map(wires.order.map((source) => [source, wirePlace(source)]));
    Object.assign(wires, { order, from: from.size === order.length ? from : new Map(), since: performance.now() });
    wires.stale = true;
  }
  if (!wires.stale || view.away.has($("wires"))) return;
  wires.stale = crossed() < 1;
  drawWires($("wires"), run.inputs, wirePlace, theme);
  describeTo($("wires"), `Wires to ${order.length} places. In their order they hear ${listOrder()}.`);
  if (wires.stale && !view.playing) requestAnimationFrame(drawCrossing);
}

// How much of the way wires that cross over have gone.
function crossed() {
  return still.matches ? 1 : Math.min(1, (performance.now() - view.wires.since) / CROSSING);
}

// The place at which a source's wire is drawn to end now.
function wirePlace(source) {
  const { order, from } = view.wires;
  const place = order.indexOf(source), share = crossed();
  const start = from.get(source) ?? place;
  return start + (place - start) * share * share * (3 - 2 * share);
}

function showScores(card, contender) {
  const [how, text] = doing(contender);
  put(card.doing, text);
  if (card.doing.dataset.how !== how) card.doing.dataset.how = how;
  const number = (value) => (value < 0 ? "−" : "") + Math.abs(value).toFixed(1);
  const lost = contender.losses ? `, left the track ${times(contender.losses)}` : "";
  put(card.scores, `step ${contender.steps}: score ${number(contender.score)}, last 1000 steps `
    + `${number(contender.recentScore)}${lost}`);
}

function times(count) {
  return count === 1 ? "once" : count === 2 ? "twice" : `${count} times`;
}

// What a contender is doing, as [how, in words].
function recovery(contender) {
  return contender.again ? `upright again after ${contender.again} steps` : "kept it up";
}

function doing(contender) {
  const { world, upright, streak, steps, triedAt, lost } = contender;
  if (world.over) return ["off", "left the track"];
  if (!upright) return contender.sinking ? ["down", "falling"] : ["off", "swinging it up"];
  if (triedAt === null || lost) return ["up", "holding it up"];
  if (contender.again === null) return ["up", streak < steps - triedAt ? "up again, holding…" : "holding it up"];
  return ["up", recovery(contender)];
}

// How many shuffles each contender recovered from.
function showTally() {
  const [what, ...counts] = $("tally").children;
  put(what, run.tries ? "Upright again:" : "Press Shuffle, and watch the poles.");
  counts.forEach((element, i) => {
    const contender = run.tries ? run.contenders[i] : undefined;
    put(element, contender ? `${title(i).toLowerCase()} ${contender.recoveries.length} of ${run.tries}` : "");
  });
}

// Change a text only where it differs: some are read aloud whenever they are written.
function put(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

function describeTo(element, text) {
  if (element.getAttribute("aria-label") !== text) element.setAttribute("aria-label", text);
}

// What the pictures show, in words, for those who do not see them.
function describeAloud() {
  run.contenders.forEach((contender, i) => {
    const [x, , theta] = contender.world.state;
    const angle = Math.round((Math.abs(Math.atan2(Math.sin(theta), Math.cos(theta))) * 180) / Math.PI);
    const words = `cart at ${x.toFixed(1)} metres, pole ${angle} degrees from upright`;
    describeTo(cards[i].canvas, `${contender.model.name}: ${words}`);
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
  describeTo($("mind"), `${what} for each place: ${list.join(", ")}`);
  describeTo($("traces"), `Traces of ${order.length} inputs, by place: ${listOrder()}`);
}

// What the rows and colours of the heat map mean for the network that is shown.
function explainMind() {
  const invariant = run.contenders[view.watched].model.kind === "invariant";
  put($("mind-note"), invariant
    ? "Attention of each embedding (row) to each input (column), and the latent code they add up to."
    : "A plain network has no attention: these are its first weights, one column for each place, and they never move."
      + " The code is its first layer.");
  put($("low"), invariant ? "−1" : "−max");
  put($("high"), invariant ? "+1" : "+max");
}

function say(message) {
  put($("status"), message);
}

// ---- Scenarios: what can be tried with one click, and what it was measured to come to

// The models a scenario is for: those its claims were measured with, or, where they are not here, the first two.
function chosenModels() {
  const [model, rival] = page.claims ? page.claims.models : [page.settings.model, page.settings.rival];
  return { model, rival };
}

function playScenario(scenario) {
  const claim = page.claims?.outcomes[scenario.id];
  const seed = claim ? claim.seed : page.settings.seed;
  restart({ ...page.settings, ...scenario.settings, ...chosenModels(), seed }, scenario.script);
  say(`${scenario.title}: in a moment.`);
  document.querySelector(".theatre").scrollIntoView({ behavior: still.matches ? "auto" : "smooth" });
  play(true);
}

function showScenarios() {
  const { claims } = page;
  put($("try-note"), claims
    ? `The bars are counts, measured from ${claims.starts} starts each: tries after which the pole was up for ${HOLD} `
      + "steps on end without leaving the track. You can have them counted again, here and now."
    : `Nothing has been measured with these agents; you can have it counted here, from ${STARTS} starts each.`);
  for (const scenario of page.scenarios) $("scenarios").append(makeScenario(scenario, claims?.outcomes[scenario.id]));
}

function makeScenario(scenario, claim) {
  const item = document.createElement("li");
  item.innerHTML = '<div><button type="button" class="play"></button>'
    + '<button type="button" class="check-it">Count it</button></div><p></p><div class="claim"></div>';
  const [buttons, text, counts] = item.children, [button, check] = buttons.children;
  put(button, scenario.title);
  describeTo(check, `Count it here: ${scenario.title}`);
  put(text, scenario.text);
  if (claim) showCounts(counts, scenario.asks, claim.tries, claim.recoveries);
  button.addEventListener("click", () => playScenario(scenario));
  check.addEventListener("click", () => countHere(scenario, counts, check));
  return item;
}

function showCounts(box, asks, tries, recoveries) {
  const { model, rival } = chosenModels();
  const models = [model, rival].filter((number) => number !== null).map((number) => page.models[number]);
  const alike = models.length > 1 && models[0].kind === models[1].kind;
  box.replaceChildren();
  const add = (kind, text) => put(box.appendChild(document.createElement(kind)), text);
  add("b", `${asks}:`);
  models.forEach((each, i) => {
    add("span", alike ? each.name : KINDS[each.kind].toLowerCase());
    add("i", "");
    box.lastChild.style.setProperty("--share", `${(100 * recoveries[i]) / tries}%`);
    add("span", `${recoveries[i]} of ${tries}`);
  });
}

// Count what a scenario comes to from the first seeds, a few at a time, so that the page goes on.
async function countHere(scenario, box, button) {
  button.disabled = true;
  let tries = 0;
  const recoveries = [0, 0];
  for (let seed = 1; seed <= STARTS; seed++) {
    const found = outcome(page, scenario, chosenModels(), seed);
    tries += found.tries;
    found.recoveries.forEach((list, i) => { recoveries[i] += list.length; });
    showCounts(box, `${scenario.asks}, counted here`, tries, recoveries);
    await new Promise((done) => setTimeout(done));
  }
  button.disabled = false;
}

// ---- The address: #seed=1&version=v1&...&do=120.shuffle.0~180.noise.1

// The address of this run, and whether all that was done fits into it.
function address() {
  const { settings, record, script } = run;
  const values = new URLSearchParams({
    seed: settings.seed, version: settings.version, model: settings.model, rival: settings.rival ?? "",
    noise: settings.noise, std: settings.noise_std, copies: settings.copies, every: settings.every,
    shuffle: Number(settings.shuffle), divide: Number(settings.divide), skip: settings.skip,
  });
  if (settings.unplugged.length) values.set("unplug", settings.unplugged.join("~"));
  const short = `#${values}`;
  const done = [...record, ...script].map((item) => item.join("."));
  if (done.length) values.set("do", done.join("~"));
  const whole = `#${values}`;
  return whole.length <= LONGEST_ADDRESS ? { text: whole, complete: true } : { text: short, complete: false };
}

// Write the address, now or as soon as the browser takes it well.
function writeAddress() {
  clearTimeout(view.writing);
  const pause = view.written + ADDRESS_PAUSE - performance.now();
  if (pause > 0) {
    view.writing = setTimeout(writeAddress, pause);
    return;
  }
  view.written = performance.now();
  const { text, complete } = address();
  history.replaceState(null, "", text);
  put($("share"), complete ? "Copy link" : "Too long for a link");
}

const WHOLE = {
  seed: ["seed", 0, 4294967295], model: ["model", 0, page.models.length - 1], rival: ["rival", 0, page.models.length - 1],
  noise: ["noise", 0, MAX_NOISE], copies: ["copies", 1, MAX_COPIES], every: ["every", 0, 1e6],
  skip: ["skip", 0, LONGEST_SKIP],
};

// What an address asks for, as [settings, script]; anything it lacks or that makes no sense is left as the page's own.
function readAddress(text) {
  const values = new URLSearchParams(text.slice(0, 2 * LONGEST_ADDRESS).replace(/^#/, ""));
  const settings = {};
  for (const [name, [key, least, most]] of Object.entries(WHOLE)) {
    const value = Number(values.get(name) || NaN);
    if (Number.isInteger(value) && value >= least && value <= most) settings[key] = value;
  }
  if (values.get("rival") === "") settings.rival = null;
  const deviation = Number(values.get("std") || NaN);
  if (deviation >= 0 && deviation < 1e6) settings.noise_std = deviation;
  for (const name of ["shuffle", "divide"]) if (values.has(name)) settings[name] = values.get(name) === "1";
  if (["v1", "v0", "harder"].includes(values.get("version"))) settings.version = values.get("version");
  if (values.has("unplug")) settings.unplugged = values.get("unplug").split("~").map(Number);
  const script = (values.get("do") || "").split("~").flatMap((item) => {
    const match = /^(\d{1,9})\.([a-z]+)\.(-?\d{1,7})$/.exec(item);
    return match && Object.hasOwn(ACTS, match[2]) ? [[Number(match[1]), match[2], Number(match[3])]] : [];
  });
  return [settings, script];
}

function openAddress(text) {
  const [settings, script] = readAddress(text);
  run = null;
  restart(settings, script);
}

async function copyLink() {
  if (!address().complete) {
    say("Too much was done in this run for a link. Restart, and a link holds what you do from there.");
    return;
  }
  view.written = -ADDRESS_PAUSE;
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
  ArrowLeft: () => act("push", -PUSH),
  ArrowRight: () => act("push", PUSH),
  " ": () => play(!view.playing),
  ".": singleStep,
  s: () => act("shuffle"),
  r: () => restart(),
};

function listen(canvas, number) {
  const pull = (event) => {
    const box = canvas.getBoundingClientRect();
    const metres = (event.clientX - box.left - box.width / 2) / stageScale(box.width, page.physics);
    const force = PULL * (metres - run.contenders[number].world.state[0]);
    const newtons = PULL_STEP * Math.round(Math.max(-MOST_PULL, Math.min(MOST_PULL, force)) / PULL_STEP);
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
    KEYS[key]();
  });
}

function changeSeed(control) {
  const [{ seed }] = readAddress(`seed=${control.value}`);
  if (seed !== undefined) return restart({ seed });
  control.value = run.settings.seed;
  say("A seed is a whole number from 0 to 4294967295.");
}

function listenToControls() {
  const clicks = {
    play: () => play(!view.playing), step: singleStep, restart: () => restart(), replay, share: copyLink,
    shuffle: () => act("shuffle"), "push-left": () => act("push", -PUSH), "push-right": () => act("push", PUSH),
    "noise-less": () => act("noise", -1), "noise-more": () => act("noise", 1),
    "copies-less": () => act("copies", -1), "copies-more": () => act("copies", 1),
    "new-seed": () => restart({ seed: Math.floor(Math.random() * 100000) }),
  };
  for (const [id, click] of Object.entries(clicks)) $(id).addEventListener("click", click);
  const changes = {
    every: (control) => act("every", Number(control.value)),
    divide: (control) => act("divide", Number(control.checked)),
    speed: (control) => { view.speed = Number(control.value); },
    watched: (control) => { view.watched = Number(control.value); refresh(); },
    model: (control) => restart({ model: Number(control.value) }),
    rival: (control) => restart({ rival: control.value === "" ? null : Number(control.value) }),
    version: (control) => restart({ version: control.value }),
    skip: (control) => restart({ skip: control.checked ? page.settings.skip : 0 }),
    shuffled: (control) => restart({ shuffle: control.checked }),
    seed: changeSeed,
  };
  for (const [id, change] of Object.entries(changes)) $(id).addEventListener("change", (event) => change(event.target));
  // Arrow keys push from anywhere but a control that has its own use for them.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select")) return;
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  // What was asked for: by the time that it is heard, the address of the run before may have been written over it.
  addEventListener("hashchange", ({ newURL }) => openAddress(new URL(newURL).hash));
  listenToWindow();
}

function listenToWindow() {
  const anew = () => {
    view.theme = readTheme();
    view.wires.stale = true;
    draw();
  };
  new ResizeObserver(anew).observe(document.body);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", anew);
  document.querySelector(".rows").addEventListener("scroll", () => draw());
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) view.away[isIntersecting ? "delete" : "add"](target);
    view.wires.stale = true;
    draw();
  });
  for (const canvas of document.querySelectorAll("canvas")) watcher.observe(canvas);
}

// Mean ms of a step and a whole drawing, over so many.
function measure(frames) {
  const started = performance.now();
  for (let i = 0; i < frames; i++) {
    run.step();
    draw();
  }
  return (performance.now() - started) / frames;
}

const cards = [makeCard(0), makeCard(1)];
$("rival").closest("label").hidden = page.models.length < 2;
showScenarios();
openAddress(location.hash);
listenToControls();
window.pisensory = {
  page, view, restart, act, play, step: singleStep, measure, address, readAddress, outcome, Run, CartPole, Contender, tanh,
  get run() { return run; },
};
if (still.matches) say("Paused, because your system asks for less motion.");
else play(true);
