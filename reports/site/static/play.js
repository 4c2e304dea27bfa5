// The cells of one play.

async function showPlay() {
  const {common, plays} = await load("plays");
  const number = asked().get("play");
  const play = plays[number];
  if (!play) {
    document.getElementById("title").textContent = "There is no such play here";
    document.getElementById("about").replaceChildren(h("a", {href: `${root}index.html`}, "All that was played"));
    return;
  }
  document.getElementById("title").textContent = play.label;
  document.getElementById("eyebrow").textContent = `Run ${play.run}, ${play.started_at}`;
  document.getElementById("about").replaceChildren(
    h("a", {href: root + play.client}, "The client"), ", ", h("a", {href: root + play.broker}, "the broker"), ", ",
    h("a", {href: `${root}compare.html?after=${number}`}, "compare with another run"));
  document.getElementById("cells").hidden = false;
  await read(await openPlay(number, common), play.label);
}

/** The index of a play's cells; they are those that are shown from now on. */
async function openPlay(number, common) {
  const {metadata: own, index} = await load(`play-${number}`);
  openResults({...common, ...await unpack(own)}, async (chunk) => unpack(await load(`play-${number}-${chunk}`)));
  return unpack(index);
}
