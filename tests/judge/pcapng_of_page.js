// Writes what a report's page would save: the page's own scripts, without a browser.
// node pcapng_of_page.js STATIC_FOLDER RECORDS.jsonl OUT_FOLDER

const fs = require("fs");

const [scripts, records, out] = process.argv.slice(2);
const source = ["packet", "sequence", "pcapng"].map((name) => fs.readFileSync(`${scripts}/${name}.js`, "utf8"));
const pcapng = new Function(`${source.join("\n")}\nreturn pcapng;`)();

(async () => {
  const lines = fs.readFileSync(records, "utf8").split("\n").filter(Boolean);
  for (const [place, line] of lines.entries()) {
    const record = JSON.parse(line);
    const saved = await pcapng({...record, id: record.scenario}).arrayBuffer();
    fs.writeFileSync(`${out}/${place}.pcapng`, Buffer.from(saved));
  }
})();
