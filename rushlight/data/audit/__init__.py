"""A check of the data before anything is trained: what is broken, double or lopsided, and what leaks.

`inspection` opens every file once; `duplicates`, `balance` and `leaks` read what it found and give `Finding`s; `fixes`
keeps what a person decided about them, without touching a file. `passages` and `characters` do the like for a text.
"""
