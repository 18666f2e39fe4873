"""The transparency log: what Akashi cannot take back, and how anybody checks it.

Needs the standard library, and `cryptography` in `signatures`; an auditor runs `python -m transparency` with nothing
else of Akashi present. The formats are in docs/transparency.md.
"""
