// ---------------------------------------------------------------------------------------------------------------------
// Painting: vectors as pictures, bars, and the units of a layer
// ---------------------------------------------------------------------------------------------------------------------

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const byId = (id) => document.getElementById(id);

/** A colour of the style sheet, which depends on whether the page is light or dark, as [red, green, blue]. */
function colour(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  return [1, 3, 5].map((start) => parseInt(text.slice(start, start + 2), 16));
}

const largestOf = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** A number in about three digits, with a real minus sign. */
function brief(number) {
  const size = Math.abs(number);
  const text = size !== 0 && (size >= 1e5 || size < 1e-3) ? number.toExponential(1) : String(+number.toPrecision(3));
  return text.replace("-", "−");
}

const percent = (share) => (share > 0.9995 && share < 1 ? ">99.9 %" : `${(100 * share).toFixed(1)} %`);

/** Paints numbers into a canvas, a pixel each: blue above 0, orange below, the stronger the larger; nothing at 0. In colour
 *  images each channel is grey at 0. `limit` has full strength. */
function paintSigned(canvas, values, [rows, columns, channels], limit = largestOf(values)) {
  Object.assign(canvas, { width: columns, height: rows });
  const image = new ImageData(columns, rows);
  const [above, below] = [colour("positive"), colour("negative")];
  for (let i = 0; i < rows * columns; i++) {
    const at = 4 * i;
    if (channels === 3) {
      for (let k = 0; k < 3; k++) image.data[at + k] = 127.5 * (1 + values[3 * i + k] / (limit || 1));
      image.data[at + 3] = 255;
      continue;
    }
    let value = 0;
    for (let k = 0; k < channels; k++) value += values[channels * i + k] / channels;
    image.data.set(value > 0 ? above : below, at);
    image.data[at + 3] = 255 * Math.min(1, Math.abs(value) / (limit || 1));
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** A canvas that is painted so, in the page. */
function signedTile(values, shape, limit) {
  return paintSigned(element("canvas", { className: "tile" }), values, shape, limit);
}

/** Paints ink, values from 0 to 1; the canvas is of the class "ink", so that style.css turns it round where it is dark. */
function paintInk(canvas, picture) {
  Object.assign(canvas, { width: picture.width, height: picture.height });
  canvas.getContext("2d").drawImage(canvasOf(picture), 0, 0);
  canvas.classList.toggle("ink", picture.channels === 1);
  canvas.style.background = picture.channels === 1 ? "#fdfdfb" : "";
  return canvas;
}

/** Bars, one for each number: { name, share (of the track's width), text, strong, pressed, sign }. `chosen(i)` on a click. */
function showBars(parent, rows, chosen = null) {
  const widest = rows.reduce((most, row) => Math.max(most, row.name.length), 1);
  parent.style.setProperty("--names", `${Math.min(9, 0.6 + 0.62 * widest)}rem`);
  while (parent.children.length > rows.length) parent.lastChild.remove();
  rows.forEach((row, i) => {
    if (!parent.children[i]) {
      const fill = element("span", { className: "fill" });
      const parts = [element("span", { className: "name" }), element("span", { className: "track" }, fill), element("span", { className: "number" })];
      parent.append(element(chosen ? "button" : "div", { type: "button" }, ...parts));
    }
    const bar = parent.children[i];
    const [name, track, number] = bar.children;
    bar.className = row.strong ? "bar answer" : "bar";
    if (chosen) {
      bar.setAttribute("aria-pressed", String(Boolean(row.pressed)));
      bar.onclick = () => chosen(row.index ?? i);
    }
    name.textContent = name.title = row.name;
    number.textContent = row.text;
    const fill = track.firstChild;
    const width = 100 * Math.min(1, Math.max(0, Math.abs(row.share) || 0));
    fill.className = row.sign ? `fill ${row.share < 0 ? "negative" : "positive"}` : "fill";
    fill.style.width = `${row.sign ? width / 2 : width}%`;
    fill.style.left = row.sign ? `${row.share < 0 ? 50 - width / 2 : 50}%` : "0";
  });
}

/**
 * The units of a layer, or its maps, as one canvas: a square for each unit, or for each place of each map.
 * `chosen(unit)` on a click, or with the arrow keys.
 */
class LayerView {
  constructor(layer, chosen) {
    this.layer = layer;
    this.canvas = element("canvas", { className: "layer", tabIndex: 0 });
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-label", `${layer.units} units; arrow keys choose one`);
    const [rows, columns, maps] = layer.out_shape ?? [1, 1, layer.units];
    Object.assign(this, { rows, columns, maps });
    this.cell = rows > 1 || columns > 1 ? Math.max(1, Math.round(64 / Math.max(rows, columns))) : [[32, 24], [300, 14], [1200, 9], [Infinity, 5]].find(([most]) => layer.units <= most)[1];
    this.gap = rows > 1 || columns > 1 ? 6 : this.cell > 14 ? 3 : 2;
    this.canvas.onclick = (event) => {
      const unit = this.#unitAt(event);
      if (unit !== null) chosen(unit);
    };
    this.canvas.onmousemove = (event) => {
      const unit = this.#unitAt(event);
      this.canvas.title = unit === null || !this.a ? "" : `unit ${unit + 1}: ${brief(this.a[unit])}`;
    };
    this.canvas.onkeydown = (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.across, ArrowDown: this.across }[event.key];
      if (!step) return;
      event.preventDefault();
      chosen(Math.min(layer.units - 1, Math.max(0, (this.selected ?? 0) + (rows > 1 ? Math.sign(step) : step))));
    };
  }

  #unitAt(event) {
    const [x, y] = [event.offsetX, event.offsetY];
    const [tileX, tileY] = [Math.floor(x / this.pitchX), Math.floor(y / this.pitchY)];
    const map = tileY * this.across + tileX;
    const column = Math.floor((x - tileX * this.pitchX) / this.cell);
    const row = Math.floor((y - tileY * this.pitchY) / this.cell);
    if (tileX >= this.across || map >= this.maps || column >= this.columns || row >= this.rows) return null;
    return (row * this.columns + column) * this.maps + map;
  }

  paint(a, selected) {
    Object.assign(this, { a, selected });
    const [tileWidth, tileHeight] = [this.columns * this.cell, this.rows * this.cell];
    this.pitchX = tileWidth + this.gap;
    this.pitchY = tileHeight + this.gap;
    const room = this.canvas.parentElement.clientWidth;
    this.across = Math.max(1, Math.min(this.maps, Math.floor((room + this.gap) / this.pitchX)));
    const width = this.across * this.pitchX - this.gap + 2;
    const height = Math.ceil(this.maps / this.across) * this.pitchY - this.gap + 2;
    const sharpness = window.devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * sharpness, height: height * sharpness });
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    const context = this.canvas.getContext("2d");
    context.scale(sharpness, sharpness);
    const limit = largestOf(a) || 1;
    const [above, below, track] = ["positive", "negative", "track"].map((name) => `rgb(${colour(name).join()})`);
    for (let map = 0; map < this.maps; map++) {
      const [left, top] = [(map % this.across) * this.pitchX, Math.floor(map / this.across) * this.pitchY];
      context.globalAlpha = 1;
      context.fillStyle = track;
      context.fillRect(left, top, tileWidth, tileHeight);
      for (let place = 0; place < this.rows * this.columns; place++) {
        const value = a[place * this.maps + map];
        if (value === 0) continue;
        context.globalAlpha = Math.min(1, Math.abs(value) / limit);
        context.fillStyle = value > 0 ? above : below;
        context.fillRect(left + (place % this.columns) * this.cell, top + Math.floor(place / this.columns) * this.cell, this.cell, this.cell);
      }
    }
    if (selected !== null) this.#mark(context, selected);
  }

  #mark(context, unit) {
    const [map, place] = [unit % this.maps, Math.floor(unit / this.maps)];
    const left = (map % this.across) * this.pitchX + (place % this.columns) * this.cell;
    const top = Math.floor(map / this.across) * this.pitchY + Math.floor(place / this.columns) * this.cell;
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.strokeStyle = `rgb(${colour("text").join()})`;
    context.strokeRect(left + 1, top + 1, this.cell - 2, this.cell - 2);
  }
}
