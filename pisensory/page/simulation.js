// The real thing, without a screen: random numbers, cart-pole, networks, inputs, runs, and what scenarios come to.
// Equations and sources: pisensory/tasks/cartpole.py, layers/, policies/. Weights come folded, as there; what
// is computed with them is in double precision.

const TRACE_LENGTH = 240; // steps of each input that are kept for its trace
const HISTORY = 500; // steps of the pole's height that are kept
const SCORE_WINDOW = 1000; // steps
const HOLD = 150; // steps on end that the pole must be up to count as held
const BACK_AFTER = 50; // steps after which an agent that left the track starts anew
const MOST_MARKS = 200; // shuffles whose steps are remembered
const N_SOURCES = 5; // x, x_dot, cos(theta), sin(theta), theta_dot
const FIRST_NOISE = 100; // a source is 5 copy + number, or FIRST_NOISE + number
const NOTHING = 255; // no source: a place that did not exist yet
const START = 0, SHUFFLE = 1, NOISE = 2; // what random numbers are for, each with a stream of its own

// Random numbers in [0, 1): sfc32 (Doty-Humphrey), seeded through the finalizer of MurmurHash3.
class Random {
  constructor(seed, purpose) {
    let mixed = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(purpose + 1, 0x85ebca6b)) >>> 0;
    const next = () => {
      mixed = (mixed + 0x9e3779b9) >>> 0;
      let word = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
      word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
      return (word ^ (word >>> 16)) >>> 0;
    };
    this.words = new Uint32Array([next(), next(), next(), next()]);
  }

  uniform() {
    const words = this.words;
    const sum = (words[0] + words[1] + words[3]) >>> 0;
    words[3] += 1;
    words[0] = words[1] ^ (words[1] >>> 9);
    words[1] = words[2] + (words[2] << 3);
    words[2] = ((words[2] << 21) | (words[2] >>> 11)) + sum;
    return sum / 4294967296;
  }

  // Standard normal, by Box and Muller (1958).
  normal() {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  // A permutation of `values`, by Fisher and Yates.
  permutation(values) {
    const order = values.slice();
    for (let last = order.length - 1; last > 0; last--) {
      const other = Math.floor(this.uniform() * (last + 1));
      [order[last], order[other]] = [order[other], order[last]];
    }
    return order;
  }
}

// The state (x, x_dot, theta, theta_dot) an episode starts in: m, m/s, rad, rad/s.
function initialState(version, random, physics) {
  if (version === "harder") {
    const spread = [physics.track_limit, 10, 0.5 * Math.PI, 10];
    return spread.map((width, i) => (i === 2 ? Math.PI : 0) + width * (2 * random.uniform() - 1));
  }
  return [0, 0, Math.PI, 0].map((middle) => middle + 0.2 * random.normal());
}

class CartPole {
  constructor(version, state, physics) {
    this.version = version;
    this.physics = physics;
    this.state = Float64Array.from(state);
    this.over = false;
  }

  observe(out) {
    const [x, xDot, theta, thetaDot] = this.state;
    out[0] = x;
    out[1] = xDot;
    out[2] = Math.cos(theta);
    out[3] = Math.sin(theta);
    out[4] = thetaDot;
  }

  // One explicit Euler step under the action in [-1, 1] and a push in N; returns the reward.
  step(action, push) {
    const { gravity, cart_mass, pole_mass, pole_length, friction, max_force, time_step, track_limit } = this.physics;
    const state = this.state;
    const [, xDot, theta, thetaDot] = state;
    const sine = Math.sin(theta), cosine = Math.cos(theta);
    const mass = cart_mass + pole_mass;
    const force = max_force * action - friction * xDot + push;
    const spin = pole_mass * pole_length * thetaDot * thetaDot;
    const inertia = 4 * mass - 3 * pole_mass * cosine * cosine;
    const weight = 3 * pole_mass * gravity * cosine;
    state[0] += time_step * xDot;
    state[2] += time_step * thetaDot;
    state[1] += time_step * ((4 * force + sine * (weight - 2 * spin)) / inertia);
    const pull = 6 * force * cosine + sine * (6 * mass * gravity - 3 * spin * cosine);
    state[3] += time_step * (pull / (pole_length * inertia));
    this.over = Math.abs(state[0]) > track_limit;
    return this.reward();
  }

