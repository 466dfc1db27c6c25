// The page "VOD events". Untrusted content is inserted through `textContent` and attributes that cannot run scripts, never as
// markup; the Content-Security-Policy is a second line of defence.
"use strict";

const REFRESH_INTERVAL = 5_000; // milliseconds
const BEHIND = 10; // seconds since a pull last emptied the queue; anything less is a burst
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

let before = null; // cursor of the current page; null for the newest events
let next = null; // cursor of the next page
let shown = null; // the event in the dialog
let latestRequest = 0; // number of the latest request for events: answers to earlier ones are ignored
let skew = 0; // seconds that the server's clock is ahead of this one

function element(name, { text, className, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

async function ask(path, options = {}) {
  const response = await fetch(path, { credentials: "same-origin", ...options });
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    const detail = typeof answer.detail === "string" ? answer.detail : `The server answered ${response.status}.`;
    throw new Error(response.status === 401 ? "Your Airflow session has expired. Reload the page." : detail);
  }
  const answer = await response.json();
  if (answer.now) skew = answer.now - Date.now() / 1000;
  return answer;
}

function span(seconds) {
  if (seconds < 0.95) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * size) return `${Math.round(seconds / size)} ${unit}`;
  }
  return `${Math.round(seconds)} s`;
}

const ago = (when) => (when ? `${span(Math.max(0, Date.now() / 1000 + skew - when))} ago` : "never");
const exactly = (when) => (when ? new Date(when * 1000).toISOString().replace("T", " ").replace("Z", " UTC") : "");

function filters() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData($("filters"))) if (value.trim()) query.set(name, value.trim());
  return query;
}

// Events

async function showEvents() {
  const request = ++latestRequest;
  const query = filters();
  $("export").href = `api/export?${query}`;
  if (before) query.set("before", before);
  let page;
  try {
    page = await ask(`api/events?${query}`);
  } catch (error) {
    if (request === latestRequest) say(error.message);
    return;
  }
  if (request !== latestRequest) return;
  next = page.next;
  const focused = document.activeElement?.closest?.("tbody tr")?.dataset.key;
  const rows = page.events.map(row);
  document.querySelector("#events tbody").replaceChildren(...rows);
  if (focused) rows.find((each) => each.dataset.key === focused)?.querySelector("button").focus();
  $("empty").hidden = rows.length > 0;
  $("older").disabled = !next;
  $("newest").disabled = !before;
  const count = `${rows.length}${next ? " or more" : ""} event${rows.length === 1 ? "" : "s"}`;
  say(before ? `${count}, older ones` : count);
}

function row(event) {
  const open = element("button", { type: "button", text: event.event_type ?? "not readable" });
  const outcome = event.error ? "unparsed" : event.outcome;
  const words = { unparsed: "not readable", partly_failed: "partly failed" };
  const cells = [
    element("td", {}, open),
    element("td", { className: "id", text: event.vod_task_id ?? event.file_id ?? "–", title: event.vod_task_id ?? "" }),
    element("td", {}, outcome ? element("span", { className: `badge ${outcome}`, text: words[outcome] ?? outcome }) : event.status ?? "–"),
    element("td", { text: event.source }),
    element("td", { text: ago(event.received_at), title: exactly(event.received_at) }),
    element("td", { text: event.read_by ?? "–", title: event.read_at ? `${event.read_by} ${exactly(event.read_at)}` : "not read yet" }),
  ];
  const made = element("tr", { className: event.read_at ? "" : "unread" }, ...cells);
  made.dataset.key = `${event.queue} ${event.key}`;
  made.addEventListener("click", () => showDetail(event));
  return made;
}

async function showDetail({ queue, position }) {
  try {
    shown = await ask(`api/event?${new URLSearchParams({ queue, position })}`);
  } catch (error) {
    say(error.message);
    return;
  }
  const facts = {
    "VOD task id": shown.vod_task_id,
    "File id": shown.file_id,
    Outcome: shown.outcome,
    Status: shown.status,
    Queue: `${shown.queue}, position ${shown.position}`,
    Received: `${exactly(shown.received_at)} by ${shown.source}`,
    Read: shown.read_at ? `${exactly(shown.read_at)} by ${shown.read_by}` : "not yet",
    Key: shown.key,
    Problem: shown.error,
  };
  const pairs = Object.entries(facts).filter(([, value]) => value);
  $("detail-title").textContent = shown.event_type ?? "Not readable as an event";
  $("facts").replaceChildren(...pairs.flatMap(([name, text]) => [element("dt", { text: name }), element("dd", { text })]));
  $("body").textContent = shown.body;
  $("detail-status").textContent = "";
  $("replay").disabled = false;
  if (!$("detail").open) $("detail").showModal();
}

async function replay() {
  $("replay").disabled = true;
  try {
    const answer = await ask("api/replay", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Requested-With": "vod-events" },
      body: JSON.stringify({ queue: shown.queue, position: shown.position }),
    });
    $("detail-status").textContent = `Replayed: now at position ${answer.position}.`;
    showEvents();
  } catch (error) {
    $("detail-status").textContent = error.message;
    $("replay").disabled = false;
  }
}

// Relays and history

