"use strict";
(() => {
  const root = getComputedStyle(document.documentElement);
  const variable = (name) => root.getPropertyValue(name).trim();

  // A name that ends in -band is its colour, mostly transparent.
  const color = (name) => {
    if (!name.endsWith("-band")) return variable(name);
    const hex = variable(name.slice(0, -5));
    const [red, green, blue] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
    return `rgba(${red}, ${green}, ${blue}, 0.15)`;
  };

  const colored = (value) => {
    if (typeof value === "string") {
      const found = /^var\((--[\w-]+)\)$/.exec(value);
      return found ? color(found[1]) : value;
    }
    if (Array.isArray(value)) return value.map(colored);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, colored(item)]));
    }
    return value;
  };

  const touch = matchMedia("(pointer: coarse)").matches;
  const config = { displayModeBar: false, responsive: true, showTips: false, scrollZoom: false };

  const axis = (own) => ({
    gridcolor: variable("--line"), zeroline: false, linecolor: variable("--line"), ticks: "outside",
    tickcolor: variable("--line"), ticklen: 4, automargin: true, ...own,
    title: { standoff: 10, font: { size: 12, color: variable("--muted") }, ...own.title },
  });

  const draw = (plot, figure, first) => {
    const layout = {
      ...figure.layout,
      xaxis: axis(figure.layout.xaxis),
      yaxis: axis(figure.layout.yaxis),
      autosize: true,
      margin: { l: 50, r: 16, t: 22, b: 40 },
      paper_bgcolor: "rgba(0, 0, 0, 0)",
      plot_bgcolor: "rgba(0, 0, 0, 0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: variable("--ink") },
      legend: { orientation: "h", x: 0, y: 1.06, yanchor: "bottom", font: { size: 12 } },
      hoverlabel: { bgcolor: variable("--raised"), bordercolor: variable("--line"), align: "left",
        font: { color: variable("--ink"), size: 12 } },
      dragmode: touch ? false : "zoom",
    };
    const colors = colored({ data: figure.data, layout });
    return first ? Plotly.newPlot(plot, colors.data, colors.layout, config) : Plotly.react(plot, colors.data, colors.layout, config);
  };

  const figures = [...document.querySelectorAll("script[data-for]")].map((script) => [
    document.getElementById(script.dataset.for), JSON.parse(script.textContent),
  ]);
  const controls = (plot) => [...plot.parentElement.querySelectorAll("input[type=range]")];
  // Where there are sliders a figure was made for each of their settings.
  const shown = (plot, figure) => Array.isArray(figure)
    ? figure[controls(plot).reduce((place, input) => place * (Number(input.max) + 1) + Number(input.value), 0)]
    : figure;
  const drawAll = (first) => Promise.all(figures.map(([plot, figure]) => draw(plot, shown(plot, figure), first)));
  for (const [plot, figure] of figures) {
    for (const input of controls(plot)) {
      input.addEventListener("input", () => {
        input.nextElementSibling.value = JSON.parse(input.dataset.labels)[Number(input.value)];
        draw(plot, shown(plot, figure), false);
      });
    }
  }
  drawAll(true).then(() => document.documentElement.setAttribute("data-drawn", String(figures.length)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(false));

  // The contents show where the reader is.
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        links.forEach((link) => link.classList.remove("here"));
        links.get(entry.target.id)?.classList.add("here");
      }
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  document.querySelectorAll("main > section").forEach((section) => seen.observe(section));
})();
