// ---------------------------------------------------------------------------------------------------------------------
// The paper: a canvas on which one draws with a mouse, a finger or a pen
//
// It remembers what was put on it, strokes and pictures, so that the last of them can be taken off again.
// ---------------------------------------------------------------------------------------------------------------------

class Paper {
  /** `changed()` is called after every change. The paper has about 280 pixels, a whole number of them for each of the network's. */
  constructor(canvas, [rows, columns, channels], changed) {
    const times = Math.max(1, Math.round(280 / Math.max(rows, columns)));
    Object.assign(canvas, { width: columns * times, height: rows * times });
    canvas.style.aspectRatio = `${columns} / ${rows}`;
    this.canvas = canvas;
    this.channels = channels;
    this.changed = changed;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.pen = Math.max(canvas.width, canvas.height) / 12;
    this.colour = channels === 1 ? "black" : "white";
    this.marks = []; // each { points } or { picture }
    this.stroke = null; // the one that is being drawn
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    window.addEventListener("pointermove", (event) => this.#continue(event));
    for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, (event) => this.#end(event));
    this.redraw();
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  #begin(event) {
    if (this.stroke || event.button > 0) return;
    event.preventDefault();
    if (this.given) this.marks = []; // an example makes room
    this.stroke = { points: [this.#place(event)], pointer: event.pointerId, colour: this.colour };
    this.add(this.stroke);
  }

  #continue(event) {
    if (!this.stroke || event.pointerId !== this.stroke.pointer) return;
    const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const part of events.length ? events : [event]) this.stroke.points.push(this.#place(part));
    this.redraw();
  }

  #end(event) {
    if (this.stroke && event.pointerId === this.stroke.pointer) this.stroke = null;
  }

  add(mark) {
    this.marks.push(mark);
    this.redraw();
  }

  undo() {
    this.marks.pop();
    this.redraw();
  }

  clear() {
    this.marks = [];
    this.redraw();
  }

  /** Puts a picture on the paper, a canvas or an image, in place of all else: as large as it fits, its pixels sharp or smooth. */
  show(picture, { sharp = false, x = null } = {}) {
    this.marks = [];
    this.add({ picture, sharp, x });
  }

  /** The input that was put on the paper as it is, if there is nothing else on it. */
  get given() {
    return this.marks.length === 1 ? this.marks[0].x ?? null : null;
  }

  get empty() {
    return this.marks.length === 0;
  }

  redraw() {
    const { context, canvas } = this;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (this.channels > 1) {
      context.fillStyle = "black";
      context.fillRect(0, 0, canvas.width, canvas.height);
    }
    for (const mark of this.marks) {
      if (mark.points) this.#drawStroke(mark);
      else this.#drawPicture(mark);
    }
    this.changed();
  }

  /** A smooth line: between the middles of neighbouring points, bent towards the point that is between them. */
  #drawStroke({ points, colour }) {
    const { context } = this;
    Object.assign(context, { lineWidth: this.pen, lineCap: "round", lineJoin: "round", strokeStyle: colour });
    context.beginPath();
    context.moveTo(...points[0]);
    for (let i = 1; i < points.length - 1; i++) {
      const [[x, y], [nextX, nextY]] = [points[i], points[i + 1]];
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    const [x, y] = points[points.length - 1];
    context.lineTo(x + 0.01, y); // a dot is a line too, and one without any length would not be drawn
    context.stroke();
  }

  #drawPicture({ picture, sharp }) {
    const { context, canvas } = this;
    const scale = Math.min(canvas.width / picture.width, canvas.height / picture.height);
    const [width, height] = [picture.width * scale, picture.height * scale];
    context.imageSmoothingEnabled = !sharp;
    context.drawImage(picture, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  }

  /** The file's picture on the paper; what isn't a picture is left alone. */
  async open(file) {
    if (!file || !file.type.startsWith("image/")) return;
    const image = await createImageBitmap(file);
    this.show(this.channels === 1 ? inkOf(image, this.canvas.width) : image);
  }
}
