// The report: its cells are in the page itself.

openResults(JSON.parse(document.getElementById("metadata").textContent), (chunk) => packed(`chunk-${chunk}`));
try {
  await read(await packed("index"), "MQTT interoperability");
} catch (error) {
  document.getElementById("list").prepend(h("p", {class: "empty"}, `This browser cannot open the cells (${error.message}); the failures are listed below.`));
}

function packed(id) {
  return unpack(document.getElementById(id).textContent);
}
