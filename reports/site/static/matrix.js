// The matrix for some versions, areas or transports only. Fields look as templates/parts.html.j2 writes them.

const WHERE = [["mqtt", "Version"], ["area", "Area"], ["transport", "Transport"]];

async function showMatrix() {
  const {common} = await load("plays");
  openResults(common, () => []);
  const fields = JSON.parse(document.getElementById("fields").textContent);
  const rows = document.querySelectorAll(".matrix tbody tr");
  const parts = fields.flatMap((field) => field.parts);
  const choices = WHERE.map(([key, label], place) => [key, label, sortedValues(parts.map((part) => part[place]))]);
  selects(document.getElementById("filters"), choices, (wanted) => {
    for (const field of fields) {
      const cell = rows[field.row].querySelectorAll("td")[field.column];
      cell.replaceChildren(matrixField(field, countsOf(field, wanted), wanted));
    }
  });
}

/** The counts of those parts of a field that are wanted, by outcome in reading order. */
function countsOf(field, wanted) {
  const counts = new Map();
  for (const [mqtt, area, transport, byOutcome] of field.parts) {
    const has = {mqtt, area, transport};
    if (!Object.entries(wanted).every(([key, value]) => !value || has[key] === value)) continue;
    for (const [outcome, count] of Object.entries(byOutcome)) counts.set(outcome, (counts.get(outcome) ?? 0) + count);
  }
  return new Map([...outcomes.keys()].filter((outcome) => counts.has(outcome)).map((outcome) => [outcome, counts.get(outcome)]));
}

function matrixField(field, counts, wanted) {
  if (!counts.size) return h("span", {class: "none"}, "·", h("span", {class: "visually-hidden"}, "no cells"));
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const applying = total - (counts.get("unsupported") ?? 0);
  const passed = (counts.get("pass") ?? 0) + (counts.get("unexpected-pass") ?? 0);
  const others = [...counts].filter(([outcome]) => outcome !== "pass");
  const words = `${field.label}: ${passed} of ${plural(applying, "cell")} pass`;
  const besides = others.map(([outcome, count]) => `${count.toLocaleString("en")} ${outcomes.get(outcome).label}`).join(", ");
  const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
  if (!query.size) query.set("verdict", "all");
  return h("a", {
    class: `entry o-${[...counts.keys()][0]}`, href: `${root}cells.html?play=${field.play}#cells?${query}`,
    "aria-label": besides ? `${words}; ${besides}` : words, title: besides ? `${words}; ${besides}` : words,
  },
  h("span", {class: "passed"}, applying
    ? [passed.toLocaleString("en"), h("small", {}, `/${applying.toLocaleString("en")}`)] : h("small", {}, "none apply")),
  others.length ? h("span", {class: "notes"}, others.map(([outcome, count]) => h("span", {class: `o-${outcome}`}, icon(outcome), count.toLocaleString("en")))) : null);
}
