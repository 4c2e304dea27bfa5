// Which page this is.

const PAGES = {matrix: showMatrix, statements: showStatements, search: showSearch, cells: showPlay, yours: showYours, compare: showCompare};

Promise.resolve(PAGES[document.body.dataset.page]?.()).catch((error) => {
  document.querySelector("main").append(h("p", {class: "card", role: "alert"}, `This page cannot show what it has (${error.message}).`));
});
