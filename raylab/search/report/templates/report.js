"use strict";
{
  const isDark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /* Charts are drawn in the page's own colours, and again when those change. */
  const dressed = (layout) => {
    const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), zeroline: false, tickcolor: colour("--line") };
    return {
      ...layout,
      font: { family: colour("--sans"), size: 13, color: colour("--ink") },
      paper_bgcolor: "transparent", plot_bgcolor: "transparent",
      xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, ...layout.yaxis },
      hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") }, align: "left" },
    };
  };
  const draw = () => {
    for (const chart of document.querySelectorAll(".chart")) {
      const { data, layout } = JSON.parse(chart.nextElementSibling.textContent);
      Plotly.react(chart, data, dressed(layout), { responsive: true, displayModeBar: false });
    }
  };
  if (window.Plotly) {
    draw();
    isDark.addEventListener("change", draw);
  }

  /* A click on a heading sorts by it; rows without a value stay below. */
  const value = (row, column) => row.cells[column].dataset.value;
  const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  for (const heading of document.querySelectorAll("th button")) {
    heading.addEventListener("click", () => {
      const th = heading.parentElement, body = th.closest("table").tBodies[0], column = th.cellIndex;
      const down = th.getAttribute("aria-sort") === "ascending";
      for (const other of th.parentElement.cells) other.removeAttribute("aria-sort");
      th.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((r, s) => {
        const [a, b] = [value(r, column), value(s, column)];
        return !a || !b ? !a - !b : (down ? -1 : 1) * compare(a, b);
      });
      body.append(...rows);
    });
  }
}
