// ---------------------------------------------------------------------------------------------------------------------
// The page: reads the description, and shows the network's answer whenever the input changes
// ---------------------------------------------------------------------------------------------------------------------

const description = JSON.parse(byId("description").textContent);
const network = new Network(description);
const { input, answer } = description;
const image = input.shape ?? null; // [height, width, channels], or null where the inputs are a form's

/** The page's state: which class the gradient is of (null: the answer), and the latest pass. */
let asked = null;
let latest = null;

// What goes in

/** One number for all inputs, or one for each. */
const range = image ? [input.low, input.high].map((given) => (typeof given === "number" ? () => given : ((all) => (i) => all[i])(floatsOf(given)))) : null;

/** The network's inputs from ink, 0 … 1: as its data was scaled in training. */
function inputsOf(ink) {
  const [low, high] = range;
  return ink.map((value, i) => low(i) + value * (high(i) - low(i)));
}

/** What the network sees of what is on the paper. */
function readPaper() {
  if (paper.given) return paper.given;
  const [rows, columns, channels] = image;
  const whole = readCanvas(paper.canvas, channels);
  return byId("centred").checked ? centre(whole, rows, columns) : shrink(whole, rows, columns);
}

function update() {
  const seen = image ? readPaper() : null;
  const x = image ? inputsOf(seen.values) : form.x;
  if (x === null) return showNothing("Some field holds no number.");
  latest = network.forward(x);
  if (image) paintInk(byId("seen"), seen);
  showAnswer(image !== null && paper.empty);
  work.show(latest);
}

function showNothing(words) {
  byId("verdict").textContent = words;
}

// What comes out

function showAnswer(empty) {
  const outputs = latest.a[latest.a.length - 1];
  if (answer.kind === "picture") {
    byId("verdict").textContent = "What goes in, and what the network makes of it";
    paintInk(byId("output"), { height: image[0], width: image[1], channels: image[2], values: inkOfInputs(outputs) });
  } else if (answer.kind === "classes") showClasses(outputs, empty);
  else showNumbers(outputs);
  if (answer.kind !== "picture") showGradient(outputs);
}

/** Ink, 0 … 1, from numbers scaled as the inputs are. */
function inkOfInputs(values) {
  const [low, high] = range;
  return values.map((value, i) => (high(i) === low(i) ? 0 : (value - low(i)) / (high(i) - low(i))));
}

function showClasses(outputs, empty) {
  const shares = outputs.length === 1 ? [1 - outputs[0], outputs[0]] : [...outputs];
  const label = network.label(outputs);
  const verdict = byId("verdict");
  if (empty) verdict.replaceChildren("Nothing is drawn yet.");
  else {
    const name = answer.names[label];
    verdict.replaceChildren(element("strong", { textContent: name, className: name.length > 14 ? "long" : "" }), `${percent(shares[label])} sure`);
  }
  let order = [...shares.keys()];
  if (order.length > 20) order = order.sort((a, b) => shares[b] - shares[a]).slice(0, 10);
  const rows = order.map((i) => ({
    index: i,
    name: answer.names[i],
    share: empty ? 0 : shares[i],
    text: empty ? "" : percent(shares[i]),
    strong: !empty && i === label,
    pressed: i === (asked ?? label),
  }));
  showBars(byId("bars"), rows, (i) => {
    asked = i === asked ? null : i;
    update();
  });
}

/** Numbers, in the target's own units. */
function showNumbers(outputs) {
  const numbers = outputs.map((value) => value * answer.factor + answer.offset);
  const verdict = byId("verdict");
  if (numbers.length === 1) verdict.replaceChildren(`${answer.names[0]}: `, element("strong", { textContent: brief(numbers[0]) }));
  else verdict.textContent = "";
  const limit = largestOf(outputs) || 1;
  const rows = [...outputs].map((value, i) => ({ name: answer.names[i], share: value / limit, text: brief(numbers[i]), sign: true, pressed: i === (asked ?? 0) }));
  showBars(byId("bars"), numbers.length > 1 ? rows : [], (i) => {
    asked = i;
    update();
  });
}

