// One case in linked slices: source, reference, synthetic image and difference in three planes.
//
// The volumes come along the patient's axes (x to the left, y to posterior, z to the head), x
// running fastest, as 16-bit whole numbers: value = slope * stored + intercept. Doses keep their
// own grid; `start` and `step` say where a voxel of the images lies in it.

const PLANES = [
  { name: "axial", axis: 2, across: 0, down: 1, up: false, letters: ["R", "L", "A", "P"] },
  { name: "coronal", axis: 1, across: 0, down: 2, up: true, letters: ["R", "L", "H", "F"] },
  { name: "sagittal", axis: 0, across: 1, down: 2, up: true, letters: ["A", "P", "H", "F"] },
];
const REST_MS = 300; // until the place is told to the page
const LEVELS = 512;
const NO_NUMBER = -32768; // stands for what is no number

const packed = (r, g, b, a = 255) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
const between = (stops, t) => {
  const place = Math.min(Math.max(t, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  return stops[low].map((v, n) => Math.round(v + (place - low) * (stops[low + 1][n] - v)));
};
const table = (stops, alpha = () => 255) =>
  Uint32Array.from({ length: LEVELS }, (_, n) =>
    packed(...between(stops, n / (LEVELS - 1)), Math.round(alpha(n / (LEVELS - 1)))));

// The difference rises from dark to light, so that its sign stays in grey print.
const COLOURS = {
  grey: table([[0, 0, 0], [255, 255, 255]]),
  inverted: table([[255, 255, 255], [0, 0, 0]]),
  difference: table([[5, 25, 75], [40, 90, 165], [128, 128, 128], [225, 160, 80], [255, 240, 200]]),
  dose: table([[20, 20, 110], [0, 130, 180], [70, 180, 90], [240, 210, 60], [215, 50, 30]]),
  gamma: table([[60, 90, 160], [150, 170, 200], [250, 215, 130], [220, 80, 40], [120, 0, 30]]),
};

class Volume {
  constructor(facts, shape) {
    Object.assign(this, facts);
    this.shape = facts.shape || shape;
    this.stride = [1, this.shape[0], this.shape[0] * this.shape[1]];
    this.voxels = null;
    this.problem = "";
  }

  async fetch(signal) {
    const answer = await fetch(new URL(this.url, document.baseURI), { signal });
    if (!answer.ok) throw new Error(await answer.text());
    this.voxels = new Int16Array(await answer.arrayBuffer());
  }

  value(stored) {
    return stored === NO_NUMBER ? NaN : stored * this.slope + this.intercept;
  }

  /** The value at a voxel of the images, or NaN outside. */
  at(point) {
    if (!this.voxels) return NaN;
    if (!this.step) {
      const n = point[0] + this.stride[1] * point[1] + this.stride[2] * point[2];
      return this.value(this.voxels[n]);
    }
    const low = [0, 0, 0], part = [0, 0, 0];
    for (let a = 0; a < 3; a++) {
      const place = this.start[a] + this.step[a] * point[a];
      if (!(place >= -1e-6 && place <= this.shape[a] - 1 + 1e-6)) return NaN;
      low[a] = Math.min(Math.max(Math.floor(place), 0), Math.max(this.shape[a] - 2, 0));
      part[a] = this.nearest ? Math.round(place - low[a]) : place - low[a];
    }
    let sum = 0;
    for (let corner = 0; corner < 8; corner++) {
      let weight = 1, n = 0;
      for (let a = 0; a < 3; a++) {
        const up = (corner >> a) & 1;
        weight *= up ? part[a] : 1 - part[a];
        n += this.stride[a] * (low[a] + (weight ? up : 0));
      }
      if (weight) sum += weight * this.value(this.voxels[n]);
    }
    return sum;
  }

  /** The values of one slice, rows as they are shown. */
  slice(plane, index, shape) {
    const width = shape[plane.across], height = shape[plane.down];
    const values = new Float32Array(width * height);
    const point = [0, 0, 0];
    point[plane.axis] = index;
    for (let row = 0; row < height; row++) {
      point[plane.down] = plane.up ? height - 1 - row : row;
      if (!this.step) {
        let n = this.stride[plane.axis] * index + this.stride[plane.down] * point[plane.down];
        const along = this.stride[plane.across];
        for (let x = 0, o = row * width; x < width; x++, n += along, o++)
          values[o] = this.value(this.voxels[n]);
      } else {
        for (let x = 0, o = row * width; x < width; x++, o++) {
          point[plane.across] = x;
          values[o] = this.at(point);
        }
      }
    }
    return values;
  }
}

/** Lines of equal value in a slice (marching squares), as segments in pixels of the slice. */
function isoline(values, width, height, level) {
  const lines = [];
  const cross = (a, b) => (level - a) / (b - a);
  for (let y = 0; y < height - 1; y++) {
    for (let x = 0, n = y * width; x < width - 1; x++, n++) {
      const a = values[n], b = values[n + 1], c = values[n + width + 1], d = values[n + width];
      const kind = (a >= level) | ((b >= level) << 1) | ((c >= level) << 2) | ((d >= level) << 3);
      if (kind === 0 || kind === 15 || Number.isNaN(a + b + c + d)) continue;
      const ends = [];
      if ((a >= level) !== (b >= level)) ends.push(x + cross(a, b), y);
      if ((b >= level) !== (c >= level)) ends.push(x + 1, y + cross(b, c));
      if ((c >= level) !== (d >= level)) ends.push(x + 1 - cross(c, d), y + 1);
      if ((d >= level) !== (a >= level)) ends.push(x, y + 1 - cross(d, a));
      for (let e = 0; e + 3 < ends.length; e += 4) lines.push(ends.slice(e, e + 4));
    }
  }
  return lines;
}
