// SPDX-License-Identifier: MIT
// The report: the map, the charts, and one time T for all of them. No state at T is stored: it
// follows from each page's arrival and from the last event of its range.
"use strict";
const ROW = 512, NEVER = 0xffffffff;
const $ = (id) => document.getElementById(id);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const vcpuColour = (i) => css(`--vcpu${i % 4}`);
const TO_LEAF = 0, TO_TABLE = 1, TO_GIB_LEAF = 2, TO_GIB_TABLE = 3;
const GIVEN_UP = 0, LOST = 1, BACK = 2;
const ABSENT = 0, ASKED = 1, P4K = 2, P2M = 3, P1G = 4, POISON = 5, GONE = 6;
const SAYS = ["it has not arrived", "it is asked for", "it is mapped by a 4 KiB leaf",
	"it is part of a 2 MiB leaf", "it is part of a 1 GiB leaf", "it is lost", "the guest gave it up"];

let D, T, arrival, state, shares, chosen = -1, playing = 0, charts = [], lines = [];

// --- data ------------------------------------------------------------------------------------

async function unpack() {
	const packed = Uint8Array.from(atob($("data").textContent), (c) => c.charCodeAt(0));
	const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
	const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
	const size = new DataView(bytes.buffer).getUint32(0, true);
	D = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + size)));
	const at = 4 + size, n = new DataView(bytes.buffer).getUint32(at, true);
	const column = (c, i) => [0, 1, 2, 3].reduce((v, b) => v + bytes[at + 4 + (4 * c + b) * n + i] * 256 ** b, 0);
	arrival = new Uint32Array(D.frames).fill(NEVER);
	for (let i = 0, when = 0, gfn = 0; i < n; i++) { // runs of pages that came together
		const place = column(1, i);
		when += column(0, i);
		gfn += (place >>> 1) ^ -(place & 1);
		for (const end = gfn + column(2, i); gfn < end; gfn++)
			arrival[gfn] = when * D.quantum;
	}
	shares = bytes.subarray(at + 4 + 12 * n);
	state = new Uint8Array(D.frames);
	D.rows = Math.ceil(D.frames / ROW);
	for (const list of ["rowev", "asks", "faults", "waits", "gone", "refused"])
		for (let i = 1; i < D[list].t.length; i++)
			D[list].t[i] += D[list].t[i - 1];
}

const time = (us) => us < 1000 ? `${Math.round(us)} µs` : us < 1e7 ? `${(us / 1000).toFixed(us < 1e5 ? 2 : 1)} ms` :
	`${(us / 1e6).toFixed(2)} s`;
const round = (us) => us < 1000 ? `${Math.round(us)} µs` : us < 1e6 ? `${Math.round(us / 1000)} ms` : `${Math.round(us / 1e6)} s`;
const hex = (n) => "0x" + n.toString(16);
const many = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

// --- the state at T --------------------------------------------------------------------------

function upTo(list, t, act) {
	for (let i = 0; i < list.t.length && list.t[i] <= t; i++)
		act(i);
}

function compute(t) {
	const leaf = new Uint8Array(D.rows), gib = new Uint8Array(Math.ceil(D.rows / ROW));
	upTo(D.rowev, t, (i) => {
		const r = D.rowev.r[i];
		switch (D.rowev.k[i]) {
		case TO_LEAF: leaf[r] = 1; break;
		case TO_TABLE: leaf[r] = 0; break;
		case TO_GIB_LEAF: gib[r] = 1; break;
		case TO_GIB_TABLE:
			if (gib[r])
				leaf.fill(1, r * ROW, (r + 1) * ROW);
			gib[r] = 0;
		}
	});
	for (let r = 0; r < D.rows; r++) {
		const here = gib[r >> 9] ? P1G : leaf[r] ? P2M : P4K;
		for (let p = r * ROW, end = Math.min(p + ROW, D.frames); p < end; p++)
			state[p] = arrival[p] <= t ? here : ABSENT;
	}
	upTo(D.asks, t, (i) => { if (state[D.asks.gfn[i]] === ABSENT) state[D.asks.gfn[i]] = ASKED; });
	upTo(D.gone, t, (i) => {
		const { gfn, frames, k } = D.gone, as = k[i] === GIVEN_UP ? GONE : k[i] === LOST ? POISON : P4K;
		state.fill(as, gfn[i], gfn[i] + frames[i]);
	});
}

