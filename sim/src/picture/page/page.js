// Zoom and pan: every element knows its time; only its place is set here.
const $ = (id) => document.getElementById(id);
const svg = $('svg'), pane = $('scroll'), cursor = $('cursor'), when = $('when');
const lasted = +svg.dataset.lasted, busy = +svg.dataset.busy, height = +svg.getAttribute('height');
let scale = 100; // pixels a second

function axis() {
  const steps = [.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 20, 60];
  const step = steps.find((s) => s * scale >= 80) || 120, digits = step < .01 ? 3 : step < .1 ? 2 : step < 1 ? 1 : 0;
  const from = Math.max(0, Math.floor((pane.scrollLeft - 200) / scale / step));
  const to = Math.min(lasted / step, (pane.scrollLeft + pane.clientWidth + 200) / scale / step);
  let marks = '';
  for (let i = from; i <= to; i++) {
    const x = i * step * scale;
    marks += `<line class="grid" x1="${x}" x2="${x}" y1="20" y2="${height}"/><text x="${x + 3}" y="16">${(i * step).toFixed(digits)} s</text>`;
  }
  $('axis').innerHTML = marks;
}

function place() {
  svg.setAttribute('width', Math.ceil(lasted * scale) + 160);
  for (const e of svg.querySelectorAll('[data-t]')) e.setAttribute('transform', `translate(${e.dataset.t * scale} 0)`);
  for (const e of svg.querySelectorAll('[data-from]')) {
    const x = e.dataset.from * scale, width = (e.dataset.to - e.dataset.from) * scale;
    e.setAttribute('x', e.tagName === 'text' ? x + 4 : x);
    if (e.tagName === 'text') e.style.display = width > e.textContent.length * 6.5 + 6 ? '' : 'none';
    else e.setAttribute('width', Math.max(width, 2));
  }
  for (const e of svg.querySelectorAll('[data-ts]')) {
    let t = 0, d = '';
    for (const gap of e.dataset.ts.split(' ')) { t += +gap; d += `M${(t / 1e3 * scale).toFixed(1)} ${e.dataset.y}v${e.dataset.h}`; }
    e.setAttribute('d', d);
  }
  axis();
}

function zoom(factor, at = pane.clientWidth / 2) {
  const time = (pane.scrollLeft + at) / scale;
  scale = Math.min(20000, Math.max(2, scale * factor));
  place();
  pane.scrollLeft = time * scale - at;
  axis();
}

function fit() { scale = Math.max(2, (pane.clientWidth - 170) / Math.max(busy, .1)); place(); pane.scrollLeft = 0; axis(); }

function goTo(time) {
  if (scale < 150) { scale = 150; place(); }
  pane.scrollLeft = time * scale - pane.clientWidth / 2;
  axis();
}

function light(row) {
  for (const e of document.querySelectorAll('.lit')) e.classList.remove('lit');
  for (const e of document.querySelectorAll(`[data-row="${row}"], #r${row}`)) e.classList.add('lit');
}

$('closer').onclick = () => zoom(1.6);
$('farther').onclick = () => zoom(1 / 1.6);
$('whole').onclick = fit;
for (const e of document.querySelectorAll('[data-go]')) e.onclick = () => { goTo(+e.dataset.go); if (e.id) light(e.id.slice(1)); };
for (const box of document.querySelectorAll('input[data-hides]')) box.onchange = () => svg.classList.toggle(box.dataset.hides, !box.checked);
svg.addEventListener('click', (event) => {
  const mark = event.target.closest('[data-row]');
  if (!mark || moved) return;
  light(mark.dataset.row);
  const row = $('r' + mark.dataset.row), list = $('list');
  $('events').open = true;
  list.scrollTop = row.offsetTop - list.clientHeight / 2;
});
pane.addEventListener('wheel', (event) => {
  if (!event.ctrlKey && !event.metaKey && !event.altKey) return;
  event.preventDefault();
  zoom(event.deltaY < 0 ? 1.25 : .8, event.clientX - pane.getBoundingClientRect().left);
}, { passive: false });
let drag = null, moved = false;
pane.addEventListener('pointerdown', (event) => { drag = { x: event.clientX, left: pane.scrollLeft }; moved = false; });
addEventListener('pointerup', () => { drag = null; pane.classList.remove('drags'); });
addEventListener('pointermove', (event) => {
  if (!drag || Math.abs(event.clientX - drag.x) < 4) return;
  moved = true;
  pane.classList.add('drags');
  pane.scrollLeft = drag.left - (event.clientX - drag.x);
});
pane.addEventListener('mousemove', (event) => {
  const x = event.clientX - pane.getBoundingClientRect().left + pane.scrollLeft;
  cursor.setAttribute('x1', x); cursor.setAttribute('x2', x);
  when.setAttribute('x', x + 4); when.textContent = (x / scale).toFixed(3) + ' s';
});
pane.addEventListener('scroll', axis);
addEventListener('keydown', (event) => {
  if (event.key === '+' || event.key === '=') zoom(1.6);
  if (event.key === '-') zoom(1 / 1.6);
  if (event.key === '0') fit();
});
fit();
