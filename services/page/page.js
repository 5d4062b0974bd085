"use strict";
// One WebSocket: binary messages are [u32 length][msgpack header][pixels], text is a reply.

const byId = (id) => document.getElementById(id);
const HISTORY = 240; // a quarter of a second each: the last minute
const PLOTS = [
  ["events_per_s", "events / s", (s) => s.events_per_s, short],
  ["spikes_per_step", "spikes / step", (s) => s.spikes_per_step, short],
  ["nats_per_step", "nats / step", (s) => (s.learning ? s.learning.nats_per_step : null), short],
  ["latency", "sensor to socket, p50", (s) => s.frame_latency_us.p50, duration],
  ["latency99", "sensor to socket, p99", (s) => s.frame_latency_us.p99, duration],
  ["drops", "dropped since the start", (s) => Object.values(s.dropped).reduce((a, b) => a + b, 0), short],
  ["score", "learning score (error)", (s) => (s.learning ? s.learning.score : null), short],
];
const streams = new Map();
const plots = new Map();
let socket = null;
let paused = false;
let learning = null;
let betaHeld = false;

// msgpack, as far as the service writes it.
function unpack(view) {
  let at = 0;
  const text = new TextDecoder();
  const take = (n) => { const from = at; at += n; return from; };
  const string = (n) => { const from = take(n); return text.decode(new Uint8Array(view.buffer, view.byteOffset + from, n)); };
  const array = (n) => Array.from({ length: n }, value);
  const map = (n) => { const found = {}; for (let i = 0; i < n; i++) { const key = value(); found[key] = value(); } return found; };
  function value() {
    const b = view.getUint8(take(1));
    if (b < 0x80) return b;
    if (b < 0x90) return map(b & 15);
    if (b < 0xa0) return array(b & 15);
    if (b < 0xc0) return string(b & 31);
    if (b >= 0xe0) return b - 256;
    switch (b) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xca: return view.getFloat32(take(4));
      case 0xcb: return view.getFloat64(take(8));
      case 0xcc: return view.getUint8(take(1));
      case 0xcd: return view.getUint16(take(2));
      case 0xce: return view.getUint32(take(4));
      case 0xcf: return Number(view.getBigUint64(take(8)));
      case 0xd0: return view.getInt8(take(1));
      case 0xd1: return view.getInt16(take(2));
      case 0xd2: return view.getInt32(take(4));
      case 0xd3: return Number(view.getBigInt64(take(8)));
      case 0xd9: return string(view.getUint8(take(1)));
      case 0xda: return string(view.getUint16(take(2)));
      case 0xdc: return array(view.getUint16(take(2)));
      case 0xde: return map(view.getUint16(take(2)));
      default: throw new Error(`msgpack byte 0x${b.toString(16)} is not used by the service`);
    }
  }
  return value();
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function streamCard(name) {
  if (streams.has(name)) return streams.get(name);
  const card = element("article", "stream");
  const title = element("h2");
  const detail = element("small", "", "");
  title.append(element("span", "", name), detail);
  const pair = element("div", "pair");
  const views = {};
  for (const kind of ["events", "frame"]) {
    const figure = element("figure");
    const canvas = element("canvas");
    canvas.id = `${kind}-${name}`;
    const caption = element("figcaption");
    figure.append(canvas, caption);
    pair.append(figure);
    views[kind] = { canvas, caption };
  }
  card.append(title, pair);
  card.dataset.name = name;
  const after = [...byId("streams").children].find((other) => other.dataset.name > name);
  byId("streams").insertBefore(card, after || null);
  streams.set(name, { views, detail, n: 0 });
  const width = streams.size === 1 ? 640 : streams.size <= 4 ? 420 : 260;
  byId("content").classList.toggle("single", streams.size === 1);
  byId("streams").style.setProperty("--card-width", `${width}px`);
  return streams.get(name);
}

