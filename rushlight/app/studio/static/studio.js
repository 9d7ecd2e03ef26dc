"use strict";
// What the pages do while they are open. Without this script the pages can still be read, and a training started and
// stopped; it adds watching, asking about pictures, and writing.

const byId = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

// --- forms that are sent once ----------------------------------------------------------------------------------------

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => form.querySelectorAll("button").forEach((button) => { button.disabled = true; }));
  });
}
// A page that the browser kept and shows again may be sent again; the server knows the token.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.querySelectorAll("button").forEach((button) => { button.disabled = false; });
  }
});

// --- watching a training ---------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function short(value) {
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 1 ? value.toFixed(2) : value.toFixed(3);
}

// Round numbers from at most `low` to at least `high`, some four of them.
function ticks(low, high) {
  const rough = (high - low || Math.abs(high) || 1) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough * 0.999);
  const first = Math.floor(low / step + 1e-9), last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({ length: last - first + 1 }, (_, place) => ({ value: (first + place) * step, text: ((first + place) * step).toFixed(digits) }));
}

// Lines against the epoch: each of `lines` has a name, a kind (first or second) and points {x, y, low, high}.
function chart(title, lines) {
  const width = innerWidth < 480 ? 330 : 420, height = 240, left = 46, right = 12, top = 44, bottom = 30;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  const points = lines.flatMap((line) => line.points);
  const last = lines.map((line) => `${line.name} ${short(line.points.at(-1).y)}`).join(", ");
  svg.append(draw("title", {}, `${title}: ${last} after ${points.at(-1).x} epochs`));
  const ys = points.flatMap((point) => [point.low ?? point.y, point.high ?? point.y, point.y]);
  const marks = ticks(Math.min(...ys), Math.max(...ys));
  const low = marks[0].value, high = marks.at(-1).value;
  const first = Math.min(...points.map((point) => point.x)), end = Math.max(...points.map((point) => point.x));
  const across = (x) => left + (width - left - right) * (end > first ? (x - first) / (end - first) : 0.5);
  const down = (y) => top + (height - top - bottom) * (high - y) / (high - low);
  for (const { value, text } of marks) {
    svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: down(value), y2: down(value) }));
    svg.append(draw("text", { x: left - 6, y: down(value) + 4, "text-anchor": "end" }, text));
  }
  const ends = end > first ? [[first, "start"], [end, "end"]] : [[first, "middle"]];
  for (const [epoch, anchor] of ends) svg.append(draw("text", { x: across(epoch), y: height - 10, "text-anchor": anchor }, `epoch ${epoch}`));
  svg.append(draw("text", { class: "title", x: left, y: 18 }, title));
  let place = left;
  for (const line of lines) {
    svg.append(draw("line", { class: `line ${line.kind}`, x1: place, x2: place + 18, y1: 32, y2: 32 }));
    svg.append(draw("text", { x: place + 23, y: 36 }, line.name));
    place += 40 + 6 * line.name.length;
    const tip = line.points.at(-1);
    if (line.points.length === 1 && tip.low !== undefined) {
      svg.append(draw("line", { class: `line ${line.kind} bar`, x1: across(tip.x), x2: across(tip.x), y1: down(tip.low), y2: down(tip.high) }));
    } else if (tip.low !== undefined) {
      const above = line.points.map((point) => `${across(point.x)},${down(point.high)}`);
      const below = line.points.map((point) => `${across(point.x)},${down(point.low)}`).reverse();
      svg.append(draw("polygon", { class: "band", points: [...above, ...below].join(" ") }));
    }
    svg.append(draw("polyline", {
      class: `line ${line.kind}`,
      points: line.points.map((point) => `${across(point.x)},${down(point.y)}`).join(" "),
    }));
    svg.append(draw("circle", { class: `dot-${line.kind}`, cx: across(tip.x), cy: down(tip.y), r: 3.5 }));
  }
  return svg;
}

function column(rows, name, kind, label, times = 1) {
  const points = rows.filter((row) => row[name] && row[name].value !== null).map((row) => {
    const interval = kind === "first" && row[name].interval;
    const [low, high] = (interval || []).map((bound) => times * Math.max(0, bound));
    return { x: row.epoch, y: times * row[name].value, ...(interval ? { low, high } : {}) };
  });
  return points.length ? [{ name: label, kind, points }] : [];
}

function showRows(rows) {
  const charts = byId("charts");
  const losses = [...column(rows, "valid_loss", "first", "validation"), ...column(rows, "train_loss", "second", "training")];
  const accuracy = column(rows, "accuracy", "first", "validation, with 95 % interval", 100);
  const drawn = [];
  if (losses.length) drawn.push(chart("Loss (less is better)", losses));
  if (accuracy.length) drawn.push(chart("Accuracy in percent (more is better)", accuracy));
  charts.replaceChildren(...(drawn.length ? drawn : [make("p", { class: "quiet" }, "Nothing has been measured yet.")]));
  const names = [...new Set(rows.flatMap(Object.keys))];
  const cell = (value) => {
    const number = value !== null && typeof value === "object" ? value.value : value;
    return number === undefined || number === null ? "" : Number.isInteger(number) ? String(number) : number.toPrecision(4);
  };
  const head = make("thead", {}, make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name.replaceAll("_", " ")))));
  const body = make("tbody", {}, ...rows.slice(-200).map((row) => make("tr", {}, ...names.map((name) => make("td", {}, cell(row[name]))))));
  byId("rows").replaceChildren(head, body);
  byId("rows-box").hidden = !rows.length;
}