  reward() {
    const cosine = Math.cos(this.state[2]);
    if (this.version === "v0") return cosine;
    if (this.version === "v1") return 0.5 * (1 + cosine);
    return 0.5 * (cosine + 1) * Math.cos((0.5 * Math.PI / this.physics.track_limit) * this.state[0]);
  }
}

// tanh, up to 7 as a quotient of polynomials in the square that agrees with it to the last bits: it interpolates tanh(x) / x
// at the Chebyshev nodes. Math.tanh takes several times as long, and most of a network's time.
function tanh(x) {
  const s = x * x;
  if (s > 49) return Math.sign(x) * (1 - 2 / (Math.exp(2 * Math.abs(x)) + 1));
  const above = 1 + s * (0.1488850980723716 + s * (0.005540426880849014 + s * (7.749339839339505e-5
    + s * (4.5890593268232775e-7 + s * (1.1190059313401278e-9 + s * (9.078597894314393e-13 + s * 1.0764861732365913e-16))))));
  const below = 1 + s * (0.4822184314057048 + s * (0.03294657068275092 + s * (0.0007321467401367484
    + s * (6.629966399241568e-6 + s * (2.5508796154438056e-8 + s * (3.7517995158378724e-11 + s * 1.4176641964088975e-14))))));
  return (x * above) / below;
}

// out[row] = tanh(weights (row, column) . values (column) + bias), the bias in the last column.
function denseLayer(layer, values, out) {
  const { rows, columns, data } = layer;
  for (let row = 0; row < rows; row++) {
    const start = row * columns, last = columns - 1;
    let sum = data[start + last];
    for (let column = 0; column < last; column++) sum += data[start + column] * values[column];
    out[row] = tanh(sum);
  }
}

// A network that reads a fixed number of places: those it knows, in their order. Missing ones read 0.
class PerceptronRun {
  constructor(model) {
    this.layers = model.weights;
    this.values = [new Float64Array(model.n_features), ...this.layers.map((layer) => new Float64Array(layer.rows))];
    const { rows, columns, data } = this.layers[0];
    const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-12);
    // What stands in for attention: the fixed weights of the first layer, (row, place), largest one.
    this.matrix = (row, place) => (place < columns - 1 ? data[row * columns + place] / largest : 0);
    this.rows = rows;
    this.capacity = model.n_features; // places it hears
    this.latent = this.values[1];
  }

  act(observation, n) {
    const inputs = this.values[0];
    for (let place = 0; place < inputs.length; place++) inputs[place] = place < n ? observation[place] : 0;
    this.layers.forEach((layer, i) => denseLayer(layer, this.values[i], this.values[i + 1]));
    return this.values[this.values.length - 1][0];
  }

  addPlace() {} // a fixed number of places: there is nothing to add or take away
  removePlace() {}
  reset() {} // and nothing it remembers
}

// A layer with its rows in fours: the first column of four rows, the second column of them, ... Missing rows are 0.
function inFours({ rows, columns, data }) {
  const whole = 4 * Math.ceil(rows / 4), fours = new Float64Array(whole * columns);
  data.forEach((weight, at) => {
    const row = Math.floor(at / columns), among = row % 4;
    fours[(row - among) * columns + 4 * (at % columns) + among] = weight;
  });
  return { rows: whole, columns, data: fours };
}

