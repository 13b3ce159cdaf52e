// ---------------------------------------------------------------------------------------------------------------------
// The network at work: every layer's activations, the strongest features of the first, and a unit that one chooses
// ---------------------------------------------------------------------------------------------------------------------

const STRONGEST = 8;

class Work {
  /** `shape` is the input's, an image's height, width and channels, or null; `inputs` are the inputs' names where it is none. */
  constructor(network, shape, inputs, outputs) {
    Object.assign(this, { network, shape, inputs, outputs });
    this.selected = null; // { layer, unit }
    this.views = network.layers.map((layer, l) => {
      const view = new LayerView(layer, (unit) => this.select(l, unit));
      const what = l === network.layers.length - 1 ? "Output" : `Layer ${l + 1}`;
      byId("layers").append(element("h3", {}, `${what} `, element("small", { textContent: this.#describe(layer) })), element("div", {}, view.canvas));
      return view;
    });
  }

  #describe({ kind, units, out_shape: shape, window, activation }) {
    const size = window ? `${window[0]} × ${window[1]}` : "";
    const maps = shape ? `${shape[2]} maps of ${shape[0]} × ${shape[1]}` : "";
    const σ = activation === "identity" ? "" : `, ${activation}`;
    if (kind === "dense") return `${units.toLocaleString("en")} ${units === 1 ? "unit" : "units"}${σ}`;
    if (kind === "conv") return `${maps}, convolution by filters of ${size}${σ}`;
    return `${maps}, the ${kind === "maxpool" ? "largest" : "mean"} of each ${size}`;
  }

  select(layer, unit) {
    const same = this.selected && this.selected.layer === layer && this.selected.unit === unit;
    this.selected = same ? null : { layer, unit };
    this.show(this.pass);
  }

  show(pass) {
    this.pass = pass;
    this.views.forEach((view, l) => view.paint(pass.a[l], this.selected?.layer === l ? this.selected.unit : null));
    this.#showStrongest();
    this.#showUnit();
  }

  /** The first layer's features that answer most to this input, each beside what it sees in it. */
  #showStrongest() {
    const first = this.network.layers[0];
    const parent = byId("strongest");
    if (!this.shape || !first.feature || this.network.layers.length === 1) return;
    const conv = first.kind === "conv";
    const count = conv ? first.maps : first.units;
    const strength = new Float64Array(count);
    const strongestPlace = new Int32Array(count); // of each map
    this.pass.a[0].forEach((a, unit) => {
      const one = unit % count;
      if (Math.abs(a) > strength[one]) [strength[one], strongestPlace[one]] = [Math.abs(a), unit];
    });
    const order = [...strength.keys()].sort((a, b) => strength[b] - strength[a]).slice(0, STRONGEST).filter((one) => strength[one] > 0);
    const tiles = order.map((one) => {
      const feature = first.feature(one);
      const [rows, columns, maps] = first.out_shape ?? [];
      const seen = conv
        ? signedTile(this.pass.a[0].filter((_, unit) => unit % maps === one), [rows, columns, 1])
        : signedTile(feature.map((w, i) => w * this.pass.x[i]), this.shape);
      const shape = conv ? [...first.window, first.in_shape[2]] : this.shape;
      const pair = element("span", { className: "pair" }, signedTile(feature, shape), seen);
      const caption = `${conv ? "map" : "unit"} ${one + 1}: ${brief(this.pass.a[0][conv ? strongestPlace[one] : one])}`;
      const tile = element("button", { type: "button" }, pair, element("figcaption", { textContent: caption }));
      tile.onclick = () => this.select(0, conv ? strongestPlace[one] : one);
      return tile;
    });
    const words = conv ? "filter, and where in the picture it found what it looks for" : "feature, and feature × picture: what it sees here";
    parent.replaceChildren(...tiles);
    if (!this.caption) parent.before((this.caption = element("h3", {}, "Strongest in layer 1 ", element("small", { textContent: words }))));
  }

  /** The unit that was chosen: what it looks for, what it sees, and what it speaks for. */
  #showUnit() {
    const parent = byId("unit");
    parent.replaceChildren();
    if (!this.selected) return;
    const { layer, unit } = this.selected;
    const of = this.network.layers[layer];
    const last = layer === this.network.layers.length - 1;
    const words = element("p", { className: "words" });
    const name = last ? `Output ${this.outputs[unit] ?? unit + 1}` : `Unit ${unit + 1} of layer ${layer + 1}`;
    words.append(element("strong", { textContent: name }), `: z = ${brief(this.pass.z[layer][unit])}, a = ${brief(this.pass.a[layer][unit])}. ${this.#speaksFor(layer, unit)}`);
    parent.append(words);
    const firstDense = layer === 0 && of.kind === "dense";
    const gradient = firstDense ? of.feature(unit) : this.network.gradient(this.pass, layer, unit);
    const product = gradient.map((g, i) => g * this.pass.x[i]);
    if (this.shape) {
      const pictures = [
        [signedTile(gradient, this.shape), firstDense ? "What it looks for: its weights" : "What would raise it here: ∂z/∂x"],
        [signedTile(product, this.shape), "What it sees: the same × the picture"],
      ];
      if (of.kind === "conv") {
        const filter = signedTile(of.feature(unit % of.maps), [...of.window, of.in_shape[2]]);
        pictures.unshift([filter, of.in_shape[2] === 1 || of.in_shape[2] === 3 ? "Its filter" : `Its filter, the mean of ${of.in_shape[2]} channels`]);
      }
      words.before(...pictures.map(([tile, caption]) => element("figure", {}, tile, element("figcaption", { textContent: caption }))));
    } else {
      const table = element("div", { className: "contributions" });
      parent.append(table);
      const order = [...product.keys()].sort((a, b) => Math.abs(product[b]) - Math.abs(product[a])).slice(0, 12);
      const limit = largestOf(product) || 1;
      showBars(table, order.map((i) => ({ name: this.inputs[i], share: product[i] / limit, text: brief(product[i]), sign: true })));
      words.append(firstDense ? " Beside: each input × its weight." : " Beside: each input × ∂z/∂x.");
    }
  }

  /** For a unit right below the outputs: which it raises and which it lowers most. */
  #speaksFor(layer, unit) {
    const above = this.network.layers[layer + 1];
    if (layer !== this.network.layers.length - 2 || above.kind !== "dense" || above.units < 2 || above.units > 100) return "";
    const weights = Array.from({ length: above.units }, (_, output) => above.W[output * above.fan_in + unit]);
    const most = weights.indexOf(Math.max(...weights));
    const least = weights.indexOf(Math.min(...weights));
    return `It speaks for ${this.outputs[most]} (weight ${brief(weights[most])}) and against ${this.outputs[least]} (${brief(weights[least])}).`;
  }
}