async function showSamples(run) {
  const box = byId("samples");
  if (!box) return;
  const response = await fetch(`/runs/${run}/samples`);
  if (!response.ok) return;
  const found = await response.json();
  if (found.text) box.replaceChildren(make("div", { class: "text" }, found.text));
  if (found.pictures && found.pictures.length) {
    box.replaceChildren(make("div", { class: "samples" }, ...found.pictures.map((picture) => {
      const right = picture.label === picture.answer;
      const said = make("span", { class: right ? "right" : "wrong" }, `${right ? "✓" : "✗"} ${picture.answer} ${percent(picture.probability)}`);
      const is = right ? "" : make("span", {}, ` is ${picture.label}`);
      return make("figure", {}, make("img", { src: picture.address, alt: picture.label }), make("figcaption", {}, said, is));
    })));
  }
}

function watch(section) {
  const run = section.dataset.watch;
  const first = JSON.parse(byId("watched").textContent);
  let measured = -1;
  const show = (watched) => {
    if (watched.rows.length !== measured) {
      measured = watched.rows.length;
      showRows(watched.rows);
      if (measured && watched.state !== "finished") {
        const place = byId("try");
        if (place) place.hidden = false;
        showSamples(run);
      }
    }
    const doing = byId("doing");
    if (!doing) return;
    const live = watched.live;
    byId("progress").value = live.progress ?? 0;
    if (live.doing) {
      const what = { training: "Learning", measuring: "Measuring", ending: "Coming to the end" }[live.doing];
      doing.textContent = `${what}: ${percent(live.progress)}, ${live.step} steps in ${live.seconds.toFixed(0)} s, loss ${short(live.loss)}`;
    } else if (watched.log) doing.textContent = watched.log;
  };
  show(first);
  if (section.dataset.state === "finished" || section.dataset.state === "failed") return;
  const events = new EventSource(`/runs/${run}/events`);
  events.onmessage = (event) => {
    const watched = JSON.parse(event.data);
    show(watched);
    if (watched.state === "finished" || watched.state === "failed") {
      events.close();
      location.reload();
    }
  };
  addEventListener("pagehide", () => events.close());
}

// --- waiting in line ---------------------------------------------------------------------------------------------------

const questions = (count) => (count === 1 ? "one question comes" : `${count} questions come`);

// Send something that may have to wait for others; every second `told` learns how many questions come first.
async function inLine(send, told) {
  const ticket = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  let over = false;
  const look = async () => {
    const response = await fetch(`/line/${ticket}`).catch(() => null);  // the answer itself will tell what is wrong
    const { before } = response && response.ok ? await response.json() : { before: null };
    if (before !== null && !over) told(before);
  };
  const soon = setTimeout(look, 300), often = setInterval(look, 1000);
  try {
    return await send({ "x-ticket": ticket });
  } finally {
    over = true;
    clearTimeout(soon);
    clearInterval(often);
  }
}

// --- asking about pictures -------------------------------------------------------------------------------------------

const MOST_PICTURES = 12, LARGEST_PICTURE = 20_000_000;

function likely(answers) {
  const list = make("div", { class: "likely" });
  for (const { label, probability } of answers) {
    const meter = make("meter", { min: 0, max: 1, value: probability, "aria-label": label });
    list.append(make("span", {}, label), meter, make("span", { class: "value" }, percent(probability)));
  }
  return list;
}

function look(address, alt, caption) {
  return make("figure", {}, make("img", { src: address, alt }), make("figcaption", {}, caption));
}

// How probable an answer is, where it is one class.
function how(said) {
  const own = said.answers.find((answer) => answer.label === said.label);
  return own ? ` ${percent(own.probability)}` : "";
}

async function ask(run, what, file, told) {
  const response = await inLine((headers) => fetch(`/runs/${run}/${what}`, { method: "POST", body: file, headers: { "content-type": file.type || "application/octet-stream", ...headers } }), told);
  if (response.status === 503) {  // a long line: come again
    await new Promise((resume) => setTimeout(resume, 1000 * Number(response.headers.get("retry-after") || 3)));
    return ask(run, what, file, told);
  }
  const kind = response.headers.get("content-type") || "";
  const said = kind.includes("json") ? await response.json() : { error: await response.text() };
  if (!response.ok) throw new Error(said.error);
  return said;
}