// out (place, row) = tanh(weights (row, column) . heard (place, column)), for a layer in fours and what `heard` has from
// column `start` on. Eight sums are taken side by side, of four rows and two places: a processor adds to several at once,
// but to one only in turn. With an odd number of places, the next one is summed too; there is room for it.
function tanhLayer({ rows, columns, data }, heard, start, n, out) {
  const width = start + columns;
  for (let place = 0; place < n; place += 2) {
    const first = place * width + start;
    for (let row = 0, at = 0; row < rows; row += 4) {
      let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
      for (let i = first; i < first + columns; i++, at += 4) {
        const one = heard[i], other = heard[i + width];
        const p = data[at], q = data[at + 1], r = data[at + 2], s = data[at + 3];
        a += p * one; b += q * one; c += r * one; d += s * one;
        e += p * other; f += q * other; g += r * other; h += s * other;
      }
      const to = place * rows + row, next = to + rows;
      out[to] = a; out[to + 1] = b; out[to + 2] = c; out[to + 3] = d;
      out[next] = e; out[next + 1] = f; out[next + 2] = g; out[next + 3] = h;
    }
  }
  for (let i = 0; i < n * rows; i++) out[i] = tanh(out[i]);
}

// The AttentionNeuron network: every place runs the same LSTM, a state of its own in `heard` and `cell`.
// Its folded weights are those of pisensory/layers; the hidden state is kept doubled, as there.
class InvariantRun {
  constructor(model) {
    const [lstm, attend, ...head] = model.weights;
    [this.lstm, this.attend, this.head] = [inFours(lstm), inFours(attend), head];
    this.size = model.hidden_size;
    this.rows = model.n_embeddings;
    this.gain = model.gain;
    this.divisor = 1; // of the sum over places
    const capacity = N_SOURCES * MAX_COPIES + MAX_NOISE;
    this.capacity = capacity;
    this.n = 0;
    this.width = 3 + this.size; // of what a place hears: observation, previous action, one, doubled hidden state
    this.stride = this.attend.rows;
    this.heard = new Float64Array((capacity + 1) * this.width);
    this.gates = new Float64Array((capacity + 1) * this.lstm.rows); // of each place: input, forget, output, cell
    this.cell = new Float64Array(capacity * this.size);
    this.attention = new Float64Array((capacity + 1) * this.stride); // (place, embedding)
    this.layers = [new Float64Array(this.rows), ...this.head.map((layer) => new Float64Array(layer.rows))];
    this.latent = this.layers[0];
    this.previous = 0;
    this.matrix = (row, place) => this.attention[place * this.stride + row];
  }

  // What is remembered of places, each with its width.
  get memories() {
    return [[this.heard, this.width], [this.cell, this.size], [this.attention, this.stride]];
  }

  addPlace() {
    const at = this.n++;
    for (const [array, width] of this.memories) array.fill(0, at * width, this.n * width);
  }

  removePlace(place) {
    for (const [array, width] of this.memories) array.copyWithin(place * width, (place + 1) * width, this.n * width);
    this.n--;
  }

  // Forget everything, as at the start of an episode.
  reset() {
    for (const array of [this.heard, this.cell, this.attention, this.latent]) array.fill(0);
    this.previous = 0;
  }

  act(observation, n) {
    const { lstm, attend, heard, width, previous } = this;
    for (let place = 0; place < n; place++) {
      heard[place * width] = observation[place];
      heard[place * width + 1] = previous;
      heard[place * width + 2] = 1;
    }
    tanhLayer(lstm, heard, 0, n, this.gates);
    for (let place = 0; place < n; place++) this.remember(place);
    tanhLayer(attend, heard, 2, n, this.attention); // its columns: one, doubled hidden state
    this.sumMessages(observation, n);
    this.head.forEach((layer, i) => denseLayer(layer, this.layers[i], this.layers[i + 1]));
    this.previous = this.layers[this.layers.length - 1][0];
    return this.previous;
  }

  remember(place) {
    const { size, gates, heard, cell } = this;
    const gate = place * 4 * size, state = place * size, hidden = place * this.width + 3;
    for (let i = 0; i < size; i++) {
      const entry = gates[gate + i] + 1, forget = gates[gate + size + i] + 1;
      const output = gates[gate + 2 * size + i] + 1;
      cell[state + i] = 0.5 * (forget * cell[state + i] + entry * gates[gate + 3 * size + i]);
      heard[hidden + i] = output * tanh(cell[state + i]);
    }
  }

