// ---------------------------------------------------------------------------------------------------------------------
// The network: its weights, the forward pass, and how an output changes with the input
//
// A layer is z = W a + b, then a = σ(z). An image is kept row by row, channels last, as the network was trained on it.
// Every kind of layer says two things: `forward(a)` gives z, and `back(delta)` sends ∂/∂z to ∂/∂(inputs), as in backpropagation.
// ---------------------------------------------------------------------------------------------------------------------

/** Bytes of base64. */
function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** 32-bit floating-point numbers of base64 (little-endian, as the machines are that run browsers). */
function floatsOf(text) {
  return new Float32Array(bytesOf(text).buffer);
}

/** A matrix: 32-bit numbers as they are, or 8-bit numbers, each row of which has a scale. */
function matrixOf({ rows, columns, values, scales }) {
  if (!scales) return floatsOf(values);
  const small = new Int8Array(bytesOf(values).buffer);
  const scale = floatsOf(scales);
  const W = new Float32Array(rows * columns);
  for (let i = 0; i < W.length; i++) W[i] = small[i] * scale[Math.floor(i / columns)];
  return W;
}

/** The error function, by its series with positive terms: erf x = (2/√π) e^−x² Σ 2ⁿ x²ⁿ⁺¹/(2n+1)!! (Abramowitz and Stegun, 7.1.6). */
function erf(x) {
  if (Math.abs(x) > 6) return Math.sign(x); // to the last bit
  let [term, sum] = [x, x];
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) sum += term *= (2 * x * x) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const logistic = (z) => (1 + Math.tanh(z / 2)) / 2;

/** Φ(z), the normal distribution's. */
const normal = (z) => (1 + erf(z * Math.SQRT1_2)) / 2;

/** σ(z), and σ′ from z and a = σ(z), element by element; each may have a parameter, which is the last argument. */
const ACTIVATIONS = {
  identity: { value: (z) => z, derivative: () => 1 },
  relu: { value: (z) => Math.max(z, 0), derivative: (z) => (z > 0 ? 1 : 0) },
  softplus: {
    value: (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))),
    derivative: (z) => 1 / (1 + Math.exp(-z)),
  },
  threshold: { value: (z) => (z > 0 ? 1 : 0), derivative: () => 0 },
  logistic: { value: logistic, derivative: (z, a) => a * (1 - a) },
  tanh: { value: Math.tanh, derivative: (z, a) => 1 - a * a },
  leaky_relu: { value: (z, slope) => (z > 0 ? z : slope * z), derivative: (z, a, slope) => (z > 0 ? 1 : slope) },
  elu: {
    value: (z, alpha) => (z > 0 ? z : alpha * Math.expm1(z)),
    derivative: (z, a, alpha) => (z > 0 ? 1 : alpha * Math.exp(z)),
  },
  gelu: {
    value: (z) => z * normal(z),
    derivative: (z) => normal(z) + (z * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI),
  },
  silu: { value: (z) => z * logistic(z), derivative: (z, a) => logistic(z) * (1 + z - a) },
  exponential: { value: Math.exp, derivative: (z, a) => a },
};

/** An activation by its name, such as "relu", or "elu:0.5" with its parameter. */
function activationOf(name) {
  const [kind, parameter] = name.split(":");
  const { value, derivative } = ACTIVATIONS[kind];
  return { value: (z) => value(z, Number(parameter)), derivative: (z, a) => derivative(z, a, Number(parameter)) };
}

function softmax(z) {
  const largest = z.reduce((a, b) => Math.max(a, b), -Infinity); // the largest exponent is 0: nothing overflows
  const exponentials = z.map((value) => Math.exp(value - largest));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / sum);
}

function activate(name, z) {
  return name === "softmax" ? softmax(z) : z.map(activationOf(name).value);
}

/** A fully connected layer. */
class Dense {
  constructor(described) {
    Object.assign(this, described);
    this.W = matrixOf(described.W);
    this.b = floatsOf(described.b);
  }

  forward(a) {
    const { W, b, units, fan_in } = this;
    const z = new Float64Array(units);
    for (let unit = 0, i = 0; unit < units; unit++) {
      let sum = b[unit];
      for (let input = 0; input < fan_in; input++, i++) sum += W[i] * a[input];
      z[unit] = sum;
    }
    return z;
  }

  back(delta) {
    const below = new Float64Array(this.fan_in); // Wᵀ δ
    for (let unit = 0; unit < this.units; unit++) {
      if (delta[unit] === 0) continue;
      const start = unit * this.fan_in;
      for (let input = 0; input < this.fan_in; input++) below[input] += this.W[start + input] * delta[unit];
    }
    return below;
  }

  /** What a unit looks for: its row of W, one number for each input. */
  feature(unit) {
    return this.W.subarray(unit * this.fan_in, (unit + 1) * this.fan_in);
  }
}

/** What convolution and pooling share: a window that slides over an image. */
class Windowed {
  constructor(described) {
    Object.assign(this, described);
  }

