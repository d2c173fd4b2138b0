// The viewer: panes, controls, keys and pointer; what it draws is in volume.js, which comes first.

const signed = (value, digits) => value.toFixed(digits).replace("-", "−");
const told = (value, facts) =>
  Number.isNaN(value) ? (facts.step ? "outside" : "no number") : `${signed(value, facts.digits ?? 0)} ${facts.unit}`;

class Viewer {
  constructor(parent) {
    this.root = parent.querySelector(".viewer");
    this.panes = [];
    this.onKey = (event) => this.key(event);
    this.root.addEventListener("keydown", this.onKey);
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.root);
  }

  /** Take what the page says; a new case is fetched. */
  update({ data, setStateValue, setTriggerValue }) {
    this.tell = setStateValue;
    this.pull = setTriggerValue;
    const other = !this.data || this.data.key !== data.key;
    for (const mask of data.masks) {
      const before = other ? null : this.data.masks.find((one) => one.role === mask.role);
      if (before) mask.hidden = before.hidden;
    }
    this.data = data;
    if (other) this.open();
  }

  open() {
    const { data } = this;
    this.abort?.abort();
    this.abort = new AbortController();
    this.volumes = Object.fromEntries(
      Object.entries(data.volumes).map(([role, facts]) => [role, new Volume(facts, data.shape)]));
    this.windows = Object.fromEntries(
      Object.entries(data.volumes).map(([role, facts]) => [role, [...(facts.window || [0, 1])]]));
    this.windows.difference = [-data.difference, data.difference];
    this.point = [...data.point];
    this.layout = "all";
    this.overlay = "none";
    this.opacity = 0.5;
    this.build();
    const begun = performance.now();
    for (const [role, volume] of Object.entries(this.volumes)) {
      volume.fetch(this.abort.signal).then(
        () => {
          this.root.dataset.loadedMs = Math.round(performance.now() - begun);
          this.draw(true);
        },
        (error) => {
          if (error.name === "AbortError") return;
          this.say(`${role} cannot be shown: ${error.message}`);
        });
    }
  }

  say(text) {
    this.problem.textContent = text;
    this.problem.hidden = !text;
  }

  build() {
    const { data } = this;
    const make = (tag, more = {}, ...inside) => {
      const element = Object.assign(document.createElement(tag), more);
      element.append(...inside);
      return element;
    };
    const choice = (label, options, now, done) => {
      const select = make("select");
      for (const [value, text] of options) select.append(make("option", { value, textContent: text }));
      select.value = now;
      select.onchange = () => done(select.value);
      return make("label", {}, label, select);
    };
    const planes = [["all", "all three"], ...PLANES.map((p) => [p.name, p.name])];
    const overlays = [["none", "nothing"]];
    if (this.volumes.source) overlays.push(["fusion", "synthetic over source"]);
    if (this.volumes.dose_reference) overlays.push(["dose", "dose and isodoses"]);
    if (this.volumes.gamma) overlays.push(["gamma", "gamma"]);
    const opacity = make("input", { type: "range", min: 0, max: 100, value: 50 });
    opacity.oninput = () => { this.opacity = opacity.value / 100; this.draw(true); };
    const bar = make("div", { className: "bar" },
      choice("Planes", planes, this.layout, (v) => { this.layout = v; this.arrange(); }),
      choice("Window", data.presets.map((p, n) => [n, p.name]), 0, (n) => this.preset(+n)),
      choice("Over it", overlays, this.overlay, (v) => { this.overlay = v; this.draw(true); }),
      make("label", {}, "Opacity", opacity));
    if (data.masks.length) {
      for (const mask of data.masks) {
        const box = make("input", { type: "checkbox", checked: !mask.hidden });
        box.onchange = () => {
          this.data.masks.find((one) => one.role === mask.role).hidden = !box.checked;
          this.draw(true);
        };
        const swatch = make("span", { className: "swatch" });
        swatch.style.borderTop = `3px ${mask.dash ? "dashed" : "solid"} ${mask.colour}`;
        bar.append(make("label", {}, box, swatch, mask.name));
      }
    }
    this.problem = make("p", { className: "problem", hidden: true, role: "alert" });
    this.problem.setAttribute("role", "alert");
    this.grid = make("div", { className: "grid" });
    this.legend = make("p", { className: "legend" });
    this.status = make("p", { className: "status" });
    this.status.setAttribute("role", "status");
    const keys = make("p", { className: "keys", textContent:
      "Wheel or Page Up / Page Down: slice · click or arrows: place · drag with the right button: window · " +
      "double click: one plane · n / p: next, previous case" });
    this.root.replaceChildren(bar, this.problem, this.grid, this.legend, this.status, keys);
    this.columns = [...data.columns];
    this.panes = PLANES.flatMap((plane) => this.columns.map((role) => this.pane(make, plane, role)));
    this.arrange();
  }

  pane(make, plane, role) {
    const canvas = make("canvas", { tabIndex: 0 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${role}, ${plane.name}`);
    canvas.dataset.pane = `${role}-${plane.name}`;
    const title = make("figcaption");
    const pane = { plane, role, canvas, title, box: make("figure", {}, title, canvas), key: "" };
    canvas.onwheel = (event) => {
      event.preventDefault();
      this.step(plane.axis, -Math.sign(event.deltaY));
    };
    let dragged = null;
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
      dragged = event.button === 2 || event.shiftKey ? [event.clientX, event.clientY] : "place";
      if (dragged === "place") this.pick(pane, event);
    };
    canvas.onpointermove = (event) => {
      if (dragged === "place") this.pick(pane, event);
      else if (dragged) {
        this.drag(role, event.clientX - dragged[0], event.clientY - dragged[1]);
        dragged = [event.clientX, event.clientY];
      }
    };
    canvas.onpointerup = canvas.onpointercancel = () => { dragged = null; };
    canvas.oncontextmenu = (event) => event.preventDefault();
    canvas.ondblclick = () => {
      this.layout = this.layout === "all" ? plane.name : "all";
      this.root.querySelector("select").value = this.layout;
      this.arrange();
    };
    return pane;
  }

  arrange() {
    const shown = this.panes.filter((p) => this.layout === "all" || p.plane.name === this.layout);
    const across = this.layout === "all" ? this.columns.length : Math.min(2, this.columns.length);
    this.grid.style.gridTemplateColumns = `repeat(${across}, minmax(0, 1fr))`;
    this.grid.replaceChildren(...shown.map((p) => p.box));
    this.resize();
  }

  resize() {
    if (!this.data) return;
    const ratio = window.devicePixelRatio || 1;
    const { shape, spacing } = this.data;
    for (const pane of this.panes) {
      const width = pane.box.clientWidth;
      if (!pane.box.isConnected || !width) continue;
      const wide = shape[pane.plane.across] * spacing[pane.plane.across];
      const high = shape[pane.plane.down] * spacing[pane.plane.down];
      const height = Math.min(width * high / wide, this.layout === "all" ? width * 1.25 : 620);
      pane.scale = Math.min(width / wide, height / high) * ratio; // pixels a mm
      pane.canvas.width = Math.round(width * ratio);
      pane.canvas.height = Math.round(height * ratio);
      pane.canvas.style.height = `${height}px`;
      pane.left = (pane.canvas.width - wide * pane.scale) / 2;
      pane.top = (pane.canvas.height - high * pane.scale) / 2;
    }
    this.draw(false);
  }

  /** Which volume is drawn in a pane, and with which colours. */
  shown(role) {
    if (role !== "difference") {
      const inverted = this.volumes[role].inverted;
      return { colours: inverted ? COLOURS.inverted : COLOURS.grey, window: this.windows[role] };
    }
    if (this.overlay === "gamma")
      return { colours: COLOURS.gamma, window: [0, 2], of: "gamma" };
    if (this.overlay === "dose")
      return { colours: COLOURS.difference, window: [-this.data.dose_difference, this.data.dose_difference], of: "dose" };
    return { colours: COLOURS.difference, window: this.windows.difference, of: "images" };
  }

  values(pane, index) {
    const { volumes, data } = this;
    const cut = (role) => volumes[role]?.voxels && volumes[role].slice(pane.plane, index, data.shape);
    if (pane.role !== "difference") return cut(pane.role);
    const { of } = this.shown("difference");
    if (of === "gamma") return cut("gamma")?.map((v) => (v < 0 ? NaN : v));
    const [one, two] = of === "dose" ? ["dose_synthetic", "dose_reference"] : ["synthetic", "reference"];
    const made = cut(one), known = cut(two);
    return made && known && made.map((v, n) => v - known[n]);
  }

  overlaid(pane, index) {
    const { volumes, data } = this;
    const role = this.overlay === "fusion" && pane.role === "source" ? "synthetic"
      : this.overlay === "dose" && pane.role !== "source" && pane.role !== "difference"
        ? `dose_${pane.role}` : "";
    if (!role || !volumes[role]?.voxels) return null;
    const values = volumes[role].slice(pane.plane, index, data.shape);
    return role === "synthetic"
      ? { values, colours: COLOURS.grey, window: this.windows.synthetic, from: -Infinity }
      : { values, colours: COLOURS.dose, window: [0, data.dose_top], from: data.dose_top * 0.1, levels: data.isodoses };
  }

  paint(pane, index) {
    const { shape } = this.data;
    const width = shape[pane.plane.across], height = shape[pane.plane.down];
    const values = this.values(pane, index);
    if (!values) return null;
    const picture = new ImageData(width, height);
    const pixels = new Uint32Array(picture.data.buffer);
    const { colours, window: [low, high] } = this.shown(pane.role);
    const scale = (LEVELS - 1) / (high - low || 1);
    const clear = pane.role === "difference" ? packed(0, 0, 0, 0) : packed(255, 0, 200);
    for (let n = 0; n < values.length; n++) {
      const level = (values[n] - low) * scale;
      pixels[n] = Number.isNaN(level) ? clear : colours[level < 0 ? 0 : level > LEVELS - 1 ? LEVELS - 1 : level | 0];
    }
    const over = this.overlaid(pane, index);
    if (over) this.blend(pixels, over);
    const sheet = new OffscreenCanvas(width, height);
    sheet.getContext("2d").putImageData(picture, 0, 0);
    const lines = (over?.levels || []).map((one) => ({ ...one, lines: isoline(over.values, width, height, one.gy) }));
    for (const mask of this.data.masks) {
      const volume = this.volumes[mask.role];
      if (mask.hidden || !volume?.voxels) continue;
      const inside = volume.slice(pane.plane, index, shape);
      lines.push({ ...mask, lines: isoline(inside, width, height, 0.5) });
    }
    return { sheet, lines };
  }

  blend(pixels, { values, colours, window: [low, high], from }) {
    const scale = (LEVELS - 1) / (high - low || 1), share = this.opacity;
    for (let n = 0; n < values.length; n++) {
      if (!(values[n] >= from)) continue;
      const over = colours[Math.max(0, Math.min(LEVELS - 1, ((values[n] - low) * scale) | 0))], under = pixels[n];
      const mix = (shift) => (((over >>> shift) & 255) * share + ((under >>> shift) & 255) * (1 - share)) & 255;
      pixels[n] = packed(mix(0), mix(8), mix(16));
    }
  }

  draw(anew) {
    cancelAnimationFrame(this.frame);
    this.anew = this.anew || anew;
    this.frame = requestAnimationFrame(() => {
      const begun = performance.now();
      for (const pane of this.panes) if (pane.box.isConnected) this.drawPane(pane, this.anew);
      if (this.anew) this.explain();
      this.anew = false;
      this.readout();
      this.root.dataset.redrawMs = (performance.now() - begun).toFixed(1);
    });
  }

  drawPane(pane, anew) {
    const { data, point } = this, { plane, canvas } = pane;
    const index = point[plane.axis];
    const context = canvas.getContext("2d");
    if (anew || pane.index !== index || !pane.drawn) {
      pane.drawn = this.paint(pane, index);
      pane.index = index;
    }
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    const { scale, left, top } = pane;
    const across = data.spacing[plane.across] * scale, down = data.spacing[plane.down] * scale;
    const rows = data.shape[plane.down];
    const font = Math.round(canvas.width / Math.max(canvas.clientWidth, 1) * 12);
    context.font = `${font}px sans-serif`;
    if (pane.drawn) {
      context.imageSmoothingEnabled = true;
      const { sheet, lines } = pane.drawn;
      context.drawImage(sheet, left, top, sheet.width * across, sheet.height * down);
      for (const one of lines) {
        context.beginPath();
        context.strokeStyle = one.colour;
        context.lineWidth = font / 8;
        for (const [x0, y0, x1, y1] of one.lines) {
          if (one.dash && Math.floor((x0 + y0) / 2) % 2) continue; // segments are shorter than dashes
          context.moveTo(left + (x0 + 0.5) * across, top + (y0 + 0.5) * down);
          context.lineTo(left + (x1 + 0.5) * across, top + (y1 + 0.5) * down);
        }
        context.stroke();
      }
    }
    const x = left + (point[plane.across] + 0.5) * across;
    const row = plane.up ? rows - 1 - point[plane.down] : point[plane.down];
    const y = top + (row + 0.5) * down;
    context.strokeStyle = "rgba(255, 214, 10, 0.75)";
    context.lineWidth = 1;
    context.beginPath();
    const gap = font * 0.6;
    for (const [x0, y0, x1, y1] of [[0, y, x - gap, y], [x + gap, y, canvas.width, y], [x, 0, x, y - gap], [x, y + gap, x, canvas.height]]) {
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
    }
    context.stroke();
    this.marks(context, pane, font);
  }

  /** Letters of the patient's sides, a bar of 1 to 10 cm, and the places that were commented. */
  marks(context, pane, font) {
    const { canvas, plane, scale } = pane;
    const write = (text, x, y, align = "center") => {
      context.textAlign = align;
      context.lineWidth = font / 4;
      context.strokeStyle = "#000";
      context.strokeText(text, x, y);
      context.fillStyle = "#fff";
      context.fillText(text, x, y);
    };
    context.textBaseline = "middle";
    const [l, r, t, b] = plane.letters;
    write(l, font * 0.8, canvas.height / 2);
    write(r, canvas.width - font * 0.8, canvas.height / 2);
    write(t, canvas.width / 2, font);
    write(b, canvas.width / 2, canvas.height - font);
    const wide = this.data.shape[plane.across] * this.data.spacing[plane.across];
    const cm = [10, 5, 2, 1].find((one) => one * 10 <= wide / 4) || 1;
    const long = cm * 10 * scale, end = canvas.width - font * 0.7, low = canvas.height - font * 0.8;
    context.fillStyle = "#fff";
    context.fillRect(end - long, low, long, Math.max(2, font / 6));
    write(`${cm} cm`, end - long / 2, low - font * 0.9);
    const across = this.data.spacing[plane.across] * scale, down = this.data.spacing[plane.down] * scale;
    for (const { point } of this.data.places) {
      if (Math.abs(point[plane.axis] - this.point[plane.axis]) > 1) continue;
      const row = plane.up ? this.data.shape[plane.down] - 1 - point[plane.down] : point[plane.down];
      context.strokeStyle = "#ff5cc8";
      context.lineWidth = font / 6;
      context.beginPath();
      context.arc(pane.left + (point[plane.across] + 0.5) * across, pane.top + (row + 0.5) * down, font * 0.7, 0, 7);
      context.stroke();
    }
  }

  readout() {
    const { data, point, volumes } = this;
    const mm = data.origin.map((o, row) =>
      o + [0, 1, 2].reduce((sum, a) => sum + data.axes[row * 3 + a] * data.spacing[a] * point[a], 0));
    const parts = [`Place (LPS) ${mm.map((v) => signed(v, 1)).join(", ")} mm`];
    const value = (role) => (volumes[role]?.voxels ? volumes[role].at(point) : undefined);
    for (const [role, volume] of Object.entries(volumes)) {
      if (volume.outline || !volume.voxels) continue;
      const v = value(role);
      parts.push(`${volume.title} ${role === "gamma" && v < 0 ? "not judged" : told(v, volume)}`);
      if (role === "synthetic" && volumes.reference?.voxels) {
        const gap = v - value("reference");
        parts.push(`difference ${gap > 0 ? "+" : ""}${told(gap, volume)}`);
      }
    }
    this.status.textContent = parts.join(" · ");
    for (const pane of this.panes) {
      const { of, window: [low, high] } = this.shown(pane.role);
      const name = of === "gamma" ? "Gamma" : of === "dose" ? "Dose difference, synthetic − reference"
        : pane.role === "difference" ? "Difference, synthetic − reference" : volumes[pane.role].title;
      const unit = of === "gamma" ? "" : of === "dose" ? "Gy" : pane.role === "difference" ? data.unit : volumes[pane.role].unit;
      const digits = high - low < 20 ? 1 : 0;
      const number = `slice ${point[pane.plane.axis] + 1} of ${data.shape[pane.plane.axis]}`;
      pane.title.textContent = `${name} · ${signed(low, digits)} to ${signed(high, digits)} ${unit} · ${number}`;
    }
  }

  /** Say what the colours mean: of the lines over a dose, and of the pane of differences. */
  explain() {
    const swatch = (css, text) => {
      const mark = document.createElement("span");
      mark.className = "swatch";
      mark.style.cssText = css;
      const word = document.createElement("span");
      word.className = "word";
      word.append(mark, text);
      return word;
    };
    const words = [];
    if (this.overlay === "dose")
      for (const one of this.data.isodoses)
        words.push(swatch(`border-top: 3px solid ${one.colour}`, `${one.name} = ${one.gy.toFixed(1)} Gy`));
    const { colours, window: [low, high], of } = this.shown("difference");
    const stops = [0, 0.25, 0.5, 0.75, 1].map((t) => {
      const colour = colours[Math.round(t * (LEVELS - 1))];
      return `rgb(${colour & 255}, ${(colour >>> 8) & 255}, ${(colour >>> 16) & 255})`;
    });
    const unit = of === "gamma" ? "" : of === "dose" ? " Gy" : ` ${this.data.unit}`;
    const name = of === "gamma" ? "γ" : "synthetic − reference";
    const digits = high - low < 20 ? 1 : 0;
    words.push(swatch(`background: linear-gradient(to right, ${stops}); width: 120px; height: 12px`,
      `${name}: ${signed(low, digits)} (left) to ${signed(high, digits)}${unit}`));
    this.legend.replaceChildren(...words);
  }

  go(point) {
    this.point = point.map((v, a) => Math.max(0, Math.min(this.data.shape[a] - 1, Math.round(v))));
    this.draw(false);
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.tell("point", this.point), REST_MS);
  }

  step(axis, by) {
    const point = [...this.point];
    point[axis] += by;
    this.go(point);
  }

  pick(pane, event) {
    const { plane, left, top, scale, canvas } = pane, { spacing, shape } = this.data;
    const ratio = canvas.width / canvas.clientWidth;
    const point = [...this.point];
    point[plane.across] = Math.floor((event.offsetX * ratio - left) / (spacing[plane.across] * scale));
    const row = Math.floor((event.offsetY * ratio - top) / (spacing[plane.down] * scale));
    point[plane.down] = plane.up ? shape[plane.down] - 1 - row : row;
    this.go(point);
  }

  drag(role, dx, dy) {
    const roles = role === "reference" || role === "synthetic" ? ["reference", "synthetic"] : [role];
    for (const one of roles.filter((r) => this.windows[r])) {
      const [low, high] = this.windows[one];
      const width = Math.max((high - low) * (1 + dx / 200), 1e-3);
      const level = one === "difference" ? 0 : (low + high) / 2 + ((high - low) * dy) / 200;
      this.windows[one] = [level - width / 2, level + width / 2];
    }
    this.draw(true);
  }

  preset(number) {
    const preset = this.data.presets[number];
    for (const [role, limits] of Object.entries(preset.windows)) this.windows[role] = [...limits];
    this.draw(true);
  }

  key(event) {
    if (event.target.matches("select, input, button")) return;
    const pane = this.panes.find((p) => p.canvas === event.target) || this.panes[0];
    const { plane } = pane, up = plane.up ? 1 : -1;
    const moves = {
      ArrowLeft: [plane.across, -1], ArrowRight: [plane.across, 1],
      ArrowUp: [plane.down, up], ArrowDown: [plane.down, -up],
      PageUp: [plane.axis, 1], PageDown: [plane.axis, -1],
    };
    if (moves[event.key]) this.step(...moves[event.key]);
    else if (event.key === "n" || event.key === "p") this.pull("turn", event.key === "n" ? 1 : -1);
    else return;
    event.preventDefault();
  }

  close() {
    this.abort?.abort();
    this.sizes.disconnect();
    clearTimeout(this.rest);
    cancelAnimationFrame(this.frame);
    this.root.removeEventListener("keydown", this.onKey);
  }
}

export default function (component) {
  const { parentElement } = component;
  const viewer = (parentElement.viewer ??= new Viewer(parentElement));
  viewer.update(component);
  return () => {
    viewer.close();
    delete parentElement.viewer;
  };
}