  sumMessages(observation, n) {
    for (let row = 0; row < this.rows; row++) {
      let sum = 0;
      for (let place = 0; place < n; place++) sum += this.attention[place * this.stride + row] * observation[place];
      this.latent[row] = tanh((this.gain / this.divisor) * sum);
    }
  }
}

// What stands between the cart-pole and the networks: copies, noise, order, plugs. All agents share one.
class Inputs {
  constructor(settings) {
    this.settings = settings;
    this.shuffler = new Random(settings.seed, SHUFFLE);
    this.noisemaker = new Random(settings.seed, NOISE);
    this.order = []; // which source is in each place
    this.noise = new Float64Array(MAX_NOISE);
    this.nCopies = settings.copies;
    this.nNoise = settings.noise;
    for (let source = 0; source < N_SOURCES * this.nCopies; source++) this.order.push(source);
    for (let number = 0; number < this.nNoise; number++) this.order.push(FIRST_NOISE + number);
    this.unplugged = new Set(settings.unplugged.filter((source) => this.order.includes(source))); // these read 0
    if (settings.shuffle) this.shuffle();
  }

  // A new order; never the old one again, unless there is only one.
  shuffle() {
    const old = this.order;
    do {
      this.order = this.shuffler.permutation(old);
    } while (old.length > 1 && this.order.every((source, place) => source === old[place]));
  }

  drawNoise() {
    for (let number = 0; number < this.nNoise; number++) {
      this.noise[number] = this.settings.noise_std * this.noisemaker.normal();
    }
  }

  // Writes into `out` (place) what the agents get of the sources (x, x_dot, cos, sin, theta_dot).
  arrange(sources, out) {
    this.order.forEach((source, place) => {
      if (this.unplugged.has(source)) out[place] = 0;
      else out[place] = source >= FIRST_NOISE ? this.noise[source - FIRST_NOISE] : sources[source % N_SOURCES];
    });
  }
}

// One agent in its own copy of the world, and what it went through.
class Contender {
  constructor(model, makeWorld, nPlaces) {
    this.model = model;
    this.makeWorld = makeWorld;
    this.world = makeWorld();
    this.network = model.kind === "invariant" ? new InvariantRun(model) : new PerceptronRun(model);
    this.sources = new Float64Array(N_SOURCES);
    this.observation = new Float64Array(N_SOURCES * MAX_COPIES + MAX_NOISE);
    this.actions = new Float32Array(TRACE_LENGTH);
    this.heights = new Float32Array(HISTORY); // cosine of the pole's angle, NaN while it is off the track
    this.traces = []; // by place: the last values, and the sources they came from
    this.rewards = new Float64Array(SCORE_WINDOW);
    this.action = 0;
    this.steps = 0;
    this.score = 0;
    this.away = 0; // steps since it left the track
    this.sinking = false; // whether the pole was up more recently than it hung
    this.losses = 0; // times it left the track
    this.streak = 0; // steps on end that the pole has been up, since the last shuffle
    this.triedAt = null; // step of the last shuffle
    this.lost = false; // whether it left the track since
    this.again = null; // steps from there to the first of HOLD steps on end with the pole up
    this.recoveries = []; // for each shuffle after which there were such steps, that number
    for (let place = 0; place < nPlaces; place++) this.addPlace();
  }

  addPlace() {
    this.network.addPlace();
    this.traces.push({
      values: new Float32Array(TRACE_LENGTH),
      sources: new Uint8Array(TRACE_LENGTH).fill(NOTHING),
    });
  }

  removePlace(place) {
    this.network.removePlace(place);
    this.traces.splice(place, 1);
  }

  // One step: of the world, or, off the track, of waiting for the next episode.
  step(inputs, push) {
    const reward = this.world.over && ++this.away < BACK_AFTER ? this.wait() : this.play(inputs, push);
    this.rewards[this.steps % SCORE_WINDOW] = reward;
    this.heights[this.steps % HISTORY] = this.world.over ? NaN : Math.cos(this.world.state[2]);
    this.score += reward;
    this.steps++;
    this.watch();
  }

