// Where the reader of cells is: the address's hash decides between the overview and the page of a cell.

const overview = document.getElementById("overview");
const casePage = document.getElementById("case");
let list, byId, page, title, overviewScroll = 0, overviewQuery = "";

/** Show these cells of the results that are open, an index of them in reading order; `name` is the page's. */
async function read(index, name) {
  title = name;
  byId = new Map(index.map((cell) => [cell.id, cell]));
  list = new CellList(index, (query) => {
    overviewQuery = `#cells?${query}`;
    history.replaceState(null, "", overviewQuery);
  });
  addEventListener("hashchange", route);
  addEventListener("resize", debounced(() => page?.mountChart(), 150));
  document.querySelector(".skip").addEventListener("click", skip);
  await route();
}

async function route() {
  const hash = location.hash;
  if (hash.startsWith("#cell/")) return openCell(safely(hash.slice("#cell/".length)));
  showOverview(hash);
}

async function openCell(id) {
  const cell = byId.get(id);
  if (!cell) {
    casePage.replaceChildren(h("p", {class: "empty"}, `There is no cell ${id} in this report. `, h("a", {href: "#"}, "All cells")));
    return swap(casePage, "No such cell");
  }
  const record = await loadRecord(cell);
  if (safely(location.hash.slice("#cell/".length)) !== id) return;
  const place = list.matching.indexOf(cell);
  const neighbours = place < 0
    ? {before: null, after: null, place: null, count: 0}
    : {before: list.matching[place - 1], after: list.matching[place + 1], place, count: list.matching.length};
  const siblings = list.index.filter((other) => other.scenario === cell.scenario)
    .sort((one, two) => (one.id < two.id ? -1 : 1));
  if (casePage.hidden) overviewScroll = scrollY;
  page = new CasePage(cell, record, neighbours, siblings);
  swap(casePage, `${cell.scenario}: ${outcomes.get(cell.outcome).label}`);
  page.draw(casePage);
  scrollTo(0, 0);
  casePage.querySelector("h1").focus({preventScroll: true});
}

/** The overview as it was left, or with the filters of the link that leads to it. */
function showOverview(hash) {
  const returns = overview.hidden;
  page = null;
  swap(overview, title);
  if (hash.startsWith("#cells?")) {
    const isBack = hash === overviewQuery;
    if (!isBack) list.apply(new URLSearchParams(hash.slice("#cells?".length)));
    overviewQuery = hash;
    if (returns && isBack) return scrollTo(0, overviewScroll);
    document.getElementById("cells").scrollIntoView();
    list.heading.focus({preventScroll: true});
  } else if (returns) {
    if (overviewQuery && hash === "#cells") history.replaceState(null, "", overviewQuery);
    else if (hash === "#cells") history.replaceState(null, "", "#");
    scrollTo(0, overviewScroll);
  }
}

function swap(shown, title) {
  overview.hidden = shown !== overview;
  casePage.hidden = shown !== casePage;
  document.title = title;
}

function skip(event) {
  event.preventDefault();
  const target = overview.hidden ? casePage.querySelector("h1") : list.heading;
  target.scrollIntoView();
  target.focus();
}

function safely(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function debounced(action, milliseconds) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, milliseconds);
  };
}
