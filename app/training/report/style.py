"""The style sheet of the report: light and dark, phone and print; it loads nothing."""

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1b1f24; --muted: #57606a; --line: #d0d7de; --soft: #f3f5f8;
  --accent: #0b5cad; --second: #9a3d00; --heat: 11 92 173; --warn: #fff4e5; --warn-line: #b35900; }
@media (prefers-color-scheme: dark) { :root { --page: #0f141a; --ink: #e6edf3; --muted: #a3adb8; --line: #3a434d;
  --soft: #1a212a; --accent: #7cbcff; --second: #ffb27a; --heat: 124 188 255; --warn: #2b2115;
  --warn-line: #d98a3d; } }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; color: var(--ink);
  background: var(--page); max-width: 64rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; } h2 { font-size: 1.4rem; margin: 2.5rem 0 .5rem;
  padding-top: 1rem; border-top: 2px solid var(--line); } h3 { font-size: 1.1rem; margin: 1.8rem 0 .3rem; }
p, ul { margin: .4rem 0 .8rem; max-width: 46rem; } ul { padding-left: 1.2rem; } a { color: var(--accent); }
nav a { margin-right: 1rem; } .muted, figcaption, caption { color: var(--muted); font-size: .88rem; }
.promise { background: var(--soft); border-left: 4px solid var(--accent); padding: .6rem 1rem; margin: 1rem 0;
  border-radius: 4px; } .promise h2 { border: 0; padding: 0; margin: .2rem 0 .4rem; font-size: 1.15rem; }
.warning { background: var(--warn); border-left: 4px solid var(--warn-line); padding: .5rem 1rem; border-radius: 4px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 9rem), 1fr)); gap: .6rem;
  margin: 1rem 0; } .figure { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .8rem; }
.figure b { display: block; font-size: 1.5rem; line-height: 1.3; } .figure span { color: var(--muted);
  font-size: .85rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
figure { margin: .5rem 0; break-inside: avoid; } figcaption { margin-top: .2rem; max-width: 46rem; }
svg { width: 100%; height: auto; max-width: 34rem; display: block; } .wide svg { max-width: none; min-width: 44rem; }
svg text { font-size: 12px; fill: var(--ink); } svg .small { font-size: 10px; fill: var(--muted); }
svg .tiny { font-size: 8px; fill: var(--ink); }
.grid { stroke: var(--line); stroke-width: 1; } .axis { stroke: var(--muted); stroke-width: 1; }
.ideal { stroke: var(--muted); stroke-width: 1.5; stroke-dasharray: 5 4; fill: none; }
.curve { stroke: var(--accent); stroke-width: 2.5; fill: none; } .curve2 { stroke: var(--second); stroke-width: 2.5;
  stroke-dasharray: 7 3; fill: none; } .bar, .point { fill: var(--accent); } .point2 { fill: var(--second); }
.count { fill: var(--muted); fill-opacity: .45; } .cell { fill: rgb(var(--heat)); } .mark { fill: var(--page);
  stroke: var(--second); stroke-width: 3; }
.scroll { overflow-x: auto; margin: .6rem 0 1rem; } table { border-collapse: collapse; font-size: .9rem; }
caption { text-align: left; padding: .2rem 0; } th, td { border: 1px solid var(--line); padding: .25rem .55rem;
  text-align: right; vertical-align: top; font-variant-numeric: tabular-nums; } thead th { background: var(--soft); }
tbody th, thead th:first-child { text-align: left; font-weight: 600; }
table { overflow-wrap: normal; } .texts td, .texts thead th { text-align: left; }
.texts td:last-child { overflow-wrap: anywhere; }
.texts td:last-child { min-width: 18rem; } td .meter { display: inline-block;
  height: .7em; background: var(--accent); border-radius: 2px; margin-right: .4rem; vertical-align: baseline; }
.matrix td { text-align: center; min-width: 4rem;
  white-space: nowrap; } .matrix small { display: block; }
.labels td { white-space: nowrap; } .pairs td:nth-child(2), .pairs th:nth-child(2) { text-align: left; }
.terms td, .terms thead th { text-align: left; }
code { background: var(--soft); padding: .05rem .35rem; border-radius: 3px;
  font-size: .86rem; display: inline-block; margin: .08rem .1rem; white-space: pre-wrap; }
@media (max-width: 40rem) { body { font-size: 15px; } h1 { font-size: 1.4rem; } svg text { font-size: 14px; }
  svg .small { font-size: 12px; } }
@media print { :root { color-scheme: light; --page: #ffffff; --ink: #000000; --muted: #444444; --line: #bbbbbb;
  --soft: #f3f3f3; --accent: #0b5cad; --second: #9a3d00; --heat: 11 92 173; --warn: #ffffff; }
  body { max-width: none; padding: 0; font-size: 10.5pt; } nav { display: none; } .scroll { overflow: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } tr, .promise { break-inside: avoid; }
  h2, h3 { break-after: avoid; } .wide svg { min-width: 0; } }
"""