function draw(header, pixels) {
  const card = streamCard(header.stream);
  const view = card.views[header.kind];
  const { canvas } = view;
  if (canvas.width !== header.width || canvas.height !== header.height) {
    canvas.width = header.width;
    canvas.height = header.height;
    if (header.kind === "frame") view.caption.textContent = `frame, ${header.width}x${header.height}`;
  }
  const context = canvas.getContext("2d");
  const image = context.createImageData(header.width, header.height);
  const colours = header.kind === "events";
  for (let i = 0; i < pixels.length; i++) {
    const p = pixels[i];
    const o = i * 4;
    if (colours) { // off is blue, on is orange, nothing is dark
      const strength = Math.abs(p - 128) / 127;
      const on = p >= 128;
      image.data[o] = 24 + strength * (on ? 231 : 50);
      image.data[o + 1] = 26 + strength * (on ? 140 : 130);
      image.data[o + 2] = 30 + strength * (on ? 40 : 225);
    } else {
      image.data[o] = image.data[o + 1] = image.data[o + 2] = p;
    }
    image.data[o + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  if (header.kind === "frame") {
    card.n += 1;
    card.detail.textContent = `step ${header.step.toLocaleString("en")} · sensor ${(header.end_us / 1e6).toFixed(2)} s · ${duration(header.latency_us)} late`;
  } else {
    view.caption.textContent = `${header.n_events.toLocaleString("en")} events`;
  }
}

function plotOf(key, label, format) {
  if (plots.has(key)) return plots.get(key);
  const box = element("div", "plot");
  const title = element("h3");
  const now = element("b", "", "-");
  title.append(element("span", "", label), now);
  const canvas = element("canvas");
  canvas.id = `plot-${key}`;
  box.append(title, canvas);
  byId("plots").append(box);
  plots.set(key, { canvas, now, format, values: [] });
  return plots.get(key);
}

function short(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return size >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toPrecision(3);
}

function duration(us) {
  if (us >= 1e6) return `${(us / 1e6).toPrecision(3)} s`;
  return us >= 1e3 ? `${(us / 1e3).toPrecision(3)} ms` : `${us.toFixed(0)} us`;
}

function drawPlot(plot) {
  const { canvas, values } = plot;
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  if (values.length < 2) return;
  const top = Math.max(...values, 0);
  const bottom = Math.min(...values, 0);
  const span = top - bottom || 1;
  const x = (i) => (width * (HISTORY - values.length + i)) / (HISTORY - 1);
  const y = (v) => height - 2 * ratio - ((v - bottom) / span) * (height - 16 * ratio);
  context.beginPath();
  values.forEach((v, i) => (i ? context.lineTo(x(i), y(v)) : context.moveTo(x(i), y(v))));
  context.strokeStyle = "#5ab0f6";
  context.lineWidth = 1.5 * ratio;
  context.stroke();
  context.lineTo(x(values.length - 1), y(bottom));
  context.lineTo(x(0), y(bottom));
  context.fillStyle = "rgba(90,176,246,0.15)";
  context.fill();
  context.fillStyle = "#98a1a9";
  context.font = `${10 * ratio}px system-ui, sans-serif`;
  context.fillText(`max ${plot.format(top)}`, 2 * ratio, 10 * ratio);
}

function showStats(figures) {
  for (const [key, label, pick, format] of PLOTS) {
    const value = pick(figures);
    if (value === null || value === undefined) continue;
    const plot = plotOf(key, label, format);
    plot.values.push(value);
    if (plot.values.length > HISTORY) plot.values.shift();
    plot.now.textContent = format(value);
    drawPlot(plot);
  }
  learning = figures.learning;
  const button = byId("learn");
  button.disabled = learning === null;
  button.textContent = learning && learning.on ? "Learning on" : "Learning off";
  button.classList.toggle("on", Boolean(learning && learning.on));
  button.title = learning === null ? "start the service with --learn" : "";
  byId("beta").disabled = learning === null;
  byId("beta-label").classList.toggle("off", learning === null);
  if (learning && !betaHeld) {
    byId("beta").value = Math.log10(Math.max(learning.beta, 1e-5));
    byId("beta-value").textContent = learning.beta.toPrecision(2);
  }
  const dropped = Object.entries(figures.dropped).map(([cause, n]) => `${cause} ${n}`).join(", ");
  byId("foot").textContent =
    `${short(figures.steps_per_s)} steps/s · ${short(figures.frames_per_s)} frames/s · ` +
    `weight generation ${figures.generation} · a step takes ${duration(figures.step_latency_us.p50)}, p99 ${duration(figures.step_latency_us.p99)} · ` +
    `dropped: ${dropped || "nothing"}`;
}

function showHealth(health) {
  const badge = byId("state");
  badge.textContent = health.state;
  badge.className = `badge ${health.state}`;
  showPaused(health.state === "paused");
  const n = health.streams.length;
  byId("about").textContent = `${n} stream${n === 1 ? "" : "s"}` +
    (health.missed ? ` · ${health.missed} messages missed here` : "") +
    (health.restarts ? ` · restarted ${health.restarts}x` : "");
}

function showPaused(isPaused) {
  paused = isPaused;
  byId("pause").textContent = paused ? "Resume" : "Pause";
  byId("pause").classList.toggle("on", paused);
}

function ask(command, args) {
  if (socket && socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ command, arguments: args || {} }));
  }
}

function showReply(reply) {
  if (reply.ok && "paused" in reply.result) showPaused(reply.result.paused);
  byId("notice").textContent = reply.ok
    ? (reply.result.checkpoint ? `snapshot ${reply.result.checkpoint} is written` : "")
    : `${reply.error.code}: ${reply.error.message}`;
}

function receive(event) {
  if (typeof event.data === "string") {
    showReply(JSON.parse(event.data).reply);
    return;
  }
  const view = new DataView(event.data);
  const length = view.getUint32(0, true);
  const header = unpack(new DataView(event.data, 4, length));
  if (header.kind === "stats") {
    if (header.stream === [...streams.keys()][0] || streams.size === 0) showStats(header.figures);
  } else if (header.kind === "health") showHealth(header);
  else draw(header, new Uint8Array(event.data, 4 + length));
}

function connect() {
  socket = new WebSocket(`ws://${location.host}/live`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = receive;
  socket.onclose = () => {
    showHealth({ state: "silent", streams: [...streams.keys()], missed: 0, restarts: 0 });
    setTimeout(connect, 500);
  };
}

byId("pause").onclick = () => ask(paused ? "resume" : "pause");
byId("learn").onclick = () => ask("learn", { on: !(learning && learning.on) });
byId("snapshot").onclick = () => ask("snapshot");
byId("beta").oninput = (event) => {
  betaHeld = true;
  byId("beta-value").textContent = (10 ** Number(event.target.value)).toPrecision(2);
};
byId("beta").onchange = (event) => {
  betaHeld = false;
  ask("set_beta", { value: 10 ** Number(event.target.value) });
};
connect();
