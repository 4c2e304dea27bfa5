// When something was observed, against the window in which it had to be.

/** A small bar: the allowed window as a band, the observation as a mark on it. */
function timingBar(step) {
  const [after, within] = step.window;
  const seen = step.observed_at;
  const end = Math.max(within, seen ?? 0) * 1.12 || 1;
  const at = (seconds) => `${(100 * seconds / end).toFixed(2)}%`;
  const allowed = `allowed ${span(after)} to ${span(within)}`;
  const inside = seen !== null && seen >= after && seen <= within;
  const words = seen === null
    ? (step.status === "not-run" || step.status === "skipped" ? `not reached; ${allowed}` : `not observed; ${allowed}`)
    : `observed at ${span(seen)}${inside ? "" : seen < after ? ", too early" : ", too late"}; ${allowed}`;
  return h("div", {class: "timing"},
    h("div", {class: "track", "aria-hidden": "true"},
      h("i", {class: "window", style: `left:${at(after)};width:${at(within - after)}`}),
      seen === null ? null : h("i", {class: inside ? "mark inside" : "mark outside", style: `left:${at(seen)}`})),
    h("span", {}, words));
}
