const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const SLIDERS = 12, STEPS = 120;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
function draw(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
const short = (value) => String(Number(value.toPrecision(4))).replace("e+", "e");

// ---------------------------------------------------------------- a card for one equation

function card(section, place, heading) {
  const output = DATA[section], row = output.rows[place];
  const constants = [...row.constants], words = row.program.split(" ");
  const label = `${heading} of ${document.getElementById(`h${section}`).textContent}`;
  const formula = make("div", { class: "formula", tabindex: "0", role: "region", "aria-label": label });
  formula.append(formulaOf(section, place));
  const facts = make("dl");
  for (const [name, value] of [["complexity", row.complexity], ["loss", short(row.loss)], ["held out", short(row.held)]])
    facts.append(make("div", {}, make("dt", {}, name), make("dd", {}, String(value))));
  const plot = curveOf(output, words, constants);
  const element = make("div", { class: "card" }, make("h3", {}, heading), formula, facts, copiesOf(row), plot.element);
  element.append(slidersOf(row, constants, formula, plot.update));
  return element;
}
function formulaOf(section, place) {
  const cell = document.querySelectorAll(`#s${section} table.front tbody tr`)[place].lastElementChild;
  const copy = document.createDocumentFragment();
  copy.append(...[...cell.childNodes].map((node) => node.cloneNode(true)));
  return copy;
}
function slidersOf(row, constants, formula, update) {
  const box = make("div", { class: "sliders" });
  constants.slice(0, SLIDERS).forEach((start, index) => {
    const reach = 2 * Math.abs(start) || 1;
    const name = `c${index + 1}`;
    const slider = make("input", { type: "range", min: start - reach, max: start + reach,
      step: "any", value: start, "aria-label": `constant ${index + 1}` });
    const shown = make("output", {}, short(start));
    slider.addEventListener("input", () => {
      constants[index] = Number(slider.value);
      shown.textContent = short(constants[index]);
      showConstant(formula, index, constants[index]);
      update();
    });
    box.append(make("div", { class: "slider" }, make("span", {}, name), slider, shown));
  });
  if (!constants.length) return box;
  const back = make("button", { type: "button" }, "constants as found");
  back.addEventListener("click", () => box.querySelectorAll("input").forEach((slider, index) => {
    slider.value = row.constants[index];
    slider.dispatchEvent(new Event("input"));
  }));
  box.append(make("div", { class: "row" }, back));
  if (constants.length > SLIDERS) box.append(make("p", { class: "note" }, `${SLIDERS} of ${constants.length} constants`));
  return box;
}
function showConstant(formula, index, value) {
  for (const element of formula.querySelectorAll(`[data-constant="${index}"]`)) {
    // Its sign may be drawn already, as the minus before it.
    const drawn = element.hasAttribute("data-turned") ? -value : value;
    element.dataset.signed ??= element.textContent.startsWith("\u2212");
    const text = short(drawn).replaceAll("-", "\u2212");
    // Where it was positive, something may stand before it that a bare minus would run into.
    const shown = drawn < 0 && element.dataset.signed === "false" ? `(${text})` : text;
    element.replaceChildren(element.localName === "mn" ? shown : mathNumber(shown));
  }
}
function mathNumber(text) {
  const number = document.createElementNS("http://www.w3.org/1998/Math/MathML", "mn");
  number.textContent = text;
  return number;
}
function copiesOf(row) {
  const line = make("div", { class: "row" }, make("span", {}, "copy as"));
  const said = make("span", { role: "status" });
  for (const [name, text] of Object.entries(row.copies)) {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", async () => {
      said.textContent = (await toClipboard(text)) ? `${name} copied` : "could not copy";
    });
    line.append(button);
  }
  line.append(said);
  return line;
}
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages from disk have no clipboard of their own in some browsers.
    const area = make("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

// ---------------------------------------------------------------- the curve of an equation

function curveOf(output, words, constants) {
  const used = output.variables.map((_, place) => place).filter((place) => words.includes(`v${place}`));
  const element = make("div");
  if (!used.length) return { element, update: () => {} };
  const choice = make("select", { "aria-label": "along which input" });
  for (const place of used) choice.append(make("option", { value: place }, output.variables[place].name));
  const svg = draw("svg", { viewBox: "0 0 300 190", role: "img", class: "curve" });
  const note = output.known ? "the other inputs at their median" : "no data: from \u22123 to 3, the other inputs at 0";
  element.append(make("div", { class: "row" }, make("span", {}, "along"), choice, make("span", { class: "note" }, note)), svg);
  let limits = null;
  const update = () => {
    const place = Number(choice.value), [low, , high] = output.variables[place].range;
    const at = Array.from({ length: STEPS + 1 }, (_, k) => low + (high - low) * (k / STEPS));
    const middle = output.variables.map((variable) => variable.range[1]);
    const values = at.map((x) => run(words, constants, middle.with(place, x)));
    const block = output.block[output.variables[place].name];
    // The axis stays while a slider moves, or the curve would seem not to.
    limits ??= limitsOf([...values, ...(block ? block[1] : [])]);
    svg.replaceChildren();
    paint(svg, at, values, block, [low, high], limits);
    svg.setAttribute("aria-label", `the equation along ${output.variables[place].name}`);
  };
  choice.addEventListener("change", () => { limits = null; update(); });
  update();
  return { element, update };
}
function limitsOf(values) {
  const finite = values.filter((value) => value !== null && Number.isFinite(value)).sort((a, b) => a - b);
  if (!finite.length) return [-1, 1];
  // Not the extremes, for there may be a pole.
  const low = finite[Math.floor(0.03 * (finite.length - 1))], high = finite[Math.ceil(0.97 * (finite.length - 1))];
  const room = 0.4 * (high - low) || Math.max(Math.abs(low), 1);
  return [low - room, high + room];
}
function paint(svg, at, values, block, [low, high], [bottom, top]) {
  const x = (value) => 52 + ((value - low) / (high - low || 1)) * 238;
  const y = (value) => 160 - Math.min(Math.max((value - bottom) / (top - bottom), -0.04), 1.04) * 148;
  svg.append(draw("path", { class: "axis", d: "M52 12V160H290" }));
  const half = (low + high) / 2;
  for (const value of [low, Math.abs(half) < 0.02 * (high - low) ? 0 : half, high]) svg.append(draw("text", { class: "tick", x: Math.min(x(value), 280), y: 174 }, String(Number(value.toPrecision(2)))));
  for (const value of [bottom, (bottom + top) / 2, top]) svg.append(draw("text", { class: "tick side", x: 47, y: y(value) + 3 }, String(Number(value.toPrecision(2)))));
  const line = (across, up) => {
    let path = "", pen = false;
    across.forEach((value, k) => {
      const good = up[k] !== null && Number.isFinite(up[k]) && value >= low && value <= high;
      if (good) path += `${pen ? "L" : "M"}${x(value).toFixed(1)} ${y(up[k]).toFixed(1)}`;
      pen = good;
    });
    return path;
  };
  if (block) svg.append(draw("path", { class: "block", d: line(...block) }));
  svg.append(draw("path", { class: "equation", d: line(at, values) }));
}

// ---------------------------------------------------------------- fronts

function front(chart) {
  const section = Number(chart.dataset.section), output = DATA[section];
  const cards = document.querySelector(`.cards[data-section="${section}"]`);
  const options = [...chart.querySelectorAll("[role=option]")];
  let shown = -1, pinned = null;
  const show = (place) => {
    if (place === shown) return;
    shown = place;
    options.forEach((option, k) => option.setAttribute("aria-selected", k === place));
    chart.setAttribute("aria-activedescendant", options[place].id);
    refresh();
  };
  const refresh = () => {
    const heading = shown === output.best ? "Chosen equation" : "Equation";
    cards.replaceChildren(card(section, shown, heading));
    if (pinned !== null && pinned !== shown) cards.append(card(section, pinned, "Pinned equation"));
  };
  const pin = (place) => {
    pinned = pinned === place ? null : place;
    options.forEach((option, k) => option.toggleAttribute("data-pinned", k === pinned));
    refresh();
  };
  options.forEach((option, place) => {
    option.addEventListener("pointerenter", () => show(place));
    option.addEventListener("click", () => { show(place); pin(place); });
  });
  chart.addEventListener("keydown", (event) => {
    const last = options.length - 1;
    const to = { ArrowRight: shown + 1, ArrowDown: shown + 1, ArrowLeft: shown - 1, ArrowUp: shown - 1, Home: 0, End: last }[event.key];
    if (to !== undefined) show(Math.min(Math.max(to, 0), last));
    else if (event.key === "Enter" || event.key === " ") pin(shown);
    else return;
    event.preventDefault();
  });
  show(output.best);
}
document.querySelectorAll("svg.front").forEach(front);
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme ?? (dark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
});
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
