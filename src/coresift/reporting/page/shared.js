"use strict";
// what the pages have in common
const page = (() => {
  // told apart in light and in dark, and by people who see fewer colours; grey is left for the rest
  const HUES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00",
    "#8d6bd1", "#a6a51f", "#c2334d", "#17a2b8", "#a0705a", "#5d9c3f"];
  const by = (id) => document.getElementById(id);
  const root = document.documentElement;
  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const count = (value) => value.toLocaleString("en");
  const number = (value) => Math.abs(value) < 1e4 ? String(Number(value.toPrecision(4)))
    : count(Math.round(value));
  const coarse = matchMedia("(pointer: coarse)").matches;

  // ---- theme: the system's until the button is pressed -------------------------------------
  const wanted = matchMedia("(prefers-color-scheme: dark)");
  let picked = null;
  const dark = () => (picked ?? (wanted.matches ? "dark" : "light")) === "dark";
  const redraws = [];
  function setTheme() {
    root.dataset.theme = dark() ? "dark" : "light";
    by("theme").textContent = dark() ? "Light theme" : "Dark theme";
    redraws.forEach((draw) => draw());
  }
  wanted.addEventListener("change", setTheme);
  by("theme").addEventListener("click", () => {
    picked = dark() ? "light" : "dark";
    setTheme();
  });
  setTheme();

  // ---- data --------------------------------------------------------------------------------
  function bytes(text) {
    const raw = atob(text);
    const found = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) found[i] = raw.charCodeAt(i);
    return found;
  }
  const array = (Type, text) => text === null ? null : new Type(bytes(text).buffer);

  // JSON, as it was packed
  async function unpacked() {
    const packed = new Blob([bytes(by("data").textContent)]).stream();
    return new Response(packed.pipeThrough(new DecompressionStream("gzip"))).json();
  }

  // ---- figures -----------------------------------------------------------------------------
  const font = () => ({ family: "system-ui, sans-serif", size: 12, color: colour("soft") });
  const axis = (title, more) => ({
    title: { text: title, standoff: 6 }, gridcolor: colour("line"), linecolor: colour("line"),
    zeroline: false, automargin: true, fixedrange: true, ...more,
  });
  const plain = (more) => ({
    font: font(), paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    margin: { l: 8, r: 8, t: 8, b: 8 }, hovermode: false, dragmode: false, ...more,
  });
  const config = { displayModeBar: false, responsive: true, doubleClick: "reset" };

  function trouble(text) {
    by("trouble").textContent = text;
    by("trouble").hidden = false;
  }

  // draw what there is, once, and again in another theme
  function start(load, draw) {
    load().then((data) => {
      draw(data);
      root.dataset.ready = "yes";
    }).catch((error) => trouble(`The figures cannot be drawn: ${error.message}`));
  }

  return {
    HUES, by, colour, count, number, coarse, dark, redraws, array, unpacked, axis, plain, config,
    trouble, start,
  };
})();