// --- the map ---------------------------------------------------------------------------------

const map = $("map");
let image, pixels;

function rgba(name) {
	const v = parseInt(css(name).slice(1), 16);
	return (0xff << 24 | (v & 0xff) << 16 | (v >> 8 & 0xff) << 8 | v >> 16) >>> 0;
}

function drawMap() {
	const colour = ["--absent", "--asked", "--p4k", "--p2m", "--p1g", "--poison", "--gone"].map(rgba);
	const gone2 = rgba("--gone2"), dot = rgba("--dot");
	compute(T);
	for (let p = 0; p < D.frames; p++) {
		const s = state[p];
		pixels[p] = s === GONE && ((p & 511) + (p >> 9) & 3) < 2 ? gone2 : colour[s];
	}
	const tall = D.rows < 256 ? 0 : 1; // where there are few rows they are high
	const fade = D.span * 0.3 / +$("speed").value;
	upTo(D.faults, T, (i) => {
		if (D.faults.t[i] <= T - fade)
			return;
		const x = D.faults.gfn[i] % ROW, y = Math.floor(D.faults.gfn[i] / ROW);
		for (let dy = -tall; dy <= tall; dy++)
			for (let dx = -1; dx <= 1; dx++)
				if (x + dx >= 0 && x + dx < ROW && y + dy >= 0 && y + dy < D.rows)
					pixels[(y + dy) * ROW + x + dx] = dot;
	});
	map.getContext("2d").putImageData(image, 0, 0);
}

function setUpMap() {
	map.width = ROW;
	map.height = D.rows;
	map.style.aspectRatio = `${ROW} / ${Math.min(Math.max(D.rows, 128), 1024)}`;
	image = map.getContext("2d").createImageData(ROW, D.rows);
	pixels = new Uint32Array(image.data.buffer);
	$("geometry").textContent = `${many(D.rows, "row")} of 2 MiB, which is one table page; a pixel is a 4 KiB page. ` +
		"Guest address 0 is at the top left.";
	map.addEventListener("pointermove", (e) => tellPage(pageAt(e)));
	map.addEventListener("pointerleave", () => tellPage(-1));
	map.addEventListener("click", (e) => choose(Math.floor(pageAt(e) / ROW)));
	map.addEventListener("keydown", (e) => {
		const step = { ArrowUp: -1, ArrowDown: 1, PageUp: -16, PageDown: 16 }[e.key];
		if (!step)
			return;
		e.preventDefault();
		choose(Math.min(Math.max(chosen < 0 ? 0 : chosen + step, 0), D.rows - 1));
	});
}

function pageAt(e) {
	const box = map.getBoundingClientRect();
	const x = Math.floor((e.clientX - box.left) / box.width * ROW);
	const y = Math.floor((e.clientY - box.top) / box.height * D.rows);
	return Math.min(Math.max(y, 0), D.rows - 1) * ROW + Math.min(Math.max(x, 0), ROW - 1);
}

function tellPage(p) {
	if (p < 0 || p >= D.frames) {
		const n = new Array(7).fill(0);
		state.forEach((s) => n[s]++);
		$("here").textContent = `At ${time(T)}: ${many(D.frames - n[ABSENT] - n[ASKED], "page")} of ${D.frames.toLocaleString("en")} here; ` +
			`${n[P4K].toLocaleString("en")} in 4 KiB leaves, ${(n[P2M] + n[P1G]).toLocaleString("en")} in larger ones.`;
		return;
	}
	const came = arrival[p] === NEVER ? "it never came" : arrival[p] <= T ? `it came at ${time(arrival[p])}` : `it comes at ${time(arrival[p])}`;
	$("here").textContent = `Range ${Math.floor(p / ROW)}, page ${p % ROW} (guest address ${hex(p * 4096)}): ${SAYS[state[p]]}; ${came}.`;
}

// --- a range's life --------------------------------------------------------------------------