  /** Calls visit(place, channels' start in the input, index in the window) for each input under each window. */
  eachInput(visit) {
    const [height, width, channels] = this.in_shape;
    const [rows, columns] = this.out_shape;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        for (let i = 0; i < this.window[0]; i++) {
          const y = row * this.stride[0] + i - this.padding[0];
          if (y < 0 || y >= height) continue;
          for (let j = 0; j < this.window[1]; j++) {
            const x = column * this.stride[1] + j - this.padding[1];
            if (x < 0 || x >= width) continue;
            visit(row * columns + column, (y * width + x) * channels, i * this.window[1] + j);
          }
        }
      }
    }
  }
}

/** Convolution: the same W at every place of the image. */
class Conv extends Windowed {
  constructor(described) {
    super(described);
    this.W = matrixOf(described.W);
    this.b = floatsOf(described.b);
    this.maps = this.out_shape[2];
    this.inputs = this.window[0] * this.window[1] * this.in_shape[2]; // under a window
  }

  forward(a) {
    const channels = this.in_shape[2];
    const z = new Float64Array(this.units);
    for (let i = 0; i < z.length; i++) z[i] = this.b[i % this.maps];
    this.eachInput((place, from, at) => {
      for (let map = 0; map < this.maps; map++) {
        const w = map * this.inputs + at * channels;
        let sum = 0;
        for (let channel = 0; channel < channels; channel++) sum += this.W[w + channel] * a[from + channel];
        z[place * this.maps + map] += sum;
      }
    });
    return z;
  }

  back(delta) {
    const channels = this.in_shape[2];
    const below = new Float64Array(this.fan_in);
    this.eachInput((place, from, at) => {
      for (let map = 0; map < this.maps; map++) {
        const error = delta[place * this.maps + map];
        if (error === 0) continue;
        const w = map * this.inputs + at * channels;
        for (let channel = 0; channel < channels; channel++) below[from + channel] += this.W[w + channel] * error;
      }
    });
    return below;
  }

  /** A map's filter, (window's height, window's width, channels). */
  feature(map) {
    return this.W.subarray(map * this.inputs, (map + 1) * this.inputs);
  }
}

/** The largest of each window, or the mean. */
class Pool extends Windowed {
  forward(a) {
    const channels = this.in_shape[2];
    const largest = this.kind === "maxpool";
    const z = new Float64Array(this.units).fill(largest ? -Infinity : 0);
    this.winners = new Int32Array(this.units); // the input that each unit has its number from
    const share = 1 / (this.window[0] * this.window[1]);
    this.eachInput((place, from) => {
      for (let channel = 0; channel < channels; channel++) {
        const unit = place * channels + channel;
        const value = a[from + channel];
        if (!largest) z[unit] += share * value;
        else if (value > z[unit]) [z[unit], this.winners[unit]] = [value, from + channel];
      }
    });
    return z;
  }

  back(delta) {
    const below = new Float64Array(this.fan_in);
    if (this.kind === "maxpool") {
      delta.forEach((error, unit) => (below[this.winners[unit]] += error));
      return below;
    }
    const channels = this.in_shape[2];
    const share = 1 / (this.window[0] * this.window[1]);
    this.eachInput((place, from) => {
      for (let channel = 0; channel < channels; channel++) below[from + channel] += share * delta[place * channels + channel];
    });
    return below;
  }
}

const KINDS = { dense: Dense, conv: Conv, maxpool: Pool, meanpool: Pool };

class Network {
  constructor(description) {
    this.layers = description.layers.map((described) => new KINDS[described.kind](described));
  }

  /** The forward pass: { x, z: [z¹ … z^L], a: [a¹ … a^L] }, vectors. */
  forward(x) {
    const pass = { x, z: [], a: [] };
    let a = new Float64Array(x);
    for (const layer of this.layers) {
      const z = layer.forward(a);
      a = activate(layer.activation, z);
      pass.z.push(z);
      pass.a.push(a);
    }
    return pass;
  }

  /** ∂z/∂x for the weighted input z of one unit: which changes of the input would raise it. `pass` is the latest forward pass. */
  gradient(pass, layer, unit) {
    let delta = new Float64Array(this.layers[layer].units);
    delta[unit] = 1;
    for (let l = layer; l >= 0; l--) {
      delta = this.layers[l].back(delta);
      if (l > 0) {
        const { derivative } = activationOf(this.layers[l - 1].activation);
        delta = delta.map((error, j) => error * derivative(pass.z[l - 1][j], pass.a[l - 1][j]));
      }
    }
    return delta;
  }

  get output() {
    return this.layers[this.layers.length - 1];
  }

  /** The number of the class that the outputs name: the largest; of a single output, whether it is above ½. */
  label(outputs) {
    if (outputs.length === 1) return outputs[0] > 0.5 ? 1 : 0;
    return outputs.indexOf(outputs.reduce((a, b) => Math.max(a, b), -Infinity));
  }
}
