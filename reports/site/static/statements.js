// The list of statements, filtered.

function showStatements() {
  const editions = [...document.querySelectorAll(".edition-of")];
  const items = editions.flatMap((edition) => [...edition.querySelectorAll(".statement-rows > li")].map((item) =>
    ({item, mqtt: edition.dataset.mqtt, ...item.dataset, text: item.textContent.toLowerCase()})));
  const input = h("input", {type: "search", id: "filter-text", placeholder: "number, words …", value: asked().get("text") ?? "", oninput: () => draw()});
  let wanted = {};
  const count = document.getElementById("count");
  const box = document.getElementById("filters");
  selects(box, [["mqtt", "Version", sortedValues(items.map((each) => each.mqtt))],
    ["level", "Level", sortedValues(items.map((each) => each.level))], ["broken", "Somebody breaks it", ["yes", "no"]]], draw);
  box.querySelector(".fields-row").append(h("label", {for: "filter-text", class: "grow"}, h("span", {}, "Text"), input));
  count.hidden = false;

  function draw(chosen) {
    wanted = chosen ?? wanted;
    putInAddress({...wanted, text: input.value});
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const filters = Object.entries(wanted).filter(([, value]) => value);
    let shown = 0;
    for (const each of items) {
      const fits = filters.every(([key, value]) => each[key] === value) && words.every((word) => each.text.includes(word));
      each.item.hidden = !fits;
      shown += fits;
    }
    for (const edition of editions) {
      edition.hidden = !edition.querySelector(".statement-rows > li:not([hidden])");
      if (filters.length || words.length) edition.open = true;
    }
    count.textContent = shown === items.length ? `${plural(shown, "statement")}.` : `${shown.toLocaleString("en")} of ${plural(items.length, "statement")}.`;
  }
}