function lifeOf(row) {
	const first = row * ROW, end = Math.min(first + ROW, D.frames), gib = Math.floor(row / ROW), life = [];
	const note = (t, text) => life.push([t, text]);
	const within = (gfn) => gfn >= first && gfn < end;
	const touches = [], asks = [];
	D.faults.t.forEach((t, i) => within(D.faults.gfn[i]) && touches.push([t, D.faults.gfn[i], D.faults.vcpu[i]]));
	D.asks.t.forEach((t, i) => within(D.asks.gfn[i]) && asks.push(t));
	if (touches.length)
		note(touches[0][0], `first fault: page ${touches[0][1] - first}, by vCPU ${touches[0][2]}; ${many(touches.length, "fault")} in all`);
	if (asks.length)
		note(asks[0], `first request; ${many(asks.length, "page")} asked for in all`);
	const times = Array.from(arrival.subarray(first, end)).filter((t) => t !== NEVER).sort((a, b) => a - b);
	if (times.length && times[0] === times[times.length - 1]) {
		note(times[0], `all ${many(times.length, "page")} come at once`);
	} else if (times.length) {
		note(times[0], "first page comes");
		note(times[times.length >> 1], "half of those that come are here");
		note(times[times.length - 1], `last page comes; ${many(times.length, "page")} in all`);
	}
	D.rowev.t.forEach((t, i) => {
		const k = D.rowev.k[i], r = D.rowev.r[i];
		if (k === TO_LEAF && r === row) note(t, D.rowev.c[i] ? "collapses: one 2 MiB leaf" : "is placed whole: one 2 MiB leaf");
		if (k === TO_TABLE && r === row) note(t, "is split into 512 entries of 4 KiB");
		if (k === TO_GIB_LEAF && r === gib) note(t, "becomes part of a 1 GiB leaf");
		if (k === TO_GIB_TABLE && r === gib) note(t, "its GiB is split into 512 entries of 2 MiB");
	});
	D.refused.t.forEach((t, i) => within(D.refused.gfn[i]) && note(t, `a collapse is refused: ${D.refused.why[i]}`));
	D.gone.t.forEach((t, i) => D.gone.gfn[i] < end && D.gone.gfn[i] + D.gone.frames[i] > first && note(t,
		["the guest gives pages up", "memory is lost", "a page is back, as zeros"][D.gone.k[i]]));
	return life.sort((a, b) => a[0] - b[0]);
}

function choose(row) {
	chosen = row;
	const box = $("row"), life = $("life");
	box.style.display = row < 0 ? "none" : "block";
	box.style.top = `calc(${10}px + ${row / D.rows} * (100% - 18px) - 2px)`;
	box.style.height = `calc(${1 / D.rows} * (100% - 18px) + 4px)`;
	if (row < 0)
		return;
	life.innerHTML = `<h2>The life of range ${row}</h2><p class="soft">Guest addresses ${hex(row * ROW * 4096)} to ${hex((row + 1) * ROW * 4096 - 1)}</p><table></table>`;
	const table = life.querySelector("table");
	for (const [t, text] of lifeOf(row)) {
		const line = table.insertRow(), go = document.createElement("button");
		go.type = "button";
		go.textContent = time(t);
		go.addEventListener("click", () => setTime(t));
		line.insertCell().append(go);
		line.insertCell().textContent = text;
	}
	link();
}

// --- time ------------------------------------------------------------------------------------

function setTime(t, quiet) {
	T = Math.min(Math.max(t, 0), D.span);
	$("time").value = Math.round(T / D.span * 10000);
	$("time").setAttribute("aria-valuetext", time(T));
	$("now").textContent = time(T);
	drawMap();
	lines.forEach((move) => move());
	tellPage(-1);
	if (!quiet)
		link();
}

function link() {
	if (!playing)
		history.replaceState(null, "", `#t=${Math.round(T)}${chosen < 0 ? "" : `&row=${chosen}`}`);
}

function play(on) {
	playing = on ? performance.now() : 0;
	$("play").textContent = on ? "Pause" : "Play";
	if (!on)
		return link();
	if (T >= D.span)
		T = 0;
	const step = (now) => {
		if (!playing)
			return;
		setTime(T + (now - playing) / 1000 / +$("speed").value * D.span, true);
		playing = now;
		if (T >= D.span)
			play(false);
		else
			requestAnimationFrame(step);
	};
	requestAnimationFrame(step);
}