/** ∂z/∂x of the answer, or of the class that was asked for: what would make the picture more of it. */
function showGradient(outputs) {
  const chosen = asked ?? (answer.kind === "classes" ? network.label(outputs) : 0);
  const single = outputs.length === 1;
  let gradient = network.gradient(latest, network.layers.length - 1, single ? 0 : chosen);
  if (single && answer.kind === "classes" && chosen === 0) gradient = gradient.map((g) => -g);
  const name = answer.names[chosen];
  const words = answer.kind === "classes" ? `What would make it more of ${article(name)}` : `What would raise ${name}`;
  if (image) {
    paintSigned(byId("gradient"), gradient, image);
    byId("gradient-caption").textContent = words;
  } else {
    const order = [...gradient.keys()].sort((a, b) => Math.abs(gradient[b]) - Math.abs(gradient[a])).slice(0, 12);
    const limit = largestOf(gradient) || 1;
    byId("reasons-caption").replaceChildren(words, element("small", { textContent: ": ∂z\u2060/\u2060∂x" }));
    showBars(byId("reasons-bars"), order.map((i) => ({ name: form.names[i], share: gradient[i] / limit, text: brief(gradient[i]), sign: true })));
  }
}

function article(name) {
  return /^(8|11$|18$|[aeiou])/i.test(name) ? `an ${name}` : `a ${name}`;
}

// Examples of the test set

function exampleInputs(n) {
  const { features } = input;
  if (!image) return Array.from(floatsOf(description.examples.X).subarray(n * features, (n + 1) * features));
  return Float64Array.from(bytesOf(description.examples.X).subarray(n * features, (n + 1) * features), (value) => value / 255);
}

function showExample(n) {
  asked = null;
  if (!image) {
    form.x = exampleInputs(n);
    return update();
  }
  const picture = { height: image[0], width: image[1], channels: image[2], values: exampleInputs(n) };
  return paper.show(canvasOf(picture), { sharp: true, x: picture });
}

function listExamples({ labels, answers }) {
  const wrong = (n) => answer.kind === "classes" && labels[n] !== answers[n];
  labels.forEach((label, n) => {
    const button = element("button", { type: "button", className: wrong(n) ? "example wrong" : "example" });
    if (image) {
      const picture = { height: image[0], width: image[1], channels: image[2], values: exampleInputs(n) };
      button.append(paintInk(element("canvas"), picture));
    }
    const names = answer.kind !== "classes" ? [label ?? n + 1] : wrong(n) ? [answer.names[label], answer.names[answers[n]]] : [answer.names[label]];
    const words = element("span", { className: "words" });
    names.forEach((name, i) => words.append(i ? " → " : "", element("bdi", { textContent: name })));
    button.append(words);
    button.title = wrong(n) ? `is ${names[0]}, taken for ${names[1]}` : `${names[0]}`;
    button.onclick = () => showExample(n);
    byId(wrong(n) ? "wrong-ones" : "right-ones").append(button);
  });
  if (answer.kind === "classes") {
    byId("right-ones").prepend(element("span", { className: "kind", textContent: "right" }));
    if (byId("wrong-ones").children.length) byId("wrong-ones").prepend(element("span", { className: "kind", textContent: "wrong" }));
  }
  byId("examples").hidden = false;
}

// The parts, and what people do with them

for (const part of ["title", "about", "made"]) byId(part).textContent = description[part];
document.title = `${description.title} · ${description.about.split(":")[0]}`;

const form = image ? null : new Form(byId("form"), input.columns, () => update());
const work = new Work(network, image, form?.names ?? [], answer.kind === "picture" ? [] : answer.names);
const paper = image ? new Paper(byId("paper"), image, () => byId("drawing").hidden || update()) : null;

byId("key").hidden = answer.kind !== "classes";
byId("reasons").hidden = image !== null;
if (image) {
  byId("drawing").hidden = byId("pictures").hidden = false;
  byId("output-picture").hidden = answer.kind !== "picture";
  byId("gradient").closest("figure").hidden = answer.kind === "picture";
  byId("centring").hidden = image[2] !== 1;
  byId("centred").checked = input.centred;
  byId("centred").onchange = update;
  byId("colouring").hidden = image[2] === 1;
  byId("colour").oninput = (event) => (paper.colour = event.target.value);
  byId("undo").onclick = () => paper.undo();
  byId("clear").onclick = () => paper.clear();
  byId("open").onclick = () => byId("file").click();
  byId("file").onchange = (event) => paper.open(event.target.files[0]);
  document.addEventListener("keydown", (event) => {
    if (event.key === "z" && (event.ctrlKey || event.metaKey)) paper.undo();
  });
  document.addEventListener("paste", (event) => paper.open([...event.clipboardData.files][0]));
  const card = byId("input");
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      card.classList.toggle("dropping", name === "dragover");
      if (name === "drop") paper.open(event.dataTransfer.files[0]);
    });
  }
}

if (description.examples) {
  listExamples(description.examples);
  if (description.examples.labels.length) showExample(0);
}
update();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
window.addEventListener("resize", () => work.show(latest));
