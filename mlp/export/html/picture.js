// ---------------------------------------------------------------------------------------------------------------------
// From a drawing to the image that the network sees
//
// A picture is { height, width, channels, values }, values from 0 (paper) to 1 (ink), row by row, channels last.
// ---------------------------------------------------------------------------------------------------------------------

/** A picture in another size: each new pixel is the mean of what it covers of [left, left + width) × [top, top + height). */
function averageAreas(picture, { top, left, height, width }, rows, columns) {
  const across = overlaps(left, width / columns, columns, picture.width);
  const down = overlaps(top, height / rows, rows, picture.height);
  const channels = picture.channels;
  const values = new Float64Array(rows * columns * channels);
  down.forEach((from, row) => {
    across.forEach((under, column) => {
      const at = (row * columns + column) * channels;
      for (const [y, tall] of from) {
        for (const [x, wide] of under) {
          const source = (y * picture.width + x) * channels;
          for (let channel = 0; channel < channels; channel++) values[at + channel] += tall * wide * picture.values[source + channel];
        }
      }
    });
  });
  return { height: rows, width: columns, channels, values };
}

/** Which of `size` old pixels each of `count` new ones covers, with the share that each has in it: [[pixel, share] …]. */
function overlaps(start, step, count, size) {
  return Array.from({ length: count }, (_, i) => {
    const [from, to] = [start + i * step, start + (i + 1) * step];
    const covered = [];
    for (let pixel = Math.max(0, Math.floor(from)); pixel < Math.min(size, Math.ceil(to)); pixel++) {
      const share = (Math.min(to, pixel + 1) - Math.max(from, pixel)) / step;
      if (share > 1e-9) covered.push([pixel, share]);
    }
    return covered;
  });
}

/** The rows and columns that have ink, or null if there is none. */
function inkBox({ height, width, channels, values }) {
  let [top, left, bottom, right] = [height, width, -1, -1];
  for (let i = 0; i < height * width; i++) {
    if (values[i * channels] === 0) continue;
    const [y, x] = [Math.floor(i / width), i % width];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    [left, right] = [Math.min(left, x), Math.max(right, x)];
  }
  return bottom < 0 ? null : { top, left, height: bottom - top + 1, width: right - left + 1 };
}

/**
 * As MNIST's images were made: the ink's longest side becomes 20 pixels, by averaging areas, and the centre of mass comes to the
 * middle of 28 × 28 by a shift of whole pixels. (The middle is pixel 14 of 0 … 27: in all 70,000 images the centre of mass,
 * rounded, is there.) Other sizes in proportion.
 */
function centre(picture, rows, columns) {
  const empty = { height: rows, width: columns, channels: 1, values: new Float64Array(rows * columns) };
  const box = inkBox(picture);
  if (!box) return empty;
  const scale = Math.max(box.height / Math.round((rows * 20) / 28), box.width / Math.round((columns * 20) / 28));
  const tall = Math.ceil(box.height / scale - 1e-9);
  const wide = Math.ceil(box.width / scale - 1e-9);
  // what the last, incomplete row and column lack is paper on both sides
  const top = box.top - (tall * scale - box.height) / 2;
  const left = box.left - (wide * scale - box.width) / 2;
  const small = averageAreas(picture, { top, left, height: tall * scale, width: wide * scale }, tall, wide);
  let [mass, y, x] = [0, 0, 0];
  small.values.forEach((ink, i) => {
    mass += ink;
    y += ink * Math.floor(i / wide);
    x += ink * (i % wide);
  });
  const down = Math.round(rows / 2) - Math.round(y / mass);
  const right = Math.round(columns / 2) - Math.round(x / mass);
  small.values.forEach((ink, i) => {
    const [row, column] = [Math.floor(i / wide) + down, (i % wide) + right];
    if (row >= 0 && row < rows && column >= 0 && column < columns) empty.values[row * columns + column] = ink;
  });
  return empty;
}

/** The whole paper in the network's size. */
function shrink(picture, rows, columns) {
  return averageAreas(picture, { top: 0, left: 0, height: picture.height, width: picture.width }, rows, columns);
}

/** The ink in a canvas: how opaque it is; in colour, its red, green and blue. */
function readCanvas(canvas, channels) {
  const { width, height } = canvas;
  const pixels = canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, width, height).data;
  const values = new Float64Array(width * height * channels);
  for (let i = 0; i < width * height; i++) {
    if (channels === 1) values[i] = pixels[4 * i + 3] / 255;
    else for (let channel = 0; channel < channels; channel++) values[i * channels + channel] = pixels[4 * i + channel] / 255;
  }
  return { height, width, channels, values };
}

/** A canvas with the picture: ink, black on nothing; or colours. */
function canvasOf({ height, width, channels, values }) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    if (channels === 1) image.data[4 * i + 3] = Math.round(255 * Math.min(1, Math.max(0, values[i])));
    else for (let channel = 0; channel < 4; channel++) image.data[4 * i + channel] = channel < 3 ? 255 * values[i * channels + channel] : 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/**
 * A photograph or file as ink on paper, as a canvas: the paper is what most of its edge is like, and ink whatever differs, dark
 * on light or light on dark. A shadow or grain of less than a fifth of the darkest ink is taken for paper.
 */
function inkOf(image, size) {
  const scale = size / Math.max(image.width, image.height);
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // behind what is transparent
  context.fillRect(0, 0, width, height);
  context.drawImage(image, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const grey = Float64Array.from({ length: width * height }, (_, i) => {
    return (0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]) / 255;
  });
  const edge = grey.filter((_, i) => i < width || i >= width * (height - 1) || i % width === 0 || i % width === width - 1).sort();
  const paper = edge[Math.floor(edge.length / 2)];
  const difference = grey.map((value) => (paper > 0.5 ? paper - value : value - paper));
  const darkest = difference.reduce((a, b) => Math.max(a, b), 0) || 1;
  const values = difference.map((value) => Math.min(1, Math.max(0, (value / darkest - 0.2) / 0.7)));
  return canvasOf({ height, width, channels: 1, values });
}