function setUpTime() {
	$("play").addEventListener("click", () => play(!playing));
	$("time").addEventListener("input", () => { play(false); setTime($("time").value / 10000 * D.span); });
	document.addEventListener("keydown", (e) => {
		if (e.target.closest("select, button") && (e.key === " " || e.key === "Enter"))
			return;
		const step = D.span / (e.shiftKey ? 1000 : 100);
		const act = { " ": () => play(!playing), ArrowLeft: () => setTime(T - step), ArrowRight: () => setTime(T + step),
			Home: () => setTime(0), End: () => setTime(D.span), Escape: () => choose(-1) }[e.key];
		if (!act || e.ctrlKey || e.altKey || e.metaKey || e.target.closest("select"))
			return;
		e.preventDefault();
		act();
	});
}

// --- charts ----------------------------------------------------------------------------------

const LEFT = 78, RIGHT = 54; // of all charts, so that their times are above each other
const inMs = (us) => us / 1000;
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000];
const fewer = (_, values) => values.map((v) => v == null ? "" : v.toLocaleString("en"));
const LOG_STEPS = [0, 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000];
const log = (n) => n == null ? null : Math.log2(1 + n);

function axis(label, more) {
	return { stroke: css("--soft"),  grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1, size: 4 },
		font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif", label, labelSize: 20, labelGap: 0, size: LEFT - 20, ...more };
}

function make(id, series, data, y, more = {}) {
	const box = $(id);
	const width = () => box.clientWidth;
	const timed = !more.free;
	const opts = { width: width(), height: more.height || 190, series, padding: [8, y.length > 1 ? 0 : RIGHT, 0, 0],
		cursor: timed ? { sync: { key: "time" }, drag: { x: true, y: false } } : {},
		scales: { x: { time: false, ...more.x }, ...more.scales },
		axes: [timed ? axis("ms since the source stopped", { size: 30 }) : more.xaxis, ...y] };
	box.textContent = "";
	const u = new uPlot(opts, data, box);
	charts.push(u);
	new ResizeObserver(() => u.setSize({ width: width(), height: opts.height })).observe(box);
	if (!timed)
		return u;
	const line = document.createElement("div");
	line.className = "tline";
	u.over.append(line);
	let hovers = false;
	const move = () => {
		if (!hovers)
			u.setLegend({ idx: u.valToIdx(inMs(T)) }, false);
		const left = u.valToPos(inMs(T), "x");
		line.style.left = `${left - 1}px`;
		line.style.display = left < -1 || left > u.over.clientWidth + 1 ? "none" : "";
	};
	lines.push(move);
	u.hooks.setSize = u.hooks.setScale = [...(u.hooks.setScale || []), () => queueMicrotask(move)];
	u.over.addEventListener("pointerenter", () => { hovers = true; });
	u.over.addEventListener("pointerleave", () => { hovers = false; queueMicrotask(move); });
	u.over.addEventListener("click", () => u.cursor.left >= 0 && setTime(u.posToVal(u.cursor.left, "x") * 1000));
	return u;
}

const xs = { label: "at", value: (_, v) => v == null ? "–" : time(v * 1000) };
const line = (label, stroke, more) => ({ label, stroke, width: 2, points: { show: false }, ...more });