async function askAbout(run, file, box) {
  const preview = URL.createObjectURL(file);
  const doing = make("p", { class: "quiet", role: "status" }, "It is looking…");
  const words = make("div", {}, doing);
  const told = (before) => { doing.textContent = before ? `Waiting: ${questions(before)} before this one.` : "It is looking…"; };
  const image = make("img", { class: "preview", src: preview, alt: file.name });
  const item = make("article", { class: "answer", "aria-label": file.name }, make("div", {}, image, make("p", { class: "quiet" }, file.name)), words);
  box.append(item);
  image.addEventListener("error", () => image.remove());
  try {
    const said = await ask(run, "answer", file, told);
    words.replaceChildren(make("h3", {}, said.label), likely(said.answers), doing);
    const why = await ask(run, "explanation", file, told);
    doing.remove();
    const verdict = why.agrees ? "A closer look agrees" : "A closer look disagrees";
    item.append(make("div", { class: "looks" },
      look(why.heat, `Where the evidence for ${why.explained} lies`, `What speaks for ${why.explained}`),
      look(why.closer.heat, "The hottest region, seen alone", `${verdict}: ${why.closer.label}${how(why.closer)}`)));
  } catch (error) {
    words.replaceChildren(make("p", { class: "error", role: "alert" }, error.message));
    return false;
  }
  return true;
}

function tryPictures(section) {
  const run = section.dataset.try, box = byId("answers"), status = byId("try-status"), input = byId("pictures");
  const drop = section.querySelector(".drop");
  const take = async (files) => {
    const chosen = [...files].slice(0, MOST_PICTURES);
    const fit = chosen.filter((file) => file.size <= LARGEST_PICTURE);
    box.replaceChildren();
    const left = files.length - fit.length;
    status.textContent = left ? `${left} left out: too many, or too large.` : "";
    let answered = 0;
    for (const file of fit) answered += await askAbout(run, file, box);
    if (files.length) status.textContent = `${answered} of ${files.length} answered.`;
  };
  input.addEventListener("change", () => take(input.files));
  for (const name of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop") take(event.dataTransfer.files);
    });
  }
}

// --- writing ---------------------------------------------------------------------------------------------------------

const LEVELS = [0.2, 0.7, 1.5, 2.5, 4, 6];  // nats; a letter is as surprising as the levels that it reaches

function letter([text, surprise], isPrompt) {
  const level = surprise === null ? 0 : LEVELS.filter((least) => surprise >= least).length;
  const title = surprise === null ? "nothing came before" : `${surprise.toFixed(2)} nats`;
  return make("span", { class: `s${level}${isPrompt ? " prompt" : ""}`, title }, text);
}

function write(section) {
  const run = section.dataset.write, form = byId("wish"), out = byId("written"), status = byId("write-status"), enough = byId("enough");
  let stop = null;
  enough.addEventListener("click", () => stop && stop.abort());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (stop) stop.abort();
    const mine = stop = new AbortController();
    const wish = Object.fromEntries(new FormData(form));
    out.replaceChildren();
    status.textContent = "It is writing…";
    enough.hidden = false;
    let letters = 0;
    const told = (before) => {
      if (mine === stop) status.textContent = before > 1 ? `It writes in turn: ${questions(before)} before its next letters.` : "It is writing…";
    };
    const send = async (headers) => {
      const response = await fetch(`/runs/${run}/writing`, { method: "POST", body: JSON.stringify(wish), signal: mine.signal, headers: { "content-type": "application/json", ...headers } });
      if (!response.ok) throw new Error((await response.json()).error);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "", isPrompt = true;
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) {
          const pairs = JSON.parse(line);
          out.append(...pairs.map((pair) => letter(pair, isPrompt)));
          if (!isPrompt) letters += pairs.length;
          isPrompt = false;
          out.scrollTop = out.scrollHeight;
        }
      }
    };
    try {
      await inLine(send, told);
      status.textContent = `${letters} written.`;
    } catch (error) {
      if (mine !== stop) return;
      status.textContent = error.name === "AbortError" ? "Stopped." : error.message;
    }
    enough.hidden = true;
  });
}

// --- a check that goes on --------------------------------------------------------------------------------------------

async function followCheck(section) {
  for (;;) {
    await new Promise((resume) => setTimeout(resume, 1000));
    const response = await fetch(`/data/${section.dataset.checking}/check`);
    if (!response.ok) return;
    const { state, doing } = await response.json();
    if (state !== "running") location.reload();
    if (state !== "running") return;
    if (doing) byId("checking").textContent = doing;
  }
}

// --- small things ----------------------------------------------------------------------------------------------------

// Whoever writes a class has chosen the answer beside it.
for (const field of document.querySelectorAll("[data-chooses]")) {
  field.addEventListener("input", () => { if (field.value) byId(field.dataset.chooses).checked = true; });
}
// A picture that cannot be shown is told in words.
for (const image of document.querySelectorAll("img[src^='/data/']")) {
  const replaced = () => image.replaceWith(make("span", { class: "unreadable", role: "img", "aria-label": image.alt }, "cannot be read"));
  if (image.complete && image.getAttribute("loading") !== "lazy" && !image.naturalWidth) replaced();
  else image.addEventListener("error", replaced);
}

for (const section of document.querySelectorAll("[data-checking]")) followCheck(section);
for (const section of document.querySelectorAll("[data-watch]")) watch(section);
for (const section of document.querySelectorAll("[data-try]")) tryPictures(section);
for (const section of document.querySelectorAll("[data-write]")) write(section);