async function showRelays() {
  const { queues, event_types: types } = await ask("api/queues");
  $("relays").replaceChildren(...(queues.length ? queues.map(card) : [element("p", { className: "quiet", text: "No events yet." })]));
  if (!$("event-types").children.length) $("event-types").append(...types.map((value) => element("option", { value })));
  const known = new Set([...$("queue").options].map((option) => option.value));
  for (const { queue } of queues) if (!known.has(queue)) $("queue").append(element("option", { value: queue, text: queue }));
}

// Each of these values may be missing: before the first pull, or when VOD does not report it.
const isBehind = (relay) => Boolean(relay.caught_up_at) && relay.last_pull_at - relay.caught_up_at > BEHIND;

function inQueue({ in_queue: count, in_queue_at: when }) {
  if (!Number.isFinite(count)) return "–";
  return `${count} event${count === 1 ? "" : "s"}${when ? `, as of ${ago(when)}` : ""}`;
}

function caughtUp(relay) {
  if (isBehind(relay)) return `no, behind for ${span(Date.now() / 1000 + skew - relay.caught_up_at)}`;
  return relay.caught_up_at ? ago(relay.caught_up_at) : "–";
}

function card(queue) {
  const idle = queue.waiters > 0 && !queue.holder;
  const facts = [
    ["Pulled by", queue.holder ? `${queue.holder}, for ${span(Date.now() / 1000 + skew - queue.held_since)}` : "nobody"],
    ["Last pull", queue.holder ? ago(queue.relay.last_pull_at) : "–"],
    ["In VOD's queue", inQueue(queue.relay)],
    ["Caught up", caughtUp(queue.relay)],
    ["Newest event", ago(queue.newest)],
    ["Unread", `${queue.unread} of ${queue.events}${queue.unparsed ? `, ${queue.unparsed} not readable` : ""}`],
    ["Waiters", idle ? `${queue.waiters}, but nobody pulls` : queue.waiters],
  ];
  const list = element("dl", {}, ...facts.flatMap(([name, text]) => [element("dt", { text: name }), element("dd", { text })]));
  const state = idle || isBehind(queue.relay) ? "warn" : queue.holder ? "good" : "";
  return element("div", { className: `card ${state}` }, element("strong", { text: `Queue ${queue.queue}` }), list);
}

async function showHistory() {
  const query = new URLSearchParams({ hours: $("hours").value });
  if ($("queue").value) query.set("queue", $("queue").value);
  const { slices, hours } = await ask(`api/history?${query}`);
  const width = 960 / slices.length;
  const most = Math.max(1, ...slices.map((slice) => slice.events));
  const longest = Math.max(1e-9, ...slices.map((slice) => slice.mean_wait ?? 0));
  const shapes = [shape("line", { class: "axis", x1: 0, x2: 960, y1: 139.5, y2: 139.5 })];
  const points = [];
  slices.forEach((slice, number) => {
    const bar = (className, count) => {
      const height = count ? Math.max(2, (130 * count) / most) : 0;
      shapes.push(shape("rect", { class: className, x: number * width + 1, y: 139 - height, width: width - 2, height }));
    };
    bar("events", slice.events);
    bar("failed", slice.failed);
    if (slice.mean_wait !== null) points.push(`${(number + 0.5) * width},${136 - (125 * slice.mean_wait) / longest}`);
  });
  if (points.length) shapes.push(shape("polyline", { class: "wait", points: points.join(" ") }));
  $("history").replaceChildren(...shapes);
  const total = slices.reduce((sum, slice) => sum + slice.events, 0);
  const failed = slices.reduce((sum, slice) => sum + slice.failed, 0);
  const wait = points.length ? ` The longest mean wait until read was ${span(longest)}.` : "";
  $("history-text").textContent = `${total} events in ${span(hours * 3600)}, ${failed} of them failed; ${most} at most in ${span((hours * 3600) / slices.length)}.${wait}`;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// The page

function say(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

async function refresh() {
  try {
    await Promise.all([showEvents(), showRelays(), showHistory()]);
  } catch (error) {
    say(error.message);
  }
}

function go(cursor) {
  before = cursor;
  showEvents();
}

// Links on Airflow's task pages pass search terms in the query string. They are untrusted, and only become values of fields.
const linked = new URLSearchParams(location.search);
for (const name of ["search", "event_type"]) if (linked.has(name)) $(name).value = linked.get(name).slice(0, 255);

let typing;
$("filters").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => go(null), 250);
});
$("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  go(null);
});
$("filters").addEventListener("reset", () => setTimeout(() => { go(null); showHistory().catch((error) => say(error.message)); }));
for (const id of ["hours", "queue"]) $(id).addEventListener("change", () => showHistory().catch((error) => say(error.message)));
$("older").addEventListener("click", () => go(next));
$("newest").addEventListener("click", () => go(null));
$("replay").addEventListener("click", replay);
$("close").addEventListener("click", () => $("detail").close());
addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, select, dialog")) {
    event.preventDefault();
    $("search").focus();
  }
});
setInterval(() => {
  if ($("live").checked && !document.hidden && !before && !$("detail").open) refresh();
}, REFRESH_INTERVAL);
refresh();
