"use strict";
// What was proposed, by file: [file, action, label, reason]. A choice on the page takes its place.
const rows = new Map(JSON.parse(document.getElementById("proposal").textContent).map((row) => [row[0], row]));
const changed = new Set();

function choose(select) {
  const file = select.dataset.file;
  const [action, ...label] = select.value.split(":");
  const before = rows.get(file) || [file, "keep", "", "chosen by hand"];
  rows.set(file, [file, action, label.join(":") || (action === "relabel" ? before[2] : ""), before[3]]);
  changed.add(file);
  for (const other of document.querySelectorAll("select")) {
    if (other.dataset.file === file) other.value = select.value; // a file may stand in several findings
  }
  document.getElementById("told").textContent =
    `${changed.size} ${changed.size === 1 ? "decision differs" : "decisions differ"} from the proposal.`;
}

function quoted(cell) {
  return /[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

function save() {
  const lines = [["file", "action", "label", "reason"], ...rows.values()].map((row) => row.map(quoted).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  link.download = "fixes.csv";
  link.click();
}

for (const select of document.querySelectorAll("select")) select.addEventListener("change", () => choose(select));
const button = document.getElementById("save");
if (button) button.addEventListener("click", save);