function drawCharts() {
	charts.forEach((u) => u.destroy());
	charts = [];
	lines = lines.filter((move) => move.keep);
	if (!window.uPlot) {
		document.querySelectorAll(".chart").forEach((box) => {
			box.style.minHeight = 0;
			box.innerHTML = `<p class="soft">This chart needs uPlot, which npm could not bring when the report was made: ${D.missing}</p>`;
		});
		return;
	}
	const n = D.series.k4.length, begin = (row) => [0, ...row];
	const x = begin(D.series.k4.map((_, i) => inMs(D.span * (i + 1) / n)));
	const step = { paths: uPlot.paths.stepped({ align: -1 }) };
	const logY = (label) => axis(label, { splits: (u, i, min, max) => LOG_STEPS.map(log).filter((v) => v <= max),
		values: (_, at) => at.map((v) => Math.round(2 ** v - 1).toLocaleString("en")) });
	const unlog = (_, v) => v == null ? "–" : Math.round(2 ** v - 1).toLocaleString("en");

	make("c-arrivals", [xs, line("here", css("--p2m"), { fill: css("--p2m") + "2a", value: (_, v) => v == null ? "–" : `${v.toFixed(1)} %` }),
		line("faults", css("--poison"), { scale: "n", width: 1.5, ...step })],
	[x, begin(D.series.arrived.map((n) => 100 * n / D.frames)), begin(D.series.faults)],
	[axis("% of all pages", { values: fewer }), axis(`faults in ${time(D.span / n)}`, { scale: "n", side: 1, size: RIGHT - 20, grid: { show: false }, values: fewer, incrs: WHOLE })],
	{ scales: { y: { range: [0, 100] }, n: { range: (_, min, max) => [0, Math.max(max, 4)] } } });

	const top = Math.max(...D.series.k4, ...D.series.m2, 2);
	make("c-leaves", [xs, line("4 KiB", css("--p4k"), { ...step, value: unlog }), line("2 MiB", css("--p2m"), { ...step, value: unlog }),
		line("1 GiB", css("--p1g"), { ...step, value: unlog, width: 3 })],
	[x, ...["k4", "m2", "g1"].map((level) => begin(D.series[level]).map(log))], [logY("leaves (log scale)")],
	{ scales: { y: { range: [0, log(top) * 1.04] } } });

	const tables = (row) => [D.tables, ...row];
	make("c-tables", [xs, line("with those that await a flush", css("--p2m"), { ...step, width: 1, fill: css("--p2m") + "2a" }),
		line("linked", css("--ink"), step)], [x, tables(D.series.tables), tables(D.series.linked)],
		[axis("pages of 4 KiB", { values: fewer, incrs: WHOLE })], { height: 150, scales: { y: { range: (_, min, max) => [0, Math.max(max, 4) * 1.05] } } });

	make("c-block", [xs, ...D.vcpus.map((v, i) => line(`vCPU ${v}`, vcpuColour(i), { dash: i ? [6, 2 + 2 * i] : [],
		value: (_, ms) => ms == null ? "–" : time(ms * 1000) }))],
	[x, ...D.block.map((row) => begin(row).map(inMs))], [axis("ms", { values: fewer })], { height: 150, scales: { y: { range: (_, min, max) => [0, max * 1.05 || 1] } } });

	const s = D.samples, took = s.us.map((t, i) => Math.max(t - (i ? s.us[i - 1] : 0), 1) / 1e6);
	make("c-touched", [xs, line("leaves touched", css("--p2m"), { ...step, value: unlog, fill: css("--p2m") + "2a" })],
		[[0, ...s.us.map(inMs)], [null, ...s.touched.map(log)]], [logY("leaves (log scale)")],
		{ height: 150, scales: { y: { range: [0, log(Math.max(...s.touched, 2)) * 1.04] } } });
	make("c-work", [xs, ...D.vcpus.map((v, i) => line(`vCPU ${v}`, vcpuColour(i), { dash: i ? [6, 2 + 2 * i] : [],
		value: (_, n) => n == null ? "–" : `${n.toFixed(1)} passes/s` })), line("flushes", css("--poison"), { scale: "n", width: 1.5, ...step })],
	[[0, ...s.us.map(inMs)], ...s.passes.map((row) => [null, ...row.map((n, i) => n / took[i])]), [null, ...s.flushes]],
	[axis("passes/s", { values: fewer }), axis("flushes", { scale: "n", side: 1, size: RIGHT - 20, grid: { show: false }, values: fewer, incrs: WHOLE })],
	{ height: 150, scales: { y: { range: (_, min, max) => [0, max * 1.05 || 1] }, n: { range: (_, min, max) => [0, Math.max(max, 4)] } } });

	const waits = D.waits;
	const us = (v) => Math.log2(Math.max(v, 0.5));
	const usAxis = (label, more) => axis(label, { splits: (u, i, min, max) => [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7].map(us).filter((v) => v >= min && v <= max),
		values: (_, at) => at.map((v) => round(2 ** v)), ...more });
	const [low, high] = [waits.us.reduce((a, w) => Math.min(a, us(w)), 30), waits.us.reduce((a, w) => Math.max(a, us(w)), 6)];
	make("c-waits", [xs, ...D.vcpus.map((v, i) => ({ label: `vCPU ${v}`, stroke: vcpuColour(i), paths: () => null,
		points: { show: true, size: 4, fill: vcpuColour(i) }, value: (_, w) => w == null ? "–" : time(2 ** w) }))],
	[[0, ...waits.t.map(inMs), inMs(D.span)], ...D.vcpus.map((v) => [null, ...waits.us.map((w, i) => waits.vcpu[i] === v ? us(w) : null), null])],
	[usAxis("length of the wait")], { scales: { y: { range: [Math.min(low, high - 4) - 0.5, high + 0.5] } } });

	const h = D.hist, sum = h.n.reduce((a, b) => a + b, 0) || 1;
	let before = 0;
	const cdf = h.n.map((n) => 100 * (before += n) / sum);
	const told = make("c-latency", [{ label: "from", value: (_, v) => v == null ? "–" : `${time(2 ** v)} to ${time(2 ** (v + 1))}` },
		line("waits", css("--p2m"), { fill: css("--p2m") + "88", paths: uPlot.paths.bars({ size: [0.92], align: 1 }), width: 1 }),
		line("that long or less", css("--poison"), { scale: "c", value: (_, v) => v == null ? "–" : `${v.toFixed(1)} %`,
			paths: uPlot.paths.stepped({ align: 1 }) })],
	[[...h.x, h.x[h.x.length - 1] + 1], [...h.n, null], [...cdf, 100]], [axis("waits", { values: fewer }), axis("% that long or less", { scale: "c", side: 1, size: RIGHT - 20, grid: { show: false } })],
	{ free: true, x: { range: [h.x[0] - 0.2, h.x[h.x.length - 1] + 1.2] }, xaxis: usAxis("length of the wait, from the fault to the page", { size: 30 }),
		scales: { y: { range: (_, min, max) => [0, max * 1.05 || 1] }, c: { range: [0, 102] } } });
	const tallest = () => told.setLegend({ idx: h.n.indexOf(Math.max(...h.n)) }, false);
	told.over.addEventListener("pointerleave", () => queueMicrotask(tallest));
	queueMicrotask(tallest);
}

