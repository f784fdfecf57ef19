"""How the report looks: light or dark as the reader's system is, and one question beside its pictures."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --line: #8886; --good: #0a7f3f; --bad: #c0392b; --partly: #a66a00; }
@media (prefers-color-scheme: dark) { :root { --good: #4cc38a; --bad: #ff8a7a; --partly: #e0a84a; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
article { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 1.5rem; padding: 1.5rem 0;
          border-top: 1px solid var(--line); }
article p { margin: 0 0 .5rem; }
.pictures img { max-width: 100%; }
.name { opacity: .7; }
.question { white-space: pre-wrap; font-weight: 600; }
dt { opacity: .7; }
dd { margin: 0 0 .5rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.good { color: var(--good); } .bad { color: var(--bad); } .partly { color: var(--partly); }
@media (max-width: 40rem) { article { grid-template-columns: 1fr; } }
"""
