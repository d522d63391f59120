"use strict";
(() => {
  const { HUES, by, colour, count, redraws, unpacked, axis, plain, config, start } = page;
  // beside the colour, for people who see fewer of them
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "star", "triangle-down"];
  const UNIFORM = -1;
  const hidden = new Set();

  const shade = (i) => i === UNIFORM ? colour("grey") : HUES[i % HUES.length];
  // what the library would read as markup is text
  const plainly = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
  const cut = (text) => text.length > 18 ? `${text.slice(0, 17)}\u2026` : text;

  // one size: a line of the figure for each method; several: a curve over sizes for each
  function traces(data, figure) {
    const alone = data.sizes.length === 1;
    const put = (along, values) => alone ? { x: values, y: along } : { x: along, y: values };
    const found = [];
    if (figure.random) {
      const along = alone ? [-0.5, data.methods.length - 0.5] : data.sizes;
      const [middle, spread] = [figure.random, figure.random_std]
        .map((values) => alone ? [values[0], values[0]] : values);
      const edge = (sign) => middle.map((value, i) => value + sign * (spread[i] ?? 0));
      const seen = { visible: !hidden.has(UNIFORM), mode: "lines", name: "uniform" };
      found.push(
        { ...put(along, edge(-1)), ...seen, line: { width: 0 }, role: "band" },
        { ...put(along, edge(1)), ...seen, line: { width: 0 }, role: "band",
          fill: alone ? "tonextx" : "tonexty", fillcolor: "rgba(128,136,146,.2)" },
        { ...put(along, middle), ...seen, line: { color: shade(UNIFORM), width: 1.5, dash: "dash" } },
      );
    }
    data.methods.forEach((name, i) => {
      const error = { type: "data", array: figure.std[i].map((value) => value ?? 0),
        color: shade(i), thickness: 1.2, width: 3, visible: figure.std[i].some((value) => value) };
      found.push({
        ...put(alone ? [i] : data.sizes, figure.mean[i]), name: plainly(name),
        mode: alone ? "markers" : "lines+markers", visible: !hidden.has(i),
        [alone ? "error_x" : "error_y"]: error,
        line: { color: shade(i), width: 2, dash: i < HUES.length ? "solid" : "dot" },
        marker: { color: shade(i), size: alone ? 9 : 7, symbol: SYMBOLS[i % SYMBOLS.length] },
      });
    });
    return found;
  }

  function draw(data, figure, place) {
    const alone = data.sizes.length === 1;
    const bytes = figure.metric === "peak_rss_bytes" ? { tickformat: "~s", ticksuffix: "B" } : {};
    const scale = figure.log ? { type: "log", dtick: 1, tickformat: "~g" } : { nticks: 6 };
    const values = axis("", { exponentformat: "power", ...scale, ...bytes });
    const [first, last] = [Math.min(...data.sizes), Math.max(...data.sizes)];
    const ends = data.log ? [Math.log10(first), Math.log10(last)] : [first, last];
    const margin = 0.06 * (ends[1] - ends[0]);
    const along = alone
      ? axis("", { tickvals: data.methods.map((_, i) => i), showgrid: false,
        ticktext: data.methods.map((name) => plainly(cut(name))),
        range: [data.methods.length - 0.5, -0.5] })
      : axis("rows", { type: data.log ? "log" : "linear", showgrid: false,
        range: [ends[0] - margin, ends[1] + margin],
        ...(data.sizes.length > 6 ? { nticks: 6 }
          : { tickvals: data.sizes, ticktext: data.sizes.map(count) }) });
    Plotly.react(`curve-${place}`, traces(data, figure), plain({
      margin: { l: 8, r: 12, t: 8, b: 8 },
      xaxis: alone ? values : along, yaxis: alone ? along : values,
    }), config);
  }

  function key(data, apply) {
    const list = by("legend");
    [...data.methods.keys(), UNIFORM].forEach((i) => {
      const item = document.createElement("li"), button = document.createElement("button");
      const dot = document.createElement("i"), name = document.createElement("bdi");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      dot.style.background = shade(i);
      name.textContent = i === UNIFORM ? "uniform subsets" : data.methods[i];
      button.append(dot, name);
      button.addEventListener("click", () => {
        if (!hidden.delete(i)) hidden.add(i);
        button.setAttribute("aria-pressed", String(!hidden.has(i)));
        apply();
      });
      redraws.push(() => { dot.style.background = shade(i); });
      item.append(button);
      list.append(item);
    });
  }

  start(unpacked, (data) => {
    const all = () => data.figures.forEach((figure, place) => draw(data, figure, place));
    key(data, all);
    all();
    redraws.push(all);
  });
})();
