"use strict";
// Draws the learning curves; everything else on the page is there without this script.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const variable = (element, name) => getComputedStyle(element).getPropertyValue(name).trim();
  const value = (x) => (x == null ? "-" : Math.abs(x) < 2 ? x.toFixed(4) : x.toFixed(1));
  const steps = (x) =>
    x == null ? "" : x >= 1e6 ? +(x / 1e6).toFixed(2) + "M" : x >= 1e3 ? +(x / 1e3).toFixed(1) + "k" : String(x);
  const element = (tag, properties, parent) => parent.appendChild(Object.assign(document.createElement(tag), properties));

  const draw = (chart) => {
    const place = document.getElementById(chart.id);
    place.hidden = false;
    const plot = element("div", { className: "plot" }, place);
    const legend = element("div", { className: "legend" }, place);
    const hint = element("p", { className: "hint" }, place);
    const help = "Drag to zoom, double click for the whole range. Shaded: from the worst to the best seed.";
    hint.textContent = help;

    // Each method is three series: mean (with its line), highest and lowest seed (bounds of the band).
    const shown = chart.series.map(() => true);
    const buttons = chart.series.map((s, i) => {
      const button = element("button", { type: "button", className: s.colour + (s.dash.length ? " dashed" : ""), textContent: s.label }, legend);
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        shown[i] = !shown[i];
        button.setAttribute("aria-pressed", String(shown[i]));
        for (const k of [1, 2, 3]) uplot.setSeries(3 * i + k, { show: shown[i] });
      });
      return button;
    });
    const colour = (i, alpha) => () => variable(buttons[i], "--c") + alpha;
    const series = [{}];
    const bands = [];
    const columns = [chart.steps];
    chart.series.forEach((s, i) => {
      series.push({ stroke: colour(i, ""), width: 2, dash: s.dash, points: { show: chart.steps[0] === chart.steps.at(-1) } });
      series.push({ points: { show: false } }, { points: { show: false } });
      bands.push({ series: [3 * i + 2, 3 * i + 3], fill: colour(i, "26") });
      columns.push(s.mean, s.high, s.low);
    });
    const axis = {
      stroke: () => variable(root, "--faint"),
      grid: { stroke: () => variable(root, "--line"), width: 1 },
      ticks: { stroke: () => variable(root, "--line"), width: 1 },
    };
    const size = () => ({ width: place.clientWidth, height: Math.min(380, Math.max(240, place.clientWidth * 0.5)) });
    const uplot = new uPlot(
      {
        ...size(),
        series,
        bands,
        legend: { show: false },
        scales: { x: { time: false } },
        cursor: { points: { show: false } },
        axes: [
          { ...axis, values: (_, ticks) => ticks.map(steps) },
          { ...axis, size: 64 },
        ],
        hooks: {
          // Anchors: dashed lines over the whole width, where the scale has them.
          draw: [
            (u) => {
              const { left, width, top, height } = u.bbox;
              u.ctx.save();
              u.ctx.strokeStyle = variable(root, "--faint");
              u.ctx.setLineDash([6, 4]);
              for (const anchor of chart.anchors) {
                const y = u.valToPos(anchor.level, "y", true);
                if (y < top || y > top + height) continue;
                u.ctx.beginPath();
                u.ctx.moveTo(left, y);
                u.ctx.lineTo(left + width, y);
                u.ctx.stroke();
              }
              u.ctx.restore();
            },
          ],
          setCursor: [
            (u) => {
              const at = u.cursor.idx;
              chart.series.forEach((s, i) => {
                buttons[i].textContent = at == null ? s.label : `${s.label} ${value(s.mean[at])}`;
              });
              hint.textContent = at == null ? help : `Step ${chart.steps[at].toLocaleString("en")}`;
            },
          ],
        },
      },
      columns,
      plot,
    );
    new ResizeObserver(() => {
      if (place.clientWidth && place.clientWidth !== uplot.width) uplot.setSize(size());
    }).observe(place);
    return uplot;
  };

  const charts = data.charts.map(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((u) => u.redraw()));
  root.dataset.ready = "true";
})();
