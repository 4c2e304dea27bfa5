// Results that somebody has: read here, sent nowhere. What becomes of a record is what reports/packing.py makes of it.

async function showYours() {
  const {common} = await load("plays");
  const drop = document.getElementById("drop");
  const trouble = document.getElementById("trouble");
  drop.hidden = false;
  document.getElementById("file").addEventListener("change", (event) => take(event.target.files[0]));
  addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  addEventListener("dragleave", () => drop.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });

  async function take(file) {
    if (!file) return;
    try {
      const records = await readResults(file, common);
      openResults({...common, defects: [], sentences: {}}, () => records);
      document.getElementById("title").textContent = file.name;
      document.getElementById("about").replaceChildren(h("a", {href: location.pathname}, "Another file"));
      document.getElementById("cells").hidden = false;
      drop.hidden = true;
      history.replaceState(null, "", "#cells");
      await read(indexOf(records, common), file.name);
      list.heading.focus();
    } catch (error) {
      trouble.textContent = error.message;
    }
  }
}

/** The records of a `results.jsonl`, with the defaults they may leave out; throws an Error that says which line is wrong. */
async function readResults(file, common) {
  const records = [];
  for (const [place, line] of (await file.text()).split("\n").entries()) {
    if (!line.trim()) continue;
    const where = `${file.name}, line ${place + 1}`;
    let record;
    try {
      record = JSON.parse(line);
    } catch (error) {
      throw new Error(`${where}: ${error.message}`);
    }
    for (const name of ["scenario", "client", "broker", "mqtt", "transport", "verdict"]) {
      if (typeof record?.[name] !== "string") throw new Error(`${where}: not a result record: it has no ${name}`);
    }
    records.push({...common.defaults.record, ...record});
  }
  if (!records.length) throw new Error(`${file.name}: no results`);
  return records;
}

/** What lists show of records, in reading order. */
function indexOf(records, common) {
  const ranks = new Map(common.outcomes.map(({id}, rank) => [id, rank]));
  const words = (cell) => [cell.scenario, cell.client, cell.broker, cell.mqtt, cell.transport];
  const before = (one, two) => ranks.get(one.outcome) - ranks.get(two.outcome) || Boolean(one.known) - Boolean(two.known)
    || (words(one).join("\n") < words(two).join("\n") ? -1 : 1);
  return records.map((record, place) => {
    const outcome = outcomeOf(record);
    const listed = record.unexpected_pass ? null : record.known_failure;
    return {
      ...record, trace: null, steps: null, findings: null, outcome, known: listed?.reason ?? null, defect: null, chunk: 0, place,
      id: words(record).join(" "), first_time: null,
      reason: outcome === "unexpected-pass" ? `it passed, but is listed to fail${record.known_failure ? `: ${record.known_failure.reason}` : ""}` : record.reason,
    };
  }).sort(before);
}

/** Where a record stands, as reports/summary.py has it. */
function outcomeOf(record) {
  const {verdict, known_failure: known} = record;
  if (record.unexpected_pass && verdict === "pass") return "unexpected-pass";
  if (known?.readings?.length && (verdict === "fail" || verdict === "warn")) return "ambiguous";
  if (known && (verdict === "fail" || verdict === "setup-failed")) return verdict === "fail" ? "known-failure" : "known-setup-failed";
  return verdict;
}