// --- lanes -----------------------------------------------------------------------------------

function drawLanes() {
	const bins = D.bins, colour = [rgba("--guest"), rgba("--hyper"), rgba("--wait"), rgba("--absent")];
	D.vcpus.forEach((v, i) => {
		const canvas = $(`lane${i}`), height = 26;
		canvas.width = bins;
		canvas.height = height;
		const img = canvas.getContext("2d").createImageData(bins, height), px = new Uint32Array(img.data.buffer);
		for (let b = 0; b < bins; b++) {
			const s = shares.subarray((i * bins + b) * 3, (i * bins + b) * 3 + 3);
			const waits = Math.round(height * s[2] / 255), hyper = Math.round(height * s[1] / 255), guest = Math.round(height * s[0] / 255);
			for (let y = 0; y < height; y++) {
				const up = height - 1 - y;
				px[y * bins + b] = up < guest ? colour[0] : up < guest + hyper ? colour[1] : up < guest + hyper + waits ? colour[2] : colour[3];
			}
		}
		canvas.getContext("2d").putImageData(img, 0, 0);
	});
}

function setUpLanes() {
	D.vcpus.forEach((v, i) => {
		const name = document.createElement("div"), box = document.createElement("div"), canvas = document.createElement("canvas"), now = document.createElement("div");
		name.className = "name";
		name.textContent = `vCPU ${v}: ${D.lane_text[i]}`;
		box.className = "box";
		canvas.className = "lane";
		canvas.id = `lane${i}`;
		canvas.setAttribute("role", "img");
		canvas.setAttribute("aria-label", name.textContent);
		now.className = "tline";
		const move = () => { now.style.left = `calc(${100 * T / D.span}% - 1px)`; };
		move.keep = true;
		lines.push(move);
		canvas.addEventListener("click", (e) => setTime((e.clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth * D.span));
		box.append(canvas, now);
		$("lanes").append(name, box);
	});
	const foot = document.createElement("div");
	foot.className = "name";
	foot.textContent = `0 to ${time(D.span)} since the source stopped; the height of a colour is its share of the time`;
	$("lanes").append(foot);
}

function drawAll() {
	drawLanes();
	drawCharts();
	setTime(T, true);
}

unpack().then(() => {
	const asked = new URLSearchParams(location.hash.slice(1));
	T = asked.has("t") ? +asked.get("t") : D.span;
	setUpMap();
	setUpTime();
	setUpLanes();
	drawAll();
	if (asked.has("row"))
		choose(+asked.get("row"));
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
	document.documentElement.dataset.ready = "1";
}).catch((error) => {
	document.querySelector("main").insertAdjacentHTML("afterbegin", `<p class="warn">This browser cannot show the report: ${error}</p>`);
});
