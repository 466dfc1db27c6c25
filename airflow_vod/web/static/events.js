// The page "VOD events". Untrusted content is inserted through `textContent` and attributes that cannot run scripts, never as
// markup; the Content-Security-Policy is a second line of defence.
"use strict";

const REFRESH_INTERVAL = 5_000; // milliseconds between the end of one refresh and the next
const TIMEOUT = 30_000; // milliseconds
const BEHIND = 10; // seconds since a pull last emptied the queue; anything less is a burst
const SVG = "http://www.w3.org/2000/svg";
const TIMES = ["since", "until"];
const FIELDS = ["search", "queue", "event_type", "outcome", "unread", "unparsed", ...TIMES];
const $ = (id) => document.getElementById(id);

let before = null; // cursor of the current page; null for the newest events
let next = null; // cursor of the next page
let shown = null; // the event in the dialog
let skew = 0; // seconds that the server's clock is ahead of this one
let waiting = 0; // how many waiters match the search

// Inside Airflow's frame the address that people see and share is that of the page around it, which is of the same origin.
// Airflow 3.3 copies the frame's path there by itself, earlier versions nothing.
const framed = window.parent !== window;
const address = framed ? window.parent : window;

function element(name, { text, className, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// One request after the other: a page never has two at once, however slow the server is.
let last = Promise.resolve();

function ask(path, options = {}) {
  const answer = last.then(() => request(path, options));
  last = answer.catch(() => {});
  return answer;
}

async function request(path, options) {
  const response = await fetch(path, { credentials: "same-origin", signal: AbortSignal.timeout(TIMEOUT), ...options });
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

const ago = (when) => (when ? `${span(Math.max(0, now() - when))} ago` : "never");
const exactly = (when) => (when ? new Date(when * 1000).toISOString().replace("T", " ").replace("Z", " UTC") : "");

const now = () => Date.now() / 1000 + skew;
const hence = (when) => (when ? `in ${span(Math.max(0, when - now()))}` : "–");

// The address

function filters() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData($("filters"))) {
    if (!value.trim()) continue;
    query.set(name, TIMES.includes(name) ? new Date(value).getTime() / 1000 : value.trim());
  }
  return query;
}

function writeAddress() {
  const query = filters();
  if (shown) query.set("event", `${shown.position}@${shown.queue}`);
  const { history, location } = address;
  history.replaceState(history.state, "", location.pathname + (query.size ? `?${query}` : ""));
}

// What the address says is untrusted, and only becomes values of fields.
function readAddress() {
  const query = new URLSearchParams(location.search || address.location.search);
  for (const [name, value] of query) {
    const field = FIELDS.includes(name) ? $(name) : null;
    if (!field) continue;
    if (field.type === "checkbox") field.checked = value === "true";
    else if (TIMES.includes(name)) field.value = localMinute(Number(value));
    else if (name !== "search") choose(field, value.slice(0, 255));
  }
  $("search").value = query.getAll("search").join(" ");
  const [, position, queue] = /^(\d+)@(.+)$/s.exec(query.get("event") ?? "") ?? [];
  if (queue) showDetail({ queue, position });
}

function choose(field, value) {
  const options = field.options ? [...field.options].map((option) => option.value) : [];
  if (field.id === "queue" && !options.includes(value)) field.append(element("option", { value, text: value }));
  field.value = value;
}

function localMinute(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0 || seconds > 1e11) return "";
  const moment = new Date(seconds * 1000);
  return new Date(moment - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

// Links into Airflow. Its frame lets no page inside navigate it, so there a link of the outer page is followed.

function follow(event) {
  event.stopPropagation();
  if (!framed) return;
  event.preventDefault();
  const link = window.parent.document.createElement("a");
  link.href = event.currentTarget.href;
  window.parent.document.body.append(link);
  link.click();
  link.remove();
}

function taskLink(name) {
  const [, dag, run, task, index] = /^([^/]+)\/([^/]+)\/([^/[\]]+)(?:\[(\d+)\])?$/.exec(name) ?? [];
  if (!dag) return element("span", { text: name });
  const mapped = index === undefined ? "" : `/mapped/${index}`;
  const path = `../${["dags", dag, "runs", run, "tasks", task].map(encodeURIComponent).join("/")}${mapped}`;
  const link = element("a", { href: path, text: name, title: "Open the task instance" });
  link.addEventListener("click", follow);
  return link;
}

// Events

async function showEvents() {
  const query = filters();
  $("export").href = `api/export?${query}`;
  if (before) query.set("before", before);
  const page = await ask(`api/events?${query}`);
  next = page.next;
  const focused = document.activeElement?.closest?.("#events tr")?.dataset.key;
  const rows = page.events.map(row);
  document.querySelector("#events tbody").replaceChildren(...rows);
  if (focused) rows.find((each) => each.dataset.key === focused)?.querySelector("button").focus();
  $("older").disabled = !next;
  $("newest").disabled = !before;
  const count = `${rows.length}${next ? " or more" : ""} event${rows.length === 1 ? "" : "s"}`;
  say(before ? `${count}, older ones` : count);
  $("empty").hidden = rows.length > 0;
}

function row(event) {
  const open = element("button", { type: "button", text: event.event_type ?? "not readable" });
  const outcome = event.error ? "unparsed" : event.outcome;
  const words = { unparsed: "not readable", partly_failed: "partly failed" };
  const result = element("td", {}, outcome ? element("span", { className: `badge ${outcome}`, text: words[outcome] ?? outcome }) : event.status ?? "–");
  if (event.error) result.append(element("span", { className: "why", text: event.error, title: event.error }));
  const reader = element("td", { title: event.read_at ? `${event.read_by} ${exactly(event.read_at)}` : "not read yet" });
  reader.append(event.read_by ? taskLink(event.read_by) : "–");
  const cells = [
    element("td", {}, open),
    element("td", { className: "id", text: event.vod_task_id ?? event.file_id ?? "–", title: event.vod_task_id ?? "" }),
    result,
    element("td", { text: event.source }),
    element("td", { text: ago(event.received_at), title: exactly(event.received_at) }),
    reader,
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
  $("detail-title").textContent = shown.event_type ?? "Not readable as an event";
  $("facts").replaceChildren(...pairs(Object.entries(facts).filter(([, value]) => value)));
  if (shown.read_by) $("facts").append(element("dt", { text: "Reader" }), element("dd", {}, taskLink(shown.read_by)));
  $("body").textContent = shown.body;
  $("detail-status").textContent = "";
  $("replay").disabled = false;
  if (!$("detail").open) $("detail").showModal();
  writeAddress();
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
    refresh();
  } catch (error) {
    $("detail-status").textContent = error.message;
    $("replay").disabled = false;
  }
}

// Waiters

async function showWaiters() {
  const query = filters();
  for (const name of [...query.keys()]) if (!["search", "queue", "event_type"].includes(name)) query.delete(name);
  const { waiters, more } = await ask(`api/waiters?${query}`);
  waiting = waiters.length;
  document.querySelector("#waiters tbody").replaceChildren(...waiters.map(waiter));
  const matching = query.size ? " that match" : "";
  $("waiting-count").textContent = waiting ? `${waiting}${more ? " or more" : ""}${matching}` : `nobody${query.size ? " for this" : ""}`;
  document.querySelector("#waiters").hidden = !waiting;
  tellWhyEmpty();
}

function waiter(each) {
  const wanted = each.vod_task_id ?? (each.event_types.join(", ") || "any event");
  const asked = each.asked_at ? `${ago(each.asked_at)}: ${each.answer ?? "it had not ended"}` : "not asked yet";
  return element(
    "tr",
    {},
    element("td", {}, taskLink(each.waiter)),
    element("td", { className: "id", text: wanted, title: `${wanted}, queue ${each.queue}` }),
    element("td", { text: ago(each.since), title: exactly(each.since) }),
    element("td", { text: hence(each.deadline), title: exactly(each.deadline) }),
    element("td", { text: asked, title: exactly(each.asked_at) }),
  );
}

function tellWhyEmpty() {
  const exact = $("search").value.trim() ? " Search is exact: give whole VOD task ids or file ids." : "";
  const waits = `No event yet: ${waiting === 1 ? "a task waits" : `${waiting} tasks wait`} for it, see Waiting.`;
  $("empty").textContent = waiting && exact ? waits : `No event matches.${exact}`;
}

// Relays and history

const opened = new Set(); // queues whose facts are open

async function showRelays() {
  const { queues, event_types: types } = await ask("api/queues");
  $("relays").replaceChildren(...(queues.length ? queues.map(card) : [element("p", { className: "quiet", text: "No events yet." })]));
  if (!$("event-types").children.length) $("event-types").append(...types.map((value) => element("option", { value })));
  const known = new Set([...$("queue").options].map((option) => option.value));
  for (const { queue } of queues) if (!known.has(queue)) $("queue").append(element("option", { value: queue, text: queue }));
}

const pairs = (facts) => facts.flatMap(([name, text]) => [element("dt", { text: name }), element("dd", { text })]);

// Each of these values may be missing: before the first pull, or when VOD does not report it.
const isBehind = (relay) => Boolean(relay.caught_up_at) && relay.last_pull_at - relay.caught_up_at > BEHIND;

function inQueue({ in_queue: count, in_queue_at: when }) {
  if (!Number.isFinite(count)) return "–";
  return `${count} event${count === 1 ? "" : "s"}${when ? `, as of ${ago(when)}` : ""}`;
}

function caughtUp(relay) {
  if (isBehind(relay)) return `no, behind for ${span(now() - relay.caught_up_at)}`;
  return relay.caught_up_at ? ago(relay.caught_up_at) : "–";
}

function failing({ failing_since_at: since, failure }) {
  return since ? `pulls have failed since ${ago(since)}: ${failure}` : "";
}

function card(queue) {
  const relay = queue.relay ?? {};
  const idle = queue.waiters > 0 && !queue.holder;
  const facts = [
    ["Pulled by", queue.holder ? `${queue.holder}, for ${span(now() - queue.held_since)}` : "nobody"],
    ["Last pull", ago(relay.last_pull_at)],
    ["Trouble", failing(relay) || "–"],
    ["In VOD's queue", inQueue(relay)],
    ["Caught up", caughtUp(relay)],
    ["Newest event", ago(queue.newest)],
    ["Unread", `${queue.unread} of ${queue.events}${queue.unparsed ? `, ${queue.unparsed} not readable` : ""}`],
    ["Waiters", idle ? `${queue.waiters}, but nobody pulls` : queue.waiters],
  ];
  const trouble = queue.trouble ?? (queue.waiters > 0 || queue.holder ? failing(relay) : "");
  const calm = `${queue.holder ? `pulled ${ago(relay.last_pull_at)}` : "nobody pulls"} · ${queue.waiters} waiting · ${queue.unread} unread`;
  const state = trouble ? "bad" : idle || isBehind(relay) ? "warn" : queue.holder ? "good" : "";
  const summary = element("summary", {}, element("strong", { text: `Queue ${queue.queue}` }), element("span", { className: "says", text: trouble || calm }));
  const made = element("details", { className: `card ${state}` }, summary, element("dl", {}, ...pairs(facts)));
  made.open = opened.has(queue.queue);
  made.addEventListener("toggle", () => opened[made.open ? "add" : "delete"](queue.queue));
  return made;
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

let refreshing = false;
let again = false;
let timer;

// What is asked for while a refresh runs is one more refresh after it.
async function refresh() {
  if (refreshing) {
    again = true;
    return;
  }
  clearTimeout(timer);
  refreshing = true;
  do {
    again = false;
    for (const show of [showEvents, showWaiters, showRelays, ...($("over-time").open ? [showHistory] : [])]) {
      await show().catch((error) => say(error.name === "TimeoutError" ? "The server does not answer." : error.message));
      if (again) break;
    }
  } while (again);
  refreshing = false;
  timer = setTimeout(tick, REFRESH_INTERVAL);
}

function tick() {
  if ($("live").checked && !document.hidden && !before && !$("detail").open) refresh();
  else timer = setTimeout(tick, REFRESH_INTERVAL);
}

function go(cursor) {
  before = cursor;
  writeAddress();
  refresh();
}

let typing;
$("filters").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => go(null), 250);
});
$("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  go(null);
});
$("filters").addEventListener("reset", () => setTimeout(() => go(null)));
$("hours").addEventListener("change", refresh);
$("over-time").addEventListener("toggle", () => $("over-time").open && refresh());
$("older").addEventListener("click", () => go(next));
$("newest").addEventListener("click", () => go(null));
$("replay").addEventListener("click", replay);
$("close").addEventListener("click", () => $("detail").close());
$("detail").addEventListener("close", () => {
  shown = null;
  writeAddress();
});
$("back").addEventListener("click", follow);
$("back").hidden = framed;
addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, select, dialog")) {
    event.preventDefault();
    $("search").focus();
  }
});
readAddress();
refresh();