  wait() {
    const at = this.steps % TRACE_LENGTH;
    for (const trace of this.traces) trace.sources[at] = NOTHING;
    this.actions[at] = 0;
    return 0;
  }

  play(inputs, push) {
    if (this.world.over) this.beginAnew();
    this.world.observe(this.sources);
    inputs.arrange(this.sources, this.observation);
    const at = this.steps % TRACE_LENGTH;
    inputs.order.forEach((source, place) => {
      this.traces[place].values[at] = this.observation[place];
      this.traces[place].sources[at] = source;
    });
    this.action = this.network.act(this.observation, inputs.order.length);
    this.actions[at] = this.action;
    return this.world.step(this.action, push);
  }

  beginAnew() {
    this.world = this.makeWorld();
    this.network.reset();
    this.away = 0;
    this.sinking = false;
  }

  // Keep count of how long the pole has been up, and of the shuffles after which it was up for long enough.
  watch() {
    this.streak = this.upright ? this.streak + 1 : 0;
    if (this.upright) this.sinking = true;
    else if (Math.cos(this.world.state[2]) < -0.7) this.sinking = false;
    if (this.world.over && !this.away) {
      this.losses++;
      this.lost = true;
    }
    if (this.streak === HOLD && this.triedAt !== null && this.again === null && !this.lost) {
      this.again = this.steps - HOLD - this.triedAt;
      this.recoveries.push(this.again);
    }
  }

  // From here on it is to show whether it gets the pole up.
  beginTry() {
    this.triedAt = this.steps;
    this.again = null;
    this.lost = false;
    this.streak = 0;
  }

  get recentScore() {
    return this.rewards.reduce((sum, reward) => sum + reward, 0);
  }

  // Whether the pole is up: within 12 degrees, an angle at which it can still be held.
  get upright() {
    return !this.world.over && Math.cos(this.world.state[2]) > Math.cos((12 / 180) * Math.PI);
  }
}

// A run: one or two contenders, their shared inputs, and a record of what was done to them, by step, so that
// the same seed, settings and record give the same run.
class Run {
  constructor(page, settings, script = []) {
    this.settings = Object.freeze({ ...settings }); // it began with; what changed since is in the record
    this.script = script.slice(); // what is still to be done: [step, name, value]
    this.record = []; // what was done
    this.marks = []; // steps of the last shuffles
    this.tries = 0; // shuffles that were given time to show what comes of them
    this.steps = 0;
    this.every = settings.every; // steps between shuffles, or 0
    this.divide = settings.divide; // the sum over places by the number of copies, as in the paper
    this.push = 0; // N, on every cart
    this.pushUntil = Infinity; // step
    this.inputs = new Inputs(settings);
    const chosen = settings.rival === null ? [settings.model] : [settings.model, settings.rival];
    this.contenders = chosen.map((number) => {
      const starts = new Random(settings.seed, START);
      const makeWorld = () => new CartPole(
        settings.version, initialState(settings.version, starts, page.physics), page.physics
      );
      return new Contender(page.models[number], makeWorld, this.inputs.order.length);
    });
    this.setDivisor();
  }

  step() {
    while (this.script.length && this.script[0][0] <= this.steps) {
      const [, name, value] = this.script.shift();
      this.act(name, value);
    }
    if (this.every && this.steps && this.steps % this.every === 0) this.shuffle();
    if (this.steps >= this.pushUntil) this.push = 0;
    this.inputs.drawNoise();
    for (const contender of this.contenders) contender.step(this.inputs, this.push);
    this.steps++;
  }

  runUntil(step) {
    while (this.steps < step) this.step();
  }

  shuffle() {
    this.inputs.shuffle();
    this.beginTry();
    this.marks = [...this.marks.slice(1 - MOST_MARKS), this.steps];
  }

