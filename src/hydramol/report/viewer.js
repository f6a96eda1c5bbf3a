/* Molecules as balls and sticks on canvases: drag to turn, wheel to zoom (after a click), double click to reset.
 *
 * A scene stands in a JSON script element after its <div data-scene>. A card is one canvas whose cells turn together.
 * Nothing is drawn unless it is visible and something changed.
 */
(() => {
  "use strict";

  const BOND_TOLERANCE = 1.2; // bonded: closer than the sum of covalent radii times this
  const BALL = 0.42; // drawn radius over covalent radius ...
  const BALL_LEAST = 0.2; // ... plus this, so that hydrogen stays visible; Angstrom
  const STICK = 0.11; // radius of a bond, Angstrom
  const DISTANCE = 5; // of the eye, in radii of the molecule

  // --- colours and balls -------------------------------------------------------------------------------------

  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const mix = (a, b, share) => `rgb(${a.map((value, k) => Math.round(value + (b[k] - value) * share)).join(",")})`;
  const WHITE = [255, 255, 255], BLACK = [22, 28, 36];

  /** A shaded ball, painted once for each element and depth and then only copied. */
  const sprites = new Map();
  function ball(color, fog) {
    const key = `${color}${fog}`;
    if (!sprites.has(key)) {
      const size = 96, half = size / 2, canvas = document.createElement("canvas");
      canvas.width = canvas.height = size;
      const pen = canvas.getContext("2d"), tone = rgb(color).map((v) => v + (255 - v) * fog);
      const light = pen.createRadialGradient(half * 0.72, half * 0.62, half * 0.05, half, half, half);
      light.addColorStop(0, mix(tone, WHITE, 0.65));
      light.addColorStop(0.35, mix(tone, WHITE, 0.08));
      light.addColorStop(0.8, mix(tone, BLACK, 0.2 * (1 - fog)));
      light.addColorStop(1, mix(tone, BLACK, 0.42 * (1 - fog)));
      pen.fillStyle = light;
      pen.beginPath();
      pen.arc(half, half, half - 1, 0, 2 * Math.PI);
      pen.fill();
      sprites.set(key, canvas);
    }
    return sprites.get(key);
  }

  // --- molecules ---------------------------------------------------------------------------------------------

  function bondsOf(z, xyz, elements) {
    const bonds = [], n = z.length, widest = 2 * BOND_TOLERANCE * Math.max(...z.map((k) => elements[k].radius));
    // Sorted along x, only neighbours within reach are compared: quick for large molecules too.
    const order = [...z.keys()].sort((a, b) => xyz[3 * a] - xyz[3 * b]);
    for (let i = 0; i < n; i++) {
      for (let j = i + 1; j < n; j++) {
        const a = order[i], b = order[j], dx = xyz[3 * b] - xyz[3 * a];
        if (dx > widest) break;
        const reach = BOND_TOLERANCE * (elements[z[a]].radius + elements[z[b]].radius);
        const dy = xyz[3 * b + 1] - xyz[3 * a + 1], dz = xyz[3 * b + 2] - xyz[3 * a + 2];
        if (dx * dx + dy * dy + dz * dz < reach * reach) bonds.push([a, b]);
      }
    }
    return bonds;
  }

  function prepare(cell, elements) {
    let radius = 1;
    cell.frames = cell.frames.map((flat) => {
      const n = flat.length / 3, xyz = Float64Array.from(flat), centre = [0, 0, 0];
      for (let i = 0; i < flat.length; i++) centre[i % 3] += flat[i] / n;
      for (let i = 0; i < flat.length; i++) xyz[i] -= centre[i % 3];
      for (let i = 0; i < n; i++) radius = Math.max(radius, Math.hypot(xyz[3 * i], xyz[3 * i + 1], xyz[3 * i + 2]));
      return { xyz, bonds: null };
    });
    cell.radius = radius + 0.45;
    cell.at = (number) => {
      const frame = cell.frames[Math.min(number, cell.frames.length - 1)];
      frame.bonds ??= bondsOf(cell.z, frame.xyz, elements);
      return frame;
    };
  }

  // --- rotations, as 3x3 matrices in rows ----------------------------------------------------------------------

  const times = (a, b) => a.map((_, k) => {
    const row = 3 * Math.floor(k / 3), column = k % 3;
    return a[row] * b[column] + a[row + 1] * b[column + 3] + a[row + 2] * b[column + 6];
  });
  const aboutX = (angle) => [1, 0, 0, 0, Math.cos(angle), -Math.sin(angle), 0, Math.sin(angle), Math.cos(angle)];
  const aboutY = (angle) => [Math.cos(angle), 0, Math.sin(angle), 0, 1, 0, -Math.sin(angle), 0, Math.cos(angle)];

  /** Axes of the largest and second largest spread lie in the plane of the page (Jacobi's method). */
  function bestView(cell) {
    const { xyz } = cell.frames[cell.frames.length - 1], m = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
    for (let i = 0; i < xyz.length; i += 3)
      for (let a = 0; a < 3; a++) for (let b = 0; b < 3; b++) m[a][b] += xyz[i + a] * xyz[i + b];
    const v = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    for (let sweep = 0; sweep < 12; sweep++)
      for (const [p, q] of [[0, 1], [0, 2], [1, 2]]) {
        if (Math.abs(m[p][q]) < 1e-9) continue;
        const angle = 0.5 * Math.atan2(2 * m[p][q], m[q][q] - m[p][p]), c = Math.cos(angle), s = Math.sin(angle);
        for (const rows of [m, v]) for (let k = 0; k < 3; k++)
          [rows[k][p], rows[k][q]] = [c * rows[k][p] - s * rows[k][q], s * rows[k][p] + c * rows[k][q]];
        for (let k = 0; k < 3; k++) [m[p][k], m[q][k]] = [c * m[p][k] - s * m[q][k], s * m[p][k] + c * m[q][k]];
      }
    const [x, y] = [0, 1, 2].sort((a, b) => m[b][b] - m[a][a]), axis = (k) => [v[0][k], v[1][k], v[2][k]];
    const [a, b] = [axis(x), axis(y)];
    const c = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    return times(aboutX(0.35), times(aboutY(0.3), [...a, ...b, ...c])); // a little from the side shows the depth
  }

  // --- drawing -------------------------------------------------------------------------------------------------

  /** Half a bond: from just inside the surface of its ball, or it would be seen through it, to the middle. */
  function addHalf(things, from, to, length) {
    const share = (0.8 * from.size) / from.zoom / length;
    if (share >= 0.5) return;
    const along = (f) => ({ x: from.x + f * (to.x - from.x), y: from.y + f * (to.y - from.y) });
    const depth = from.depth + ((share + 0.5) / 2) * (to.depth - from.depth);
    things.push({ depth, from, start: along(share), end: along(0.5) });
  }

  function drawCell(pen, cell, frame, elements, view, left, width, height, scale) {
    const { xyz, bonds } = frame, n = cell.z.length, eye = DISTANCE * cell.radius, r = view.rotation;
    const points = new Array(n), things = [];
    for (let i = 0; i < n; i++) {
      const x = xyz[3 * i], y = xyz[3 * i + 1], z = xyz[3 * i + 2];
      const depth = r[6] * x + r[7] * y + r[8] * z, zoom = (scale * eye) / (eye - depth);
      const element = elements[cell.z[i]];
      points[i] = {
        x: left + width / 2 + zoom * (r[0] * x + r[1] * y + r[2] * z),
        y: height / 2 - zoom * (r[3] * x + r[4] * y + r[5] * z),
        depth, zoom, color: element.color, size: zoom * (BALL_LEAST + BALL * element.radius),
        fog: Math.round(5 * Math.max(0, Math.min(1, 0.5 - depth / (2 * cell.radius)))) * 0.09,
      };
      things.push({ depth, ball: points[i] });
    }
    for (const [a, b] of bonds) {
      const length = Math.hypot(xyz[3 * a] - xyz[3 * b], xyz[3 * a + 1] - xyz[3 * b + 1], xyz[3 * a + 2] - xyz[3 * b + 2]);
      addHalf(things, points[a], points[b], length);
      addHalf(things, points[b], points[a], length);
    }
    things.sort((a, b) => a.depth - b.depth);
    pen.lineCap = "butt";
    for (const { ball: one, from, start, end } of things) {
      if (one) {
        pen.drawImage(ball(one.color, one.fog), one.x - one.size, one.y - one.size, 2 * one.size, 2 * one.size);
        continue;
      }
      const tone = rgb(from.color).map((v) => v + (255 - v) * from.fog), thick = 2 * STICK * from.zoom;
      for (const [share, shade] of [[1, mix(tone, BLACK, 0.3)], [0.72, mix(tone, BLACK, 0.06)], [0.28, mix(tone, WHITE, 0.4)]]) {
        pen.strokeStyle = shade;
        pen.lineWidth = thick * share;
        pen.beginPath();
        pen.moveTo(start.x, start.y);
        pen.lineTo(end.x, end.y);
        pen.stroke();
      }
    }
  }

  const cards = [];
  let scheduled = false;
  function schedule() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame((now) => {
      scheduled = false;
      for (const card of cards) {
        card.tick(now);
        if (card.visible && card.dirty) card.draw();
      }
    });
  }

  const make = (tag, name, parent) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (parent) parent.append(element);
    return element;
  };

  function addCard(parent, data, elements, watch) {
    const box = make("div", "card", parent), canvas = make("canvas", "", box), pen = canvas.getContext("2d");
    data.cells.forEach((cell) => prepare(cell, elements));
    const last = data.cells[data.cells.length - 1], start = bestView(last);
    const length = Math.max(...data.cells.map((cell) => cell.frames.length));
    const view = { rotation: start, zoom: 1 };
    const card = { visible: false, dirty: true, canvas, frame: length - 1, playing: false, next: 0 };

    card.draw = () => {
      const dense = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
      if (!width) return;
      if (canvas.width !== Math.round(width * dense) || canvas.height !== Math.round(height * dense)) {
        canvas.width = Math.round(width * dense);
        canvas.height = Math.round(height * dense);
      }
      pen.setTransform(dense, 0, 0, dense, 0, 0);
      pen.clearRect(0, 0, width, height);
      const room = width / data.cells.length;
      // One scale for all cells: what is larger looks larger.
      const radius = Math.max(...data.cells.map((cell) => cell.radius));
      const scale = (view.zoom * Math.min(room, height)) / (2.12 * radius);
      data.cells.forEach((cell, k) => {
        pen.save();
        pen.beginPath();
        pen.rect(k * room, 0, room, height);
        pen.clip();
        drawCell(pen, cell, cell.at(card.frame), elements, view, k * room, room, height, scale);
        pen.restore();
      });
      card.dirty = false;
    };
    card.change = () => { card.dirty = true; schedule(); };
    card.tick = () => {};

    const turn = (dx, dy) => {
      view.rotation = times(aboutX(dy), times(aboutY(dx), view.rotation));
      card.change();
    };
    const magnify = (factor) => {
      view.zoom = Math.max(0.4, Math.min(8, view.zoom * factor));
      card.change();
    };
    const reset = () => {
      Object.assign(view, { rotation: start, zoom: 1 });
      card.change();
    };

    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${data.cells.map((cell) => cell.label).join(", ")} ${data.caption}; arrow keys turn`);
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) turn(event.movementX * 0.011, event.movementY * 0.011);
    });
    // Only after a click: a wheel that zooms whatever it passes makes a page unreadable.
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return;
      event.preventDefault();
      magnify(Math.exp(-event.deltaY * 0.0015));
    }, { passive: false });
    canvas.addEventListener("dblclick", reset);
    canvas.addEventListener("keydown", (event) => {
      const act = {
        ArrowLeft: () => turn(-0.15, 0), ArrowRight: () => turn(0.15, 0),
        ArrowUp: () => turn(0, -0.15), ArrowDown: () => turn(0, 0.15),
        "+": () => magnify(1.15), "-": () => magnify(1 / 1.15), Escape: () => canvas.blur(), 0: reset,
      }[event.key];
      if (act) { event.preventDefault(); act(); }
    });

    if (data.cells.some((cell) => cell.label) && data.cells.length > 1) {
      const labels = make("div", "labels", box);
      data.cells.forEach((cell) => { make("span", "", labels).textContent = cell.label; });
    }
    if (length > 1) addPlayer(box, card, length);
    if (data.caption) make("div", "caption", box).textContent = data.caption;
    canvas.card = card;
    cards.push(card);
    watch(canvas);
  }

  function addPlayer(box, card, length) {
    const row = make("div", "play", box), button = make("button", "", row), slider = make("input", "", row);
    Object.assign(slider, { type: "range", min: 0, max: length - 1, value: card.frame });
    slider.setAttribute("aria-label", "frame");
    const show = (frame) => {
      card.frame = frame;
      slider.value = frame;
      card.change();
    };
    const label = () => { button.textContent = card.playing ? "Pause" : "Play"; };
    button.addEventListener("click", () => {
      card.playing = !card.playing;
      if (card.playing && card.frame === length - 1) show(0);
      label();
      schedule();
    });
    slider.addEventListener("input", () => { card.playing = false; label(); show(Number(slider.value)); });
    const pause = Math.max(25, Math.min(120, 6000 / length)); // milliseconds: a trajectory takes some seconds
    card.tick = (now) => {
      if (!card.playing || !card.visible) return;
      if (now >= card.next) {
        card.next = now + pause;
        if (card.frame >= length - 1) { card.playing = false; label(); return; }
        show(card.frame + 1);
      }
      schedule();
    };
    label();
  }

  // --- the page ------------------------------------------------------------------------------------------------

  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) target.card.visible = isIntersecting;
    schedule();
  }, { rootMargin: "200px" });
  const resized = new ResizeObserver((entries) => entries.forEach(({ target }) => target.card.change()));
  const watch = (canvas) => { seen.observe(canvas); resized.observe(canvas); };

  for (const place of document.querySelectorAll("[data-scene]")) {
    const scene = JSON.parse(place.nextElementSibling.textContent);
    scene.cards.forEach((card) => addCard(place, card, scene.elements, watch));
    const legend = make("div", "legend");
    for (const { symbol, color } of scene.elements) {
      const item = make("span", "", legend);
      make("i", "", item).style.background = color;
      item.append(symbol);
    }
    make("span", "hint", legend).textContent = "drag to turn · click, then wheel to zoom · double click to reset";
    place.after(legend);
  }
  const drawAll = () => cards.forEach((card) => card.draw());
  window.addEventListener("beforeprint", drawAll);
})();
