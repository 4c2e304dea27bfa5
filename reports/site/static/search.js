// Searching all that has a page of its own: the search field of the page, and the query in the address.

const FOUND_AT_MOST = 100;

async function showSearch() {
  const entries = (await load("search")).map((entry) => ({entry, text: entry.slice(0, 3).join(" ").toLowerCase()}));
  const input = document.getElementById("search");
  input.value = asked().get("q") ?? "";
  input.addEventListener("input", draw);
  input.form.addEventListener("submit", (event) => { event.preventDefault(); draw(); });
  draw();

  function draw() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    putInAddress({q: input.value});
    const found = words.length ? entries.filter(({text}) => words.every((word) => text.includes(word))) : [];
    document.getElementById("found-heading").textContent = !words.length
      ? "Clients, brokers, statements and defects"
      : `${plural(found.length, "result")} for ${input.value}${found.length > FOUND_AT_MOST ? `, the first ${FOUND_AT_MOST} of them` : ""}`;
    document.getElementById("found").replaceChildren(...found.slice(0, FOUND_AT_MOST).map(({entry: [kind, name, says, page]}) =>
      h("li", {}, h("a", {class: "row", href: root + page}, h("span", {}),
        h("span", {class: "what"}, h("b", {}, name), h("span", {class: "reason"}, says)), h("span", {class: "where"}, kind)))));
  }
}
