"use strict";
(() => {
  const GREY = 255, ABSENT = -32768, REACH = 32767, SLOW_POINTS = 4000;
  const STEPS = {
    light: ["#f2b48c", "#e98a5a", "#d6613a", "#b53f2b", "#842b2f", "#4d1d31"],
    dark: ["#6d3a3f", "#94484a", "#bd5d4c", "#e08057", "#f6ae79", "#ffe0b8"],
  };
  const {
    HUES, by, colour, count, number, coarse, dark, redraws, array, unpacked, axis, plain, config,
    trouble, start,
  } = page;

  async function load() {
    const data = await unpacked();
    const points = data.points;
    points.rows = Float64Array.from(array(Uint32Array, points.steps));
    for (let i = 1; i < points.rows.length; i++) points.rows[i] += points.rows[i - 1];
    points.chosen = array(Uint8Array, points.chosen);
    for (const name of ["cluster", "label"]) points[name] = array(Uint32Array, points[name]);
    for (const name of ["distance", "weight", "score"]) points[name] = array(Float32Array, points[name]);
    for (const layout of data.layouts) {
      layout.x = array(Int16Array, layout.x);
      layout.y = array(Int16Array, layout.y);
    }
    for (const item of data.colourings) item.codes = array(Uint8Array, item.codes);
    return data;
  }

  function drawSpread(data, index) {
    const item = data.distributions[index];
    const middle = item.edges.slice(1).map((edge, i) => (edge + item.edges[i]) / 2);
    const traces = item.spreads.map((part) => {
      const grey = part.role === "all";
      return {
        type: "scatter", mode: "lines", x: middle, y: part.shares, name: part.name,
        fill: grey ? "tozeroy" : "none", fillcolor: "rgba(128,136,146,.28)",
        line: {
          shape: "hvh", width: grey ? 1 : 2, color: colour(grey ? "grey" : "accent"),
          dash: part.role === "weighted" ? "dash" : "solid",
        },
      };
    });
    Plotly.react(`spread-${index}`, traces, plain({
      xaxis: axis("", { showgrid: false }),
      yaxis: axis("share of rows", { rangemode: "tozero", tickformat: ".0%", nticks: 5 }),
    }), config);
  }

  function drawSizes(data) {
    const sizes = data.sizes, rank = sizes.rows.map((_, i) => i + 1);
    const type = rank.length > 2000 ? "scattergl" : "scatter";
    const traces = [{
      type: "scatter", mode: "lines", x: rank, y: sizes.rows, fill: "tozeroy",
      fillcolor: "rgba(128,136,146,.28)",
      line: { color: colour("grey"), width: 1.5, shape: rank.length < 200 ? "hvh" : "linear" },
    }];
    if (sizes.chosen) {
      traces.push({
        type, mode: "markers", x: rank, y: sizes.chosen,
        marker: { color: colour("accent"), size: rank.length > 300 ? 3 : 6, opacity: 0.85 },
      });
    }
    Plotly.react("sizes", traces, plain({
      xaxis: axis("clusters by size", { showgrid: false, range: [0.4, rank.length + 0.6] }),
      yaxis: axis("share of rows", { rangemode: "tozero", tickformat: ".1~%", nticks: 5 }),
    }), config);
  }

  // ---- map ---------------------------------------------------------------------------------
  const webgl = (() => {
    const found = document.createElement("canvas").getContext("webgl");
    found?.getExtension("WEBGL_lose_context")?.loseContext();
    return found !== null;
  })();

  function map(data) {
    const points = data.points;
    const state = { layout: 0, colouring: 0, hidden: new Set(), chosen: true, others: true };
    let layers = [], members = [];

    function options(id, items, name, apply) {
      items.forEach((item, i) => {
        const label = document.createElement("label"), input = document.createElement("input");
        const text = document.createElement("bdi");
        Object.assign(input, { type: "radio", name: id, value: String(i), checked: i === 0 });
        input.addEventListener("change", () => apply(i));
        text.textContent = name(item);
        label.append(input, text);
        by(id).append(label);
      });
      by(id).hidden = items.length < 2;
    }

    // rows of each colour, selected ones apart
    function sort() {
      const { codes } = data.colourings[state.colouring], layout = data.layouts[state.layout];
      const groups = new Map();
      const step = webgl ? 1 : Math.ceil(points.rows.length / SLOW_POINTS);
      for (let i = 0; i < codes.length; i += step) {
        if (layout.x[i] === ABSENT) continue;
        const key = codes[i] + (points.chosen[i] ? 256 : 0);
        if (!groups.has(key)) groups.set(key, []);
        groups.get(key).push(i);
      }
      // grey lies below, what is selected on top
      const order = (key) => (key >= 256 ? 1000 : 0) + (key % 256 === GREY ? -500 : key % 256);
      members = [...groups.entries()].sort((a, b) => order(a[0]) - order(b[0]))
        .map(([key, rows]) => ({ code: key % 256, chosen: key >= 256, rows }));
      const [left, right, bottom, top] = layout.box;
      const place = (values, low, high, rows) => Float32Array.from(
        rows, (i) => low + (values[i] + REACH) / (2 * REACH) * (high - low));
      layers = members.map(({ rows }) => ({
        x: place(layout.x, left, right, rows), y: place(layout.y, bottom, top, rows),
      }));
    }

    function shade(code) {
      const { scale, names } = data.colourings[state.colouring];
      if (code === GREY) return colour("grey");
      if (scale === "selection") return colour("accent");
      if (scale === "hues") return HUES[code % HUES.length];
      const steps = STEPS[dark() ? "dark" : "light"];
      const place = names.length > 1 ? code / (names.length - 1) : 1;
      return steps[Math.round(place * (steps.length - 1))];
    }

    const seen = ({ code, chosen }) => !state.hidden.has(code) && (chosen ? state.chosen : state.others);

    function draw() {
      const layout = data.layouts[state.layout], total = points.rows.length;
      const small = total > 60000 ? 2 : total > 8000 ? 3 : 4.5;
      const larger = small + (layout.chosen > 10000 ? 0.8 : 2.5);
      const traces = members.map((member, i) => ({
        type: webgl ? "scattergl" : "scatter", mode: "markers", hoverinfo: "none", ...layers[i],
        visible: seen(member),
        marker: {
          color: shade(member.code),
          size: member.chosen ? larger : small,
          opacity: member.chosen ? (layout.chosen > 10000 ? 0.7 : 0.95) : data.selection ? 0.42 : 0.7,
          line: { width: member.chosen && total < 60000 ? 0.7 : 0, color: colour("paper") },
        },
      }));
      const behind = data.density && state.layout === 0 && state.others ? [{
        source: data.density, xref: "x", yref: "y", layer: "below", sizing: "stretch",
        x: layout.box[0], y: layout.box[3], sizex: layout.box[1] - layout.box[0],
        sizey: layout.box[3] - layout.box[2], opacity: 0.8,
      }] : [];
      const bare = { showticklabels: false, showgrid: false, fixedrange: false, automargin: false };
      Plotly.react("map", traces, plain({
        margin: { l: 26, r: 6, t: 6, b: 26 }, hovermode: "closest", hoverdistance: 12,
        dragmode: coarse ? false : "zoom", images: behind, uirevision: state.layout,
        xaxis: axis(layout.axes[0], { ...bare, range: layout.box.slice(0, 2) }),
        yaxis: axis(layout.axes[1], { ...bare, range: layout.box.slice(2), scaleanchor: "x" }),
      }), config);
      key();
    }

    function key() {
      const { names, scale, about } = data.colourings[state.colouring];
      const totals = new Map();
      for (const { code, rows } of members) totals.set(code, (totals.get(code) ?? 0) + rows.length);
      const list = by("legend");
      const focused = [...list.querySelectorAll("button")].indexOf(document.activeElement);
      list.replaceChildren();
      const rest = scale === "selection" ? "not selected" : scale === "steps" ? "no value" : "others";
      [...names.keys(), GREY].filter((code) => totals.has(code)).forEach((code) => {
        const item = document.createElement("li"), button = document.createElement("button");
        const dot = document.createElement("i"), name = document.createElement("bdi");
        const many = document.createElement("small");
        button.type = "button";
        button.setAttribute("aria-pressed", String(!state.hidden.has(code)));
        dot.style.background = shade(code);
        name.textContent = code === GREY ? rest : names[code] || "(empty)";
        many.textContent = count(totals.get(code));
        button.append(dot, name, many);
        button.addEventListener("click", () => {
          if (!state.hidden.delete(code)) state.hidden.add(code);
          draw();
        });
        item.append(button);
        list.append(item);
      });
      list.querySelectorAll("button")[focused]?.focus();
      by("colour-about").textContent = about;
    }

    function change(part) {
      Object.assign(state, part);
      if ("colouring" in part) state.hidden.clear();
      if ("colouring" in part || "layout" in part) sort();
      by("map-about").textContent = data.layouts[state.layout].about;
      by("map").setAttribute("aria-label", data.layouts[state.layout].about);
      hide();
      draw();
    }

    // ---- what is told of a point: always by textContent, so that text stays text
    const tip = by("tip");
    const hide = () => { tip.hidden = true; };
    function tell(event) {
      const { curveNumber, pointNumber, xaxis, yaxis, x, y } = event.points[0];
      const i = members[curveNumber].rows[pointNumber];
      tip.replaceChildren();
      if (points.text?.[i]) {
        const said = document.createElement("p");
        said.className = "said";
        said.dir = "auto";
        said.textContent = points.text[i];
        tip.append(said);
      }
      const facts = [["row", count(points.rows[i])]];
      if (data.selection) facts.push(["selected", points.chosen[i] ? "yes" : "no"]);
      if (points.label) facts.push([points.column, points.names[points.label[i]] || "(none)"]);
      facts.push(["cluster", count(points.cluster[i])], ["distance", number(points.distance[i])]);
      for (const name of ["weight", "score"]) {
        const value = points[name]?.[i];
        if (value !== undefined && Number.isFinite(value)) facts.push([name, number(value)]);
      }
      const list = document.createElement("dl");
      for (const [name, value] of facts) {
        const term = document.createElement("dt"), meaning = document.createElement("dd");
        const [left, right] = [document.createElement("bdi"), document.createElement("bdi")];
        left.textContent = name;
        right.textContent = value;
        term.append(left);
        meaning.append(right);
        list.append(term, meaning);
      }
      tip.append(list);
      tip.hidden = false;
      const stage = by("map"), across = xaxis.l2p(x) + xaxis._offset, down = yaxis.l2p(y) + yaxis._offset;
      const { offsetWidth: wide, offsetHeight: high } = tip;
      const left = across + 14 + wide < stage.clientWidth ? across + 14 : across - wide - 14;
      const above = down + 14 + high < stage.clientHeight ? down + 14 : down - high - 14;
      tip.style.left = `${Math.min(Math.max(4, left), Math.max(4, stage.clientWidth - wide - 4))}px`;
      tip.style.top = `${Math.max(4, above)}px`;
    }

    function zoom(factor) {
      const { xaxis, yaxis } = by("map")._fullLayout;
      const around = ({ range: [low, high] }) => {
        const middle = (low + high) / 2, half = (high - low) / 2 * factor;
        return [middle - half, middle + half];
      };
      Plotly.relayout("map", { "xaxis.range": around(xaxis), "yaxis.range": around(yaxis) });
    }

    options("colours", data.colourings, (item) => item.title, (colouring) => change({ colouring }));
    options("layouts", data.layouts, (item) => item.name, (layout) => change({ layout }));
    by("show-chosen")?.addEventListener("change", (event) => change({ chosen: event.target.checked }));
    by("show-others")?.addEventListener("change", (event) => change({ others: event.target.checked }));
    by("zoom-in").addEventListener("click", () => zoom(0.5));
    by("zoom-out").addEventListener("click", () => zoom(2));
    by("zoom-all").addEventListener("click", () => {
      const [left, right, bottom, top] = data.layouts[state.layout].box;
      Plotly.relayout("map", { "xaxis.range": [left, right], "yaxis.range": [bottom, top] });
    });
    change({ colouring: 0, layout: 0 });
    by("map").on("plotly_hover", tell);
    by("map").on("plotly_click", tell);
    by("map").on("plotly_unhover", hide);
    by("map").on("plotly_relayout", hide);
    redraws.push(draw);
    if (!webgl) trouble("This browser has no WebGL: the map shows some of the points only.");
  }

  start(load, (data) => {
    map(data);
    const rest = [() => drawSizes(data), ...data.distributions.map((_, i) => () => drawSpread(data, i))];
    rest.forEach((draw) => draw());
    redraws.push(...rest);
  });
})();
