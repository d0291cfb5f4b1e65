# SPDX-License-Identifier: MIT
"""How the page looks, in daylight and in the dark."""

STYLE = """
:root { --bg:#f6f7f9; --card:#fff; --ink:#1c2530; --dim:#5d6b7a; --line:#dfe4ea; --error:#c62f3b;
  --warning:#b7791f; --note:#3a6ea5; --good:#2f855a; --band:#3a6ea522; --c0:#3b74b8; --c1:#d9762b; --c2:#3d9a60;
  --c3:#b0455f; --c4:#7a63b8; --c5:#8a6d3b; --c6:#3aa0a8; --c7:#7d8894 }
@media (prefers-color-scheme:dark) { :root { --bg:#14181d;--card:#1d232b;--ink:#e4e9ef;--dim:#9aa7b5;--line:#323b46;
  --error:#f0717c;--warning:#e2ab52;--note:#7fb0e6;--good:#6fcf97;--band:#7fb0e62a;
  --c0:#6ea8ea;--c1:#f0995a;--c2:#6cc48c;--c3:#e0829a;--c4:#a995e0;--c5:#c8a86e;--c6:#6fcbd2;--c7:#a3adb8 } }
* { box-sizing:border-box }
body { margin:0; background:var(--bg); color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif }
main { max-width:1180px; margin:0 auto; padding:32px 20px 60px }
h1 { font-size:26px; line-height:1.25; margin:0 0 4px }
h2 { font-size:17px; margin:36px 0 12px }
.kicker { color:var(--dim); font-size:13px; letter-spacing:.03em; margin-bottom:10px }
.summary { color:var(--dim); margin:10px 0 24px; padding:0; list-style:none }
.summary li { margin:2px 0 }
.ok { color:var(--good) }
.finding { background:var(--card); border:1px solid var(--line); border-left:5px solid var(--note);
  border-radius:8px; padding:14px 18px; margin:12px 0 }
.finding.error { border-left-color:var(--error) }
.finding.warning { border-left-color:var(--warning) }
.finding h3 { margin:0 0 6px; font-size:17px }
.finding .n { color:var(--dim); font-weight:400; margin-right:6px }
.tag { font-size:11px; font-weight:600; text-transform:uppercase; letter-spacing:.05em; padding:2px 7px;
  border-radius:9px; margin-left:8px; vertical-align:2px; border:1px solid currentColor }
.error .tag { color:var(--error) }
.warning .tag { color:var(--warning) }
.note .tag { color:var(--note) }
.because { color:var(--dim); font-size:13px; margin:0 0 6px }
dl { display:grid; grid-template-columns:46px 1fr; gap:4px 12px; margin:0 }
dt { color:var(--dim) }
dd { margin:0 }
dd.seen { font-variant-numeric:tabular-nums }
.grid { columns:2 420px; column-gap:16px }
figure { margin:0 0 16px; break-inside:avoid; background:var(--card); border:1px solid var(--line);
  border-radius:8px; padding:12px 14px }
figcaption { font-weight:600; margin-bottom:2px }
figure p { margin:0 0 6px; color:var(--dim); font-size:13px }
svg { width:100%; height:auto; display:block }
svg text { fill:var(--dim); font-size:11.5px }
svg .name { font-size:12px }
svg .halo { paint-order:stroke; stroke:var(--card); stroke-width:4px; stroke-linejoin:round }
svg .figure { font-variant-numeric:tabular-nums }
svg line.grid { stroke:var(--line) }
svg .axis,svg .tick { stroke:var(--dim) }
svg .mark { stroke:var(--dim); stroke-dasharray:4 3 }
svg .band { fill:var(--band) }
.key { display:flex; flex-wrap:wrap; gap:2px 14px; font-size:12.5px; color:var(--dim); margin-top:4px }
.key i { display:inline-block; width:11px; height:11px; border-radius:3px; margin-right:5px; vertical-align:-1px }
table { border-collapse:collapse; width:100%; font-size:13px; font-variant-numeric:tabular-nums }
td,th { padding:3px 8px; text-align:right; border-bottom:1px solid var(--line) }
th { color:var(--dim); font-weight:500 }
td:first-child,th:first-child { text-align:left }
.wide { overflow-x:auto; background:var(--card); border:1px solid var(--line); border-radius:8px; padding:10px 14px }
footer { color:var(--dim); font-size:13px; margin-top:36px }
@media (max-width:520px) { .grid { columns:1 } }
"""