  // A try counts unless another follows before the pole could have been held.
  beginTry() {
    const { triedAt } = this.contenders[0];
    if (triedAt === null || this.steps - triedAt >= HOLD) this.tries++;
    for (const contender of this.contenders) contender.beginTry();
  }

  // Do something to the inputs or the carts, and keep a record of it; returns whether it could be done.
  act(name, value = 0) {
    if (!Object.hasOwn(ACTS, name) || ACTS[name](this, value) === false) return false;
    const last = this.record[this.record.length - 1];
    // Of a pull that changes several times in one step, the last is what the carts feel.
    if (name === "drag" && last && last[0] === this.steps && last[1] === "drag") this.record.pop();
    this.record.push([this.steps, name, Number(value)]);
    return true;
  }

  setDivisor() {
    const divisor = this.divide ? this.inputs.nCopies : 1;
    for (const contender of this.contenders) contender.network.divisor = divisor;
  }

  addPlace(source) {
    this.inputs.order.push(source);
    for (const contender of this.contenders) contender.addPlace();
  }

  removePlace(source) {
    const place = this.inputs.order.indexOf(source);
    this.inputs.order.splice(place, 1);
    this.inputs.unplugged.delete(source);
    for (const contender of this.contenders) contender.removePlace(place);
  }
}

// Everything that can be done to a run, by the name it has in a record and in the address.
const ACTS = {
  shuffle: (run) => run.shuffle(),
  noise(run, change) {
    const inputs = run.inputs;
    if (change > 0 ? inputs.nNoise >= MAX_NOISE : inputs.nNoise <= 0) return false;
    if (change > 0) run.addPlace(FIRST_NOISE + inputs.nNoise++);
    else run.removePlace(FIRST_NOISE + --inputs.nNoise);
    return true;
  },
  copies(run, change) {
    const inputs = run.inputs;
    if (change > 0 ? inputs.nCopies >= MAX_COPIES : inputs.nCopies <= 1) return false;
    if (change < 0) inputs.nCopies--;
    for (let number = 0; number < N_SOURCES; number++) {
      const source = N_SOURCES * inputs.nCopies + number;
      if (change > 0) run.addPlace(source);
      else run.removePlace(source);
    }
    if (change > 0) inputs.nCopies++;
    run.setDivisor();
    return true;
  },
  plug(run, source) {
    if (!run.inputs.order.includes(source)) return false;
    if (!run.inputs.unplugged.delete(source)) run.inputs.unplugged.add(source);
    return true;
  },
  every(run, steps) {
    if (steps < 0) return false;
    run.every = steps;
    return true;
  },
  divide(run, divided) {
    run.divide = Boolean(divided);
    run.setDivisor();
    return true;
  },
  // A push of some N for a fifth of a second.
  push(run, newtons) {
    run.push = newtons;
    run.pushUntil = run.steps + 10;
    return true;
  },
  // A pull that lasts until the next.
  drag(run, newtons) {
    run.push = newtons;
    run.pushUntil = Infinity;
    return true;
  },
};

// What a run that begins now, with everything as it is in this one, begins with.
function presentSettings(run) {
  const { settings, inputs } = run;
  return {
    ...settings, every: run.every, divide: run.divide, noise: inputs.nNoise, copies: inputs.nCopies,
    unplugged: [...inputs.unplugged],
  };
}

// What a scenario comes to from one seed: how many tries there were, and the recoveries of each contender. The tries are
// its shuffles; or there is one, of HOLD steps from `from` on, which who ever left the track has failed.
function outcome(page, scenario, chosen, seed) {
  const { settings, script, from, until } = scenario;
  const run = new Run(page, { ...page.settings, ...settings, ...chosen, seed }, script);
  if (from) {
    run.runUntil(from);
    run.beginTry();
  }
  const open = ({ again, lost }) => again === null && !lost;
  const more = () => run.script.length || run.every || run.contenders.some(open); // whether what is left can change it
  while (run.steps < until && more()) run.step();
  const counted = (contender) => (from && contender.losses ? [] : contender.recoveries);
  return { tries: run.tries, recoveries: run.contenders.map(counted) };
}
